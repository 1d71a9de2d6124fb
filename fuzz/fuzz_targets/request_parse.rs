//! `cargo fuzz run request_parse`; see `quorate_fuzz::request_parse`.
#![cfg_attr(fuzzing, no_main)]

quorate_fuzz::target!(request_parse);
