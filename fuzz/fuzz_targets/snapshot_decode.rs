//! `cargo fuzz run snapshot_decode`; see `quorate_fuzz::snapshot_decode`.
#![cfg_attr(fuzzing, no_main)]

quorate_fuzz::target!(snapshot_decode);
