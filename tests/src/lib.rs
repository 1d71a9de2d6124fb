//! Black-box tests of Quorate: real processes, files, documents and style.
//!
//! This library is what the tests in `tests/` share: processes and clusters of them, an HTTP client that shares no
//! code with the server, recorded histories, and the checkers that judge them. Nothing here knows the inside of
//! Quorate: it sees what a user sees.

pub mod cluster;
pub mod deadline;
pub mod harm;
pub mod http;
pub mod load;
pub mod memory;
pub mod ports;
pub mod program;
pub mod relay;
pub mod style;
pub mod verdict;
pub mod workload;
