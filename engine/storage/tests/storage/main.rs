//! Storage from outside: what is written is found again, whatever a crash leaves and whatever rots.
#![allow(clippy::unwrap_used)]

mod common;
mod log;
