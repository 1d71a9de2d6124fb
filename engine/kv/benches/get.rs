//! The seed's Get benchmark: how long one read of one key takes, in stores of different sizes.
#![allow(missing_docs)]

use divan::{Bencher, black_box};
use quorate_kv::{Command, Kv};

fn main() {
    divan::main();
}

#[divan::bench(args = [3, 1_000, 100_000])]
fn get(bencher: Bencher, keys: usize) {
    let mut kv = Kv::new();
    for number in 1..=keys {
        let key = format!("key{number}").into_bytes().into();
        kv.apply(&Command::Put { key, value: b"value".as_slice().into() });
    }
    bencher.bench_local(|| kv.get(black_box(b"key1")).map(|entry| entry.value.len()));
}
