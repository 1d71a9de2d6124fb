//! `cargo fuzz run data_json`; see `quorate_fuzz::data_json`.
#![cfg_attr(fuzzing, no_main)]

quorate_fuzz::target!(data_json);
