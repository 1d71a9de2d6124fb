//! The state machine, with as many keys as the loads of the other benchmarks have.

use std::hint::black_box;

use quorate_kv::{Command, Kv};

use crate::puts::{KEYS, key, put};

/// A store in which every key was written once.
#[derive(Debug)]
pub struct Map {
    kv: Kv,
    commands: Vec<Command>,
    keys: Vec<Vec<u8>>,
}

impl Map {
    /// A store, and so many commands for it.
    pub fn with_commands(count: usize) -> Map {
        let mut kv = Kv::new();
        (0..KEYS).for_each(|number| drop(kv.apply(&put(number))));
        drop(kv.seal());
        // A prime step: neither in order nor in a short circle.
        let order = || (0..count).map(|number| number * 7_919);
        Map {
            kv,
            commands: order().map(|number| put(KEYS + number)).collect(),
            keys: order().map(key).collect(),
        }
    }

    /// Writes keys that are there, once each.
    pub fn apply(&mut self) {
        for command in &self.commands {
            black_box(self.kv.apply(command));
        }
    }

    /// Reads the first so many keys.
    pub fn get(&self, count: usize) {
        for key in &self.keys[..count] {
            black_box(self.kv.get(key));
        }
    }
}
