//! Storage from outside: what is written is found again, whatever a crash leaves and whatever rots.

mod common;
mod log;
