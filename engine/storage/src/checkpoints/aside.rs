//! Where a damaged file goes, so that what is sound in it is not lost.

/// The end of the names of files that were put aside.
pub(crate) const SUFFIX: &str = ".damaged";

/// The path of a file once it was put aside.
pub(crate) fn path(path: &str) -> String {
    format!("{path}{SUFFIX}")
}
