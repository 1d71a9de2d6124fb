//! The hot paths, each as a thing that is made and then does its work over and over: for benchmarks that count its
//! instructions, and for those that take its time.
//!
//! All is about the same put: a key of 12 bytes, a value of 256.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod cores;
mod log;
mod map;
mod puts;
mod wire;

pub use cores::{Core, Cores};
pub use log::Log;
pub use map::Map;
pub use puts::{entries, put};
pub use wire::Append;
