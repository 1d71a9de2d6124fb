//! The sans-IO Raft core of Quorate.
