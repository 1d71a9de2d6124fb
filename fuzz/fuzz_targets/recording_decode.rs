//! `cargo fuzz run recording_decode`; see `quorate_fuzz::recording_decode`.
#![cfg_attr(fuzzing, no_main)]

quorate_fuzz::target!(recording_decode);
