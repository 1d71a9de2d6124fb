//! `cargo fuzz run wal_decode`; see `quorate_fuzz::wal_decode`.
#![cfg_attr(fuzzing, no_main)]

quorate_fuzz::target!(wal_decode);
