//! `cargo fuzz run raft_inputs`; see `quorate_fuzz::raft_inputs`.
#![cfg_attr(fuzzing, no_main)]

quorate_fuzz::target!(raft_inputs);
