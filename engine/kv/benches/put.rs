//! How long a write of a key that is there takes, by its value's size.
#![allow(missing_docs)]

use std::sync::Arc;

use divan::{Bencher, black_box};
use quorate_kv::{Action, ClusterTime, Command, Kv, Order, Put};

const KEYS: usize = 100_000;

fn main() {
    divan::main();
}

/// The changes are taken away now and then, as the host does for checkpoints.
#[divan::bench(args = [256], sample_count = 20, sample_size = 100_000)]
fn put(bencher: Bencher, value_bytes: usize) {
    let value: Arc<[u8]> = vec![7; value_bytes].into();
    let keys: Vec<Arc<[u8]>> = (0..KEYS).map(|number| format!("key{number}").into_bytes().into()).collect();
    let mut kv = Kv::new();
    // As a command comes out of the log: nothing of it is shared with the store.
    let command = |at: usize| {
        let (key, value) = (Arc::from(&*keys[at % KEYS]), Arc::from(&*value));
        let action = Action::Put(Put::for_good(key, value));
        Command::Order(Order { time: ClusterTime(at as u64 / 10), once: None, forgets_past: false, action })
    };
    (0..KEYS).for_each(|at| drop(kv.apply(&command(at))));
    let mut next = 0;
    bencher.bench_local(|| {
        // A prime step: neither in order nor in a short circle.
        next += 7_919;
        if next % 50_000 == 0 {
            drop(kv.seal());
        }
        kv.apply(black_box(&command(next)))
    });
}
