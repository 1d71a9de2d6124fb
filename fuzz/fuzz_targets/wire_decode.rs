//! `cargo fuzz run wire_decode`; see `quorate_fuzz::wire_decode`.
#![cfg_attr(fuzzing, no_main)]

quorate_fuzz::target!(wire_decode);
