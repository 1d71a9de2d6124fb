//! The Quorate server: HTTP, leader proxying, peer links and the command line.
