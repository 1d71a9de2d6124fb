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
