//! `cargo fuzz run backup_decode`; see `quorate_fuzz::backup_decode`.
#![cfg_attr(fuzzing, no_main)]

quorate_fuzz::target!(backup_decode);
