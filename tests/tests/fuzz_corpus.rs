//! Every input that a fuzz target is known to have met, replayed on stable: `fuzz/` is a workspace of its own, whose
//! tests nobody would run otherwise.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use quorate_fuzz::{ReplayError, TARGETS, replay};
use quorate_tests::style::repository;

fn corpus_without(name: &str, folder: &Path) {
    for (target, _) in TARGETS.iter().filter(|(target, _)| *target != name) {
        fs::create_dir(folder.join(target)).unwrap();
        fs::write(folder.join(target).join("empty"), b"").unwrap();
    }
}

#[test]
fn known_inputs_break_nothing() {
    match replay(&repository().join("fuzz/corpus")) {
        Ok(inputs) => assert!(inputs > TARGETS.len(), "only {inputs} inputs"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_corpus_that_is_missing_empty_or_nobodys_is_noticed() {
    for (target, _) in TARGETS {
        let folder = tempfile::tempdir().unwrap();
        corpus_without(target, folder.path());
        let missing = replay(folder.path());
        assert!(matches!(missing, Err(ReplayError::Read { path, .. }) if path.ends_with(target)));

        fs::create_dir(folder.path().join(target)).unwrap();
        let empty = replay(folder.path());
        assert!(matches!(empty, Err(ReplayError::Empty { folder }) if folder.ends_with(target)));

        fs::write(folder.path().join(target).join("empty"), b"").unwrap();
        assert_eq!(replay(folder.path()).unwrap(), TARGETS.len());
    }
    let folder = tempfile::tempdir().unwrap();
    corpus_without("", folder.path());
    fs::create_dir(folder.path().join("zebra")).unwrap();
    assert!(matches!(replay(folder.path()), Err(ReplayError::Unknown { .. })));
}

#[test]
fn every_target_has_a_binary() {
    let manifest = fs::read_to_string(repository().join("fuzz/Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "fuzz/Cargo.toml lacks {target}");
        let binary = repository().join(format!("fuzz/fuzz_targets/{target}.rs"));
        assert!(binary.is_file(), "{} is missing", binary.display());
    }
}

/// A dictionary that belongs to no target is one that nobody uses.
#[test]
fn every_dictionary_has_a_target_and_reads_as_one() {
    for file in fs::read_dir(repository().join("fuzz/dictionaries")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "{} has no target", path.display());
        for line in fs::read_to_string(&path).unwrap().lines() {
            let is_word = line.len() > 2 && line.starts_with('"') && line.ends_with('"');
            assert!(is_word || line.is_empty() || line.starts_with('#'), "{}: {line}", path.display());
        }
    }
}
