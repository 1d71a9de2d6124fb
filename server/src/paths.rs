//! Names of files made of other names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The path with something added to its last part.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut longer = OsString::from(path);
    longer.push(suffix);
    PathBuf::from(longer)
}
