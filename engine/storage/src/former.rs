//! How a data dir passes from a node that has lost what it must not forget to the one that takes its place.
//!
//! A node without its term and vote, or without the log that it acknowledged, may not speak under its id again. It
//! comes back under a new one, in the same directory, and each step is durable before the next:
//!
//! 1. `node.toml` names the `successor`, which from then on may be shown to others
//! 2. the cluster takes the successor in, and the former node out
//! 3. `log/`, `stable/` and `snaps/` go to `lost-<former id>/`, with a `node.toml` and a `VERSION`: a data dir of its
//!    own, to be looked at. It is called `lost-<former id>.partial` until all of it is there
//! 4. storage begins anew
//! 5. `node.toml` names the successor as the node
//!
//! A crash between any two leaves a directory that the next start goes on with: a `successor` says that it was begun,
//! and the name `lost-<former id>` that nothing else is to be moved. Nothing is ever deleted here.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use quorate_raft::NodeId;

use crate::data_dir::{DataDir, DataDirError, Identity, NODE, VERSION, unusable};
use crate::file_disk::sync_directory;
use crate::node_file::NodeFile;
use crate::{checkpoints, segment, stable};

/// What belongs to the former node.
const STATE: [&str; 3] = [segment::DIRECTORY, stable::DIRECTORY, checkpoints::DIRECTORY];

impl DataDir {
    /// The id under which its node is coming back, when it is.
    pub fn successor(&self) -> Option<NodeId> {
        self.node_file().and_then(|node| node.successor)
    }

    /// Notes, durably, under which id the node comes back.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    ///
    /// # Panics
    /// When it holds no member, or another successor is known.
    pub fn begin_succession(&mut self, successor: NodeId) -> Result<(), DataDirError> {
        let node = self.node_file().filter(|node| node.identity.cluster.is_some());
        let node = node.expect("only a member comes back");
        assert!(node.successor.is_none_or(|begun| begun == successor), "{successor} after {node:?}");
        self.store_node(NodeFile { successor: Some(successor), ..node })
    }

    /// Where the former node's log, term and vote and checkpoints are: in the directory itself before
    /// [`DataDir::set_former_aside`], and in what this names afterwards.
    pub fn former_place(&self) -> Option<PathBuf> {
        self.node_file().map(|node| place_of(self.path(), node.identity.node))
    }

    /// Moves what the former node has left out of the way, durably. Done again, it finds that it was done.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    ///
    /// # Panics
    /// When the node has no successor.
    pub fn set_former_aside(&mut self) -> Result<PathBuf, DataDirError> {
        let (place, node) = match (self.former_place(), self.node_file()) {
            (Some(place), Some(node)) if node.successor.is_some() => (place, node),
            _ => panic!("no successor is known for {:?}", self.identity()),
        };
        if place.exists() {
            return Ok(place);
        }
        let partial = place.with_extension("partial");
        match fs::create_dir(&partial) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(unusable("create", &partial)(error));
            }
            _ => {}
        }
        let former = NodeFile { successor: None, ..node };
        write_new(&partial.join(NODE), former.encode().as_bytes())?;
        let version = self.path().join(VERSION);
        write_new(&partial.join(VERSION), &fs::read(&version).map_err(unusable("read", &version))?)?;
        for name in STATE {
            let from = self.path().join(name);
            match fs::rename(&from, partial.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(unusable("move", &from)(error));
                }
                _ => {}
            }
        }
        for directory in [&partial, self.path()] {
            sync_directory(directory).map_err(unusable("sync", directory))?;
        }
        fs::rename(&partial, &place).map_err(unusable("rename", &partial))?;
        sync_directory(self.path()).map_err(unusable("sync", self.path()))?;
        Ok(place)
    }

    /// From here on the directory holds the successor, a member of the same cluster.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    ///
    /// # Panics
    /// When the node has no successor.
    pub fn succeed(&mut self) -> Result<(), DataDirError> {
        let node = self.node_file().expect("only a member comes back");
        let successor = node.successor.expect("a successor is named before it takes the place");
        let identity = Identity { node: successor, ..node.identity };
        self.store_node(NodeFile::new(identity))
    }
}

fn place_of(directory: &Path, former: NodeId) -> PathBuf {
    directory.join(format!("lost-{former}"))
}

/// The member whose data dir this is, for a recovery from lost quorum. One that has begun to come back under another id
/// is still that, as long as nothing of it was moved: those who were to take it in may have been lost since.
pub(crate) fn as_it_was(directory: &Path, node: NodeFile) -> Result<NodeFile, DataDirError> {
    let Some(successor) = node.successor else { return Ok(node) };
    let place = place_of(directory, node.identity.node);
    if place.exists() || place.with_extension("partial").exists() {
        let path = directory.to_owned();
        return Err(DataDirError::ComingBack { path, node: node.identity.node, successor });
    }
    Ok(NodeFile { successor: None, ..node })
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), DataDirError> {
    fs::write(path, content).map_err(unusable("write", path))?;
    fs::File::open(path).and_then(|file| file.sync_all()).map_err(unusable("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Look;
    use quorate_wire::{ClusterId, HistoryId};

    fn identity(node: u128) -> Identity {
        Identity { node: NodeId(node), cluster: Some(ClusterId(8)), history: Some(HistoryId(9)) }
    }

    /// The directory of a member.
    fn member(path: &Path) {
        let mut dir = DataDir::open(path).unwrap();
        for name in STATE {
            fs::create_dir(path.join(name)).unwrap();
            fs::write(path.join(name).join("a"), name).unwrap();
        }
        dir.identify(identity(7)).unwrap();
    }

    #[test]
    fn what_was_put_aside_is_no_more_about_to_come_back() {
        let root = tempfile::tempdir().unwrap();
        member(root.path());
        DataDir::open(root.path()).unwrap().begin_succession(NodeId(10)).unwrap();
        let place = set_aside(root.path());
        let former = DataDir::open(&place).unwrap();
        assert_eq!((former.identity(), former.successor()), (Some(&identity(7)), None));
    }

    #[test]
    #[should_panic(expected = "no successor is known")]
    fn a_node_without_a_successor_has_nothing_to_put_aside() {
        let root = tempfile::tempdir().unwrap();
        member(root.path());
        set_aside(root.path());
    }

    fn set_aside(path: &Path) -> PathBuf {
        DataDir::open(path).unwrap().set_former_aside().unwrap()
    }

    #[test]
    fn what_the_former_node_left_is_a_data_dir_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        member(root.path());
        DataDir::open(root.path()).unwrap().begin_succession(NodeId(10)).unwrap();
        let place = set_aside(root.path());
        assert!(matches!(Look::at(root.path()), Err(DataDirError::ComingBack { .. })));
        assert!(matches!(DataDir::open_for_recovery(root.path()), Err(DataDirError::ComingBack { .. })));
        assert_eq!(place, root.path().join(format!("lost-{}", NodeId(7))));
        assert_eq!(Look::at(&place).unwrap().identity, identity(7));
        for name in STATE {
            assert!(!root.path().join(name).exists());
            assert_eq!(fs::read_to_string(place.join(name).join("a")).unwrap(), name);
        }
        let mut dir = DataDir::open(root.path()).unwrap();
        assert_eq!((dir.identity(), dir.successor()), (Some(&identity(7)), Some(NodeId(10))));
        dir.succeed().unwrap();
        assert_eq!((dir.identity(), dir.successor()), (Some(&identity(10)), None));
        drop(dir);
        // It's a member now, and so it needs a term and a vote.
        assert!(matches!(DataDir::open(root.path()), Err(DataDirError::StateMissing { .. })));
        let dir = DataDir::open_without_state(root.path()).unwrap();
        assert_eq!(dir.identity(), Some(&identity(10)));
    }

    /// Those who were to take it in may be lost for good.
    #[test]
    fn as_long_as_nothing_was_moved_it_can_be_recovered_from() {
        let root = tempfile::tempdir().unwrap();
        member(root.path());
        DataDir::open(root.path()).unwrap().begin_succession(NodeId(10)).unwrap();
        let partial = root.path().join(format!("lost-{}.partial", NodeId(7)));
        fs::create_dir(&partial).unwrap();
        assert!(matches!(Look::at(root.path()), Err(DataDirError::ComingBack { .. })));
        assert!(matches!(DataDir::open_for_recovery(root.path()), Err(DataDirError::ComingBack { .. })));
        fs::remove_dir(&partial).unwrap();

        assert_eq!(Look::at(root.path()).unwrap().identity, identity(7));
        let mut dir = DataDir::open_for_recovery(root.path()).unwrap();
        assert_eq!(
            (dir.identity(), dir.successor()),
            (Some(&identity(7)), Some(NodeId(10))),
            "nothing is changed"
        );
        dir.begin_recovery(HistoryId(11)).unwrap();
        assert_eq!((dir.recovering(), dir.successor()), (Some(HistoryId(11)), None));
        drop(dir);
        assert!(matches!(DataDir::open(root.path()), Err(DataDirError::RecoveryUnfinished { .. })));
    }

    /// Whatever was moved when a crash came, the rest follows; and what the successor has begun stays where it is.
    #[test]
    fn an_interrupted_move_is_gone_on_with() {
        for moved in 0..=STATE.len() {
            let root = tempfile::tempdir().unwrap();
            member(root.path());
            DataDir::open(root.path()).unwrap().begin_succession(NodeId(10)).unwrap();
            let partial = root.path().join(format!("lost-{}.partial", NodeId(7)));
            fs::create_dir(&partial).unwrap();
            fs::write(partial.join(NODE), "half of wha").unwrap();
            for name in &STATE[..moved] {
                fs::rename(root.path().join(name), partial.join(name)).unwrap();
            }
            let place = set_aside(root.path());
            assert!(!partial.exists() && Look::at(&place).is_ok(), "{moved}");
            fs::create_dir(root.path().join("stable")).unwrap();
            fs::write(root.path().join("stable/a"), "the successor's").unwrap();
            assert_eq!(set_aside(root.path()), place);
            assert_eq!(fs::read_to_string(root.path().join("stable/a")).unwrap(), "the successor's");
            for name in STATE {
                assert_eq!(fs::read_to_string(place.join(name).join("a")).unwrap(), name, "{moved}");
            }
        }
    }

    /// There may be nothing to move at all.
    #[test]
    fn a_directory_without_state_is_set_aside_too() {
        let root = tempfile::tempdir().unwrap();
        DataDir::open(root.path()).unwrap().identify(identity(7)).unwrap();
        assert!(DataDir::open(root.path()).is_err());
        let mut dir = DataDir::open_without_state(root.path()).unwrap();
        dir.begin_succession(NodeId(10)).unwrap();
        drop(dir);
        let place = set_aside(root.path());
        assert_eq!(fs::read_dir(&place).unwrap().count(), 2, "who it was, and the version");
    }
}
