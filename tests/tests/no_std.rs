//! The core builds without std: firmware, a kernel or a browser could hold it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use quorate_tests::style::repository;

/// Builds `tests/no_std` outside of the repository, with the repository's versions, after `change` has been made to
/// its `lib.rs`. Nothing is downloaded: the core's dependencies have been, to build the workspace.
fn build(folder: &Path, change: impl Fn(String) -> String) -> Output {
    let root = repository();
    let source = root.join("tests/no_std");
    let copy = |from: &str, change: &dyn Fn(String) -> String| {
        let text = fs::read_to_string(source.join(from)).unwrap();
        fs::write(folder.join(from), change(text)).unwrap();
    };
    fs::create_dir_all(folder.join("src")).unwrap();
    let core = root.join("engine/raft");
    copy("Cargo.toml", &|manifest| {
        assert!(manifest.contains("\"../../engine/raft\""));
        manifest.replace("\"../../engine/raft\"", &format!("{core:?}"))
    });
    copy("src/lib.rs", &change);
    copy("src/machine.rs", &|text| text);
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    Command::new(env!("CARGO"))
        .args(["build", "--offline", "--quiet"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap()
}

#[test]
fn the_core_builds_without_std() {
    let folder = tempfile::tempdir().unwrap();
    let built = build(folder.path(), |text| text);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let library = folder.path().join("target/debug/libquorate_raft_without_std.a");
    assert!(fs::metadata(library).unwrap().len() > 0);

    let with_std = build(folder.path(), |text| text.replace("extern crate alloc;", "extern crate std;"));
    let errors = String::from_utf8_lossy(&with_std.stderr);
    assert!(!with_std.status.success(), "with std it must not build, or this test proves nothing");
    assert!(errors.contains("panic_impl"), "{errors}");
}
