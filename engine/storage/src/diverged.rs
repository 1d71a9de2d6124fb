//! A data dir whose node was found to have another state than its cluster remembers that.
//!
//! Otherwise the next start would serve that state again, until somebody compares.

use std::fs;
use std::io;

use crate::data_dir::{DataDir, DataDirError, unusable};

const DIVERGED: &str = "diverged.txt";

impl DataDir {
    /// Remembers, durably, that the node's state is not that of its cluster, and in what.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    pub fn mark_diverged(&self, what: &str) -> Result<(), DataDirError> {
        self.write(DIVERGED, format!("{what}\n").as_bytes())
    }

    /// What was remembered, if anything.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    pub fn divergence(&self) -> Result<Option<String>, DataDirError> {
        let path = self.path().join(DIVERGED);
        match fs::read_to_string(&path) {
            Ok(what) => Ok(Some(what.trim_end().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable("read", &path)(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_there_at_the_next_start() {
        let root = tempfile::tempdir().unwrap();
        let dir = DataDir::open(root.path()).unwrap();
        assert_eq!(dir.divergence().unwrap(), None);
        dir.mark_diverged("row 7 differs").unwrap();
        assert_eq!(dir.divergence().unwrap().as_deref(), Some("row 7 differs"));
        fs::remove_file(root.path().join(DIVERGED)).unwrap();
        fs::create_dir(root.path().join(DIVERGED)).unwrap();
        assert!(matches!(dir.divergence(), Err(DataDirError::Unusable { .. })), "unread is not forgotten");
    }
}
