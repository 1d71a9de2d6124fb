//! Golden scripts: a cluster of cores told step by step what to do, and what it did, in one file a behaviour.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::panic)]

mod harness;

use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Set `QUORATE_BLESS=1` to write down what happened; then read the difference, line by line.
fn blessing() -> bool {
    std::env::var_os("QUORATE_BLESS").is_some_and(|value| value == "1")
}

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// What the first differing lines are, for people.
fn difference(told: &str, tells: &str) -> String {
    let same = told.lines().zip(tells.lines()).take_while(|(old, new)| old == new).count();
    let from = same.saturating_sub(2);
    let part = |text: &str| text.lines().skip(from).take(8).collect::<Vec<_>>().join("\n    ");
    format!("line {}:\n  it told\n    {}\n  it tells\n    {}", same + 1, part(told), part(tells))
}

#[test]
fn every_script_tells_what_it_told() {
    let paths = scripts();
    let count = paths.len();
    let mut failures = Vec::new();
    for path in paths {
        let told = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(told.starts_with("# "), "{name} does not begin by saying what it shows, and why");
        let place = Cell::new(0);
        match catch_unwind(AssertUnwindSafe(|| harness::run(&told, &place))) {
            Err(_) => failures.push(format!("{name} breaks an invariant at line {}, see above", place.get())),
            Ok(tells) if tells == told => {}
            Ok(tells) if blessing() => fs::write(&path, tells).unwrap(),
            Ok(tells) => failures.push(format!("{name}, {}", difference(&told, &tells))),
        }
    }
    assert!(failures.is_empty(), "{}\nset QUORATE_BLESS=1 to accept", failures.join("\n"));
    assert!(count >= 30, "only {count} scripts are left");
}
