//! What a machine can judge about style, as functions from text to complaints.
//!
//! `tests/tests/style.rs` feeds them the repository; their own tests feed them bad input, because a check that
//! can't fail checks nothing.

pub mod book;
pub mod documents;
pub mod lexer;
pub mod manifests;
pub mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file, from the root of the repository.
    pub file: String,
    /// The line, from 1; 0 for the whole file.
    pub line: usize,
    /// What is wrong and, unless that is plain, what would be right.
    pub what: String,
}

impl Complaint {
    /// A complaint about a line (from 1), or about a whole file (0).
    pub fn new(file: &str, line: usize, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into() }
    }
}

impl std::fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}:{}: {}", self.file, self.line, self.what)
    }
}

/// A text file of the repository.
#[derive(Clone, Debug)]
pub struct TextFile {
    /// Its path from the root of the repository, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// The root of the repository that these tests were built from.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("the test package is a folder of the repository").to_owned()
}

/// Every text file that git tracks, or would track after `git add`.
///
/// # Panics
/// When git doesn't tell.
pub fn repository_files() -> Vec<TextFile> {
    let root = repository();
    let listing = Command::new("git")
        .arg("-C")
        .arg(&root)
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .expect("git is installed");
    assert!(listing.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listing.stderr));
    let mut paths: Vec<String> = String::from_utf8(listing.stdout)
        .expect("paths are UTF-8")
        .split_terminator('\0')
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    // A file that was removed, but not yet from git's index, and one that isn't text, have nothing to check.
    let read = |path: String| Some(TextFile { text: std::fs::read_to_string(root.join(&path)).ok()?, path });
    paths.into_iter().filter_map(read).collect()
}

/// Fails a test with all complaints at once.
///
/// # Panics
/// When there are any.
#[track_caller]
pub fn assert_no_complaints(complaints: &[Complaint]) {
    let lines: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    assert!(complaints.is_empty(), "{} complaints:\n{}", lines.len(), lines.join("\n"));
}
