//! Looking at a data dir that somebody else may use, without changing anything.
//!
//! Taking stock after a disaster must not make it worse: nothing is mended, truncated or removed, no file is
//! created, and a directory on a file system that is mounted read-only will do. What the log holds is found out by
//! opening a [`crate::Storage`] on an [`crate::Overlay`] over [`crate::FileDisk::read_only`].

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use quorate_raft::NodeId;
use quorate_wire::HistoryId;

use crate::data_dir::{
    DataDirError, Identity, LOCK, check_state, check_state_or_log, has_version, pid, read_node_file,
    refuse_other_versions, unusable,
};
use crate::former::as_it_was;

/// A process that uses a data dir.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse {
    /// Its id, if it has said so.
    pub pid: Option<u32>,
}

/// A member's data dir, as it was found.
#[derive(Debug)]
pub struct Look {
    /// Whose it is.
    pub identity: Identity,
    /// The history that an interrupted recovery was to begin.
    pub recovering: Option<HistoryId>,
    /// Who uses it.
    pub in_use: Option<InUse>,
    guard: Option<File>,
}

impl Look {
    /// Looks at the directory of a member. One that has lost its term and vote needs a log.
    ///
    /// Whether it's in use is found out by asking for the lock as a reader, which a process that uses the directory
    /// does not grant, and which keeps any from taking it until [`Look::release`], or until this is dropped.
    ///
    /// # Errors
    /// [`DataDirError`]: it holds no member, or can't be understood.
    pub fn at(path: impl Into<PathBuf>) -> Result<Look, DataDirError> {
        let path = path.into();
        refuse_other_versions(&path)?;
        let (in_use, guard) = ask_for_lock(&path)?;
        let node = read_node_file(&path)?.map(|node| as_it_was(&path, node)).transpose()?;
        let Some(node) =
            node.filter(|node| node.identity.cluster.is_some() && node.identity.history.is_some())
        else {
            return Err(DataDirError::NoMember { path });
        };
        has_version(&path)?;
        check_state_or_log(&path, &node)?;
        Ok(Look { identity: node.identity, recovering: node.recovering, in_use, guard })
    }

    /// Lets a process take the directory again.
    pub fn release(&mut self) {
        self.guard = None;
    }
}

/// A directory, whatever it holds: also of a node that has not joined yet, or that has lost its state.
#[derive(Debug)]
pub struct Directory {
    /// Whose it is, when that can be read.
    pub identity: Option<Identity>,
    /// The history that an interrupted recovery was to begin.
    pub recovering: Option<HistoryId>,
    /// The id under which the node is coming back.
    pub successor: Option<NodeId>,
    /// The history that a backup will begin whose restoring was interrupted.
    pub restoring: Option<HistoryId>,
    /// Who uses it.
    pub in_use: Option<InUse>,
    /// What is wrong with the directory itself: with `VERSION`, `node.toml`, or that term and vote are missing.
    pub flaws: Vec<DataDirError>,
    _guard: Option<File>,
}

impl Directory {
    /// Looks at a directory. No process can take it while the answer lives.
    ///
    /// # Errors
    /// [`DataDirError::UnknownVersion`], [`DataDirError::Unusable`]; [`DataDirError::NoMember`] and
    /// [`DataDirError::Foreign`] when it holds nothing of a node.
    pub fn look(path: impl Into<PathBuf>) -> Result<Directory, DataDirError> {
        let path = path.into();
        refuse_other_versions(&path)?;
        let (in_use, guard) = ask_for_lock(&path)?;
        let mut flaws = Vec::new();
        let node = match read_node_file(&path) {
            Ok(Some(node)) => {
                flaws.extend(has_version(&path).err());
                flaws.extend(check_state(&path, &node).err());
                Some(node)
            }
            Ok(None) => return Err(DataDirError::NoMember { path }),
            Err(error @ (DataDirError::Unusable { .. } | DataDirError::Foreign { .. })) => return Err(error),
            Err(error) => {
                flaws.push(error);
                None
            }
        };
        Ok(Directory {
            identity: node.map(|node| node.identity),
            recovering: node.and_then(|node| node.recovering),
            successor: node.and_then(|node| node.successor),
            restoring: node.and_then(|node| node.restoring),
            in_use,
            flaws,
            _guard: guard,
        })
    }
}

/// Who uses a directory, whatever it holds. It is asked for the lock, which is given back at once.
///
/// # Errors
/// [`DataDirError::Unusable`]: that can't be told.
pub fn user_of(path: &Path) -> Result<Option<InUse>, DataDirError> {
    ask_for_lock(path).map(|(in_use, _)| in_use)
}

fn ask_for_lock(directory: &Path) -> Result<(Option<InUse>, Option<File>), DataDirError> {
    let path = directory.join(LOCK);
    let file = match File::open(&path) {
        Ok(file) => file,
        // A copy of a data dir has none.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok((None, None)),
        // Whether a process uses the directory can't be told, and to take that for a no could cost data.
        Err(error) => return Err(unusable("open", &path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok((None, Some(file))),
        Err(TryLockError::WouldBlock) => Ok((Some(InUse { pid: pid(&path) }), None)),
        Err(TryLockError::Error(error)) => Err(unusable("lock", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;
    use quorate_wire::ClusterId;
    use std::fs;

    #[test]
    fn a_node_that_was_not_let_in_yet_is_no_member() {
        for (cluster, history) in [(None, None), (Some(ClusterId(8)), None), (None, Some(HistoryId(9)))] {
            let root = tempfile::tempdir().unwrap();
            let identity = Identity { node: NodeId(7), cluster, history };
            DataDir::open(root.path()).unwrap().identify(identity).unwrap();
            assert!(matches!(Look::at(root.path()), Err(DataDirError::NoMember { .. })), "{identity:?}");
        }
    }

    #[test]
    fn who_uses_a_directory_is_told_before_anything_is_in_it() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(user_of(root.path()).unwrap(), None);
        let user = DataDir::open(root.path()).unwrap();
        assert_eq!(user_of(root.path()).unwrap(), Some(InUse { pid: Some(std::process::id()) }));
        drop(user);
        assert_eq!(user_of(root.path()).unwrap(), None);
        assert!(DataDir::open(root.path()).is_ok(), "nothing is kept");
    }

    #[test]
    fn a_look_tells_who_uses_the_directory_and_leaves_no_trace() {
        let root = tempfile::tempdir().unwrap();
        assert!(matches!(Look::at(root.path()), Err(DataDirError::NoMember { .. })));
        assert!(matches!(Look::at(root.path().join("none")), Err(DataDirError::Unusable { .. })));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);

        let identity = Identity { node: NodeId(7), cluster: Some(ClusterId(8)), history: Some(HistoryId(9)) };
        let mut user = DataDir::open(root.path()).unwrap();
        user.identify(identity).unwrap();
        fs::create_dir(root.path().join("stable")).unwrap();
        fs::write(root.path().join("stable/a"), "term and vote").unwrap();
        let look = Look::at(root.path()).unwrap();
        assert_eq!((look.identity, look.in_use), (identity, Some(InUse { pid: Some(std::process::id()) })));
        drop(user);

        let mut look = Look::at(root.path()).unwrap();
        assert_eq!((look.in_use, look.recovering), (None, None));
        assert!(Look::at(root.path()).is_ok_and(|second| second.in_use.is_none()), "two may look");
        assert!(matches!(DataDir::open(root.path()), Err(DataDirError::LookedAt { .. })));
        look.release();
        assert!(DataDir::open(root.path()).is_ok());

        // A lock that can't be opened does not mean that nobody holds it.
        fs::remove_file(root.path().join(LOCK)).unwrap();
        std::os::unix::fs::symlink(LOCK, root.path().join(LOCK)).unwrap();
        assert!(matches!(Look::at(root.path()), Err(DataDirError::Unusable { action: "open", .. })));
    }
}
