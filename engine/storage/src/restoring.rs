//! How a data dir is made from a backup.
//!
//! Each step is durable before the next:
//!
//! 1. `node.toml` with the id of the new node, and the history that it will begin as `restoring`
//! 2. `log/`, `stable/` and `snaps/`, made anew
//! 3. `node.toml` with the ids of cluster and history, and without `restoring`
//!
//! Until the third the directory is opened by nothing but another `restore`. Without the mark it would look like that
//! of a node which has an id and has not joined yet; one that joined with the checkpoint in it would hold a state that
//! its cluster never had.

use std::fs;
use std::io;
use std::path::PathBuf;

use quorate_raft::NodeId;
use quorate_wire::HistoryId;

use crate::data_dir::{DataDir, DataDirError, Identity, unusable};
use crate::file_disk::sync_directory;
use crate::node_file::NodeFile;
use crate::{checkpoints, segment, stable};

/// What a restore makes.
const MADE: [&str; 3] = [segment::DIRECTORY, stable::DIRECTORY, checkpoints::DIRECTORY];

impl DataDir {
    /// Takes a directory that a backup is to be restored into: an empty one, which is made when it isn't there, or one
    /// in which that was begun. Whether it is either is for the caller to see, by [`DataDir::identity`] and
    /// [`DataDir::restoring`].
    ///
    /// # Errors
    /// [`DataDirError`]. Nothing in the directory was changed then, but for the lock file.
    pub fn open_for_restore(path: impl Into<PathBuf>) -> Result<DataDir, DataDirError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(unusable("create", &path))?;
        DataDir::take(path, false)
    }

    /// The history that a restore was to begin, when one was interrupted here.
    pub fn restoring(&self) -> Option<HistoryId> {
        self.node_file().and_then(|node| node.restoring)
    }

    /// Notes, durably, that a backup is being restored here which will begin `history`, and removes what an interrupted
    /// attempt has left. [`DataDir::identify`] ends it.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    ///
    /// # Panics
    /// When it holds a node, or another restore was begun.
    pub fn begin_restore(&mut self, node: NodeId, history: HistoryId) -> Result<(), DataDirError> {
        let identity = Identity { node, cluster: None, history: None };
        let begun = NodeFile { restoring: Some(history), ..NodeFile::new(identity) };
        assert!(
            self.node_file().is_none_or(|found| found == begun),
            "{begun:?} after {:?}",
            self.node_file()
        );
        self.store_node(begun)?;
        self.store_version()?;
        for name in MADE {
            let path = self.path().join(name);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unusable("remove", &path)(error));
                }
                _ => {}
            }
        }
        sync_directory(self.path()).map_err(unusable("sync", self.path()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_wire::ClusterId;

    #[test]
    fn a_restore_that_was_begun_can_only_be_gone_on_with() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("made/on/the/way");
        let (node, history) = (NodeId(7), HistoryId(9));
        for _ in 0..2 {
            let mut dir = DataDir::open_for_restore(&path).unwrap();
            assert!(dir.identity().is_none() || dir.restoring() == Some(history));
            dir.begin_restore(node, history).unwrap();
            assert!(MADE.iter().all(|name| !path.join(name).exists()), "what was left is gone");
            for name in MADE {
                fs::create_dir(path.join(name)).unwrap();
                fs::write(path.join(name).join("a"), name).unwrap();
            }
            drop(dir);
            let refused = DataDir::open(&path).unwrap_err();
            assert!(matches!(refused, DataDirError::RestoreUnfinished { .. }), "{refused}");
            assert!(refused.to_string().contains("quorate restore FILE --data-dir"), "{refused}");
        }
        let mut dir = DataDir::open_for_restore(&path).unwrap();
        let identity = Identity { node, cluster: Some(ClusterId(8)), history: Some(history) };
        dir.identify(identity).unwrap();
        drop(dir);
        let dir = DataDir::open(&path).unwrap();
        assert_eq!((dir.identity(), dir.restoring()), (Some(&identity), None));
    }
    #[test]
    fn what_can_not_be_removed_stops_a_restore() {
        let root = tempfile::tempdir().unwrap();
        for name in MADE {
            let path = root.path().join(format!("without-{name}"));
            let mut dir = DataDir::open_for_restore(&path).unwrap();
            fs::write(path.join(name), "no directory").unwrap();
            let stopped = dir.begin_restore(NodeId(7), HistoryId(9)).unwrap_err();
            assert!(matches!(stopped, DataDirError::Unusable { .. }), "{stopped}");
            assert!(path.join(name).exists(), "{name}");
        }
    }
}
