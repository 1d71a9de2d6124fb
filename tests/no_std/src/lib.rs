//! A program without std that opens a Raft core, as firmware would.
//!
//! It brings its own panic handler. If anything it depends on linked std, there would be two, and the build would
//! fail ("found duplicate lang item `panic_impl`"). That is the proof; `tests/tests/no_std.rs` builds it.
#![no_std]

extern crate alloc;

mod machine;

pub use machine::open_a_core;
