//! The directory itself: who may use it, and whose it is.
//!
//! ```text
//! LOCK        held while a process runs; holds its pid, for people
//! VERSION     "quorate 1\n": the version of the directory's layout
//! node.toml   node, cluster and history id, with a checksum
//! log/ stable/ snaps/   see the modules of this crate
//! data.json   optional, the seed's format
//! ```
//!
//! `node.toml` is the first file that a new node writes and the one that says that there is a node. So a directory
//! with anything of a node in it, but without a readable `node.toml`, is damaged, and never taken for an empty one: a
//! node that forgot who it is would vote a second time under a new name. These files are locked and read by path,
//! because a lock is a matter of the operating system and not of a [`crate::Disk`].

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use quorate_raft::NodeId;
use quorate_wire::{ClusterId, HistoryId};

use crate::file_disk::sync_directory;
use crate::former::as_it_was;
use crate::layout::is_zero;
pub use crate::node_file::Identity;
use crate::node_file::NodeFile;
use crate::segment::{self, LogFile};
use crate::stable;

pub(crate) const LOCK: &str = "LOCK";
pub(crate) const VERSION: &str = "VERSION";
const VERSION_TEXT: &str = "quorate 1\n";
/// The version of a data dir's format that this release writes, and the only one it reads.
pub const FORMAT_VERSION: u32 = 1;
pub(crate) const NODE: &str = "node.toml";
const STABLE: &str = stable::DIRECTORY;
const DATA_JSON: &str = "data.json";
const IMPORTED: &str = "data.json.imported";
/// What only a node makes.
const OF_A_NODE: [&str; 4] = [VERSION, "log", STABLE, "snaps"];

/// A data dir that cannot be used. Each of these is a matter of configuration (exit code 78): trying again won't help.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process uses it.
    #[error(
        "the data dir {} is in use by {}; stop that one, or give this one another --data-dir",
        path.display(),
        pid.as_ref().map_or("another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other process, if it has said who it is.
        pid: Option<u32>,
    },
    /// Nobody uses it, and a command that only looks wants it to stay as it is. Most are done in a moment.
    #[error(
        "the data dir {} is being looked at, by quorate verify or another command of that kind: wait until it has ended",
        path.display()
    )]
    LookedAt {
        /// The directory.
        path: PathBuf,
    },
    /// It is not empty, and what is in it is not a node's.
    #[error(
        "the data dir {} holds {entry:?}, which is no file of a node; give an empty directory or a node's",
        path.display()
    )]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// A file in it.
        entry: String,
    },
    /// A node's files are there, but not the one that says which.
    #[error(
        "{} is missing beside {entry:?}: which node this was is lost; restore the file from a copy of this very data \
         dir, or remove the node from the cluster and let it join again with an empty data dir",
        path.display()
    )]
    NodeFileMissing {
        /// The missing file.
        path: PathBuf,
        /// What is there.
        entry: String,
    },
    /// The file that says whose directory it is can't be understood.
    #[error(
        "{} is damaged: {reason}; restore it from a copy of this very data dir, or remove the node from the cluster \
         and let it join again with an empty data dir",
        path.display()
    )]
    NodeFileDamaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It names a member of a cluster, whose term and vote are not there. Starting anew under the same id could vote
    /// twice in one term.
    #[error(
        "{} holds no term and vote, although the data dir is that of a member of cluster {cluster}: whom the node voted \
         for is lost; it can only come back under a new id",
        path.display()
    )]
    StateMissing {
        /// The missing directory.
        path: PathBuf,
        /// The cluster.
        cluster: ClusterId,
    },
    /// It was written by another release.
    #[error(
        "{} says {found:?}, and this release knows {VERSION_TEXT:?} alone: use the release that wrote it; nothing was \
         changed",
        path.display()
    )]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// What it says; nothing when it is missing.
        found: String,
    },
    /// A recovery from lost quorum was begun in it and not finished. Its log may be that of a cluster of one already,
    /// while it still bears the history of the old cluster: served now, the two could not be told apart.
    #[error(
        "a recovery of the data dir {} was interrupted; finish it: quorate recover apply {} --confirm {cluster}, with \
         the same --survivor as before",
        path.display(),
        path.display()
    )]
    RecoveryUnfinished {
        /// The directory.
        path: PathBuf,
        /// The cluster.
        cluster: ClusterId,
    },
    /// A backup was being restored into it, and that was not finished. What is there is no node's, and could be taken
    /// for one that is about to join.
    #[error(
        "restoring a backup into the data dir {} was interrupted; finish it with the same command: quorate restore FILE \
         --data-dir {}",
        path.display(),
        path.display()
    )]
    RestoreUnfinished {
        /// The directory.
        path: PathBuf,
    },
    /// Its node has lost what it must not forget, and is on its way back under a new id.
    #[error(
        "the node {node} of the data dir {} has lost its state and is coming back as {successor}: start it, and let \
         it join; what it held is a data dir of its own, lost-{node} in that directory",
        path.display()
    )]
    ComingBack {
        /// The directory.
        path: PathBuf,
        /// The node that it was.
        node: NodeId,
        /// The node that it will be.
        successor: NodeId,
    },
    /// There is no member in it that could be recovered.
    #[error("the data dir {} holds no member of a cluster: is it the right directory?", path.display())]
    NoMember {
        /// The directory.
        path: PathBuf,
    },
    /// The system refused an operation on it.
    #[error("cannot {action} {}: {source}; the data dir has to be a directory that this user may write", path.display())]
    Unusable {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

pub(crate) fn unusable(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DataDirError {
    move |source| DataDirError::Unusable { action, path: path.to_owned(), source }
}

/// A data dir that this process has locked. The lock is given back when this is dropped, or when the process ends
/// however it ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    node: Option<NodeFile>,
    _lock: File,
}

impl DataDir {
    /// Takes the directory, which is made when it isn't there, and finds out whose it is.
    ///
    /// # Errors
    /// [`DataDirError`]. Nothing in the directory was changed then, but for the lock file.
    pub fn open(path: impl Into<PathBuf>) -> Result<DataDir, DataDirError> {
        DataDir::open_for_service(path.into(), true)
    }

    /// Takes the directory of a member whose term and vote are missing, so that it can come back under a new id.
    ///
    /// # Errors
    /// As [`DataDir::open`], but for [`DataDirError::StateMissing`].
    pub fn open_without_state(path: impl Into<PathBuf>) -> Result<DataDir, DataDirError> {
        DataDir::open_for_service(path.into(), false)
    }

    fn open_for_service(path: PathBuf, needs_state: bool) -> Result<DataDir, DataDirError> {
        fs::create_dir_all(&path).map_err(unusable("create", &path))?;
        let directory = DataDir::take(path, needs_state)?;
        let node = directory.node.filter(|node| node.recovering.is_some());
        match node.and_then(|node| node.identity.cluster) {
            Some(cluster) => Err(DataDirError::RecoveryUnfinished { path: directory.path, cluster }),
            None if directory.restoring().is_some() => {
                Err(DataDirError::RestoreUnfinished { path: directory.path })
            }
            None => Ok(directory),
        }
    }

    /// Takes the directory of a member, also when a recovery was begun in it, when there is a log without term and
    /// vote, or when it had begun to come back under another id and nothing was moved yet.
    ///
    /// # Errors
    /// [`DataDirError`]. Nothing in the directory was changed then, but for the lock file.
    pub fn open_for_recovery(path: impl Into<PathBuf>) -> Result<DataDir, DataDirError> {
        let path = path.into();
        refuse_other_versions(&path)?;
        match read_node_file(&path)? {
            Some(node @ NodeFile { identity: Identity { cluster: Some(_), history: Some(_), .. }, .. }) => {
                let node = as_it_was(&path, node)?;
                let directory = DataDir::take(path, false)?;
                check_state_or_log(&directory.path, &node)?;
                Ok(directory)
            }
            _ => Err(DataDirError::NoMember { path }),
        }
    }

    pub(crate) fn take(path: PathBuf, needs_state: bool) -> Result<DataDir, DataDirError> {
        refuse_other_versions(&path)?;
        let lock = lock(&path)?;
        let directory = DataDir { node: read_node_file(&path)?, path, _lock: lock };
        if let Some(node) = &directory.node {
            if !has_version(&directory.path)? {
                directory.write(VERSION, VERSION_TEXT.as_bytes())?;
            }
            if needs_state {
                check_state(&directory.path, node)?;
            }
        }
        Ok(directory)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whose it is; `None` when it is empty.
    pub fn identity(&self) -> Option<&Identity> {
        self.node.as_ref().map(|node| &node.identity)
    }

    /// The history that a recovery was to begin, when one was interrupted here.
    pub fn recovering(&self) -> Option<HistoryId> {
        self.node.and_then(|node| node.recovering)
    }

    /// Notes, durably, that a recovery begins here which will lead to `history`. Until [`DataDir::identify`] ends it,
    /// no process can open the directory but for going on with it.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    ///
    /// # Panics
    /// When it holds no member, or another recovery was begun.
    pub fn begin_recovery(&mut self, history: HistoryId) -> Result<(), DataDirError> {
        let node = self.node.as_ref().expect("only a member's directory is recovered");
        assert!(
            node.recovering.is_none_or(|begun| begun == history),
            "{history} after {:?}",
            node.recovering
        );
        // It does not come back under another id: it goes on under its own.
        let node = NodeFile { recovering: Some(history), successor: None, ..*node };
        self.store_node(node)
    }

    /// Makes it this node's, durably: of a new node, of one that has learnt its cluster, or of one that was recovered.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    ///
    /// # Panics
    /// When it belongs to another node: ids are never changed.
    pub fn identify(&mut self, identity: Identity) -> Result<(), DataDirError> {
        let known = self.node.map_or(identity.node, |known| known.identity.node);
        assert_eq!(known, identity.node, "the data dir belongs to another node");
        self.store_node(NodeFile::new(identity))?;
        self.store_version()
    }

    pub(crate) fn store_version(&self) -> Result<(), DataDirError> {
        if has(&self.path, VERSION) { Ok(()) } else { self.write(VERSION, VERSION_TEXT.as_bytes()) }
    }

    pub(crate) fn node_file(&self) -> Option<NodeFile> {
        self.node
    }

    pub(crate) fn store_node(&mut self, node: NodeFile) -> Result<(), DataDirError> {
        self.write(NODE, node.encode().as_bytes())?;
        self.node = Some(node);
        Ok(())
    }

    /// The content of `data.json`, if there is one.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    pub fn data_json(&self) -> Result<Option<Vec<u8>>, DataDirError> {
        let path = self.path.join(DATA_JSON);
        match fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable("read", &path)(error)),
        }
    }

    /// Puts `data.json` aside, because its content is in the log now. Nothing happens when that was done before, so
    /// a crash between importing and this is harmless: the import only has to see that it's not its first time.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`].
    pub fn retire_data_json(&self) -> Result<(), DataDirError> {
        let path = self.path.join(DATA_JSON);
        match fs::rename(&path, self.path.join(IMPORTED)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.map_err(unusable("rename", &path))?,
        }
        sync_directory(&self.path).map_err(unusable("sync", &self.path))
    }

    /// Writes a file so that after a crash either all of it is there or what was before.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> Result<(), DataDirError> {
        let temporary = self.path.join(format!("{name}.tmp"));
        let mut file = File::create(&temporary).map_err(unusable("create", &temporary))?;
        file.write_all(content).map_err(unusable("write", &temporary))?;
        file.sync_all().map_err(unusable("sync", &temporary))?;
        fs::rename(&temporary, self.path.join(name)).map_err(unusable("rename", &temporary))?;
        sync_directory(&self.path).map_err(unusable("sync", &self.path))
    }
}

fn has(directory: &Path, name: &str) -> bool {
    directory.join(name).exists()
}

/// Reads `node.toml`; nothing when the directory is empty.
pub(crate) fn read_node_file(directory: &Path) -> Result<Option<NodeFile>, DataDirError> {
    let path = directory.join(NODE);
    match fs::read(&path) {
        Ok(content) => match NodeFile::decode(&content) {
            Ok(node) => return Ok(Some(node)),
            Err(reason) => return Err(DataDirError::NodeFileDamaged { path, reason }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable("read", &path)(error)),
    }
    if let Some(entry) = OF_A_NODE.into_iter().find(|name| has(directory, name)) {
        return Err(DataDirError::NodeFileMissing { path, entry: entry.to_owned() });
    }
    for entry in fs::read_dir(directory).map_err(unusable("list", directory))? {
        let name = entry.map_err(unusable("list", directory))?.file_name();
        let name = name.to_string_lossy();
        let harmless = [LOCK, "lost+found", DATA_JSON].contains(&&*name) || name.ends_with(".tmp");
        if !harmless {
            return Err(DataDirError::Foreign { path: directory.to_owned(), entry: name.into_owned() });
        }
    }
    Ok(None)
}

/// Refuses a directory of another version, also one that can't be understood otherwise: what a release must not take
/// for damage comes first.
pub(crate) fn refuse_other_versions(directory: &Path) -> Result<(), DataDirError> {
    if has(directory, VERSION) { has_version(directory).map(drop) } else { Ok(()) }
}

/// Whether the layout's version is written down; one of another release is an error.
pub(crate) fn has_version(directory: &Path) -> Result<bool, DataDirError> {
    let path = directory.join(VERSION);
    match fs::read(&path) {
        Ok(found) if found == VERSION_TEXT.as_bytes() => Ok(true),
        Ok(found) => {
            let found = String::from_utf8_lossy(&found).into_owned();
            Err(DataDirError::UnknownVersion { path, found })
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unusable("read", &path)(error)),
        // A crash came between the two files; storage had not begun.
        Err(_) if !OF_A_NODE.into_iter().any(|name| has(directory, name)) => Ok(false),
        Err(_) => Err(DataDirError::UnknownVersion { path, found: String::new() }),
    }
}

/// A member's storage was begun before `node.toml` named its cluster: one without term and vote has lost them. Files of
/// zeros are none either: storage would begin anew with them, beside an empty log. One on its way back has none yet.
pub(crate) fn check_state(directory: &Path, node: &NodeFile) -> Result<(), DataDirError> {
    let NodeFile { identity: Identity { cluster: Some(cluster), .. }, successor: None, .. } = node else {
        return Ok(());
    };
    let written = |path: &str| match fs::read(directory.join(path)) {
        Ok(content) => !is_zero(&content),
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    };
    if stable::PATHS.iter().any(|path| written(path)) {
        return Ok(());
    }
    Err(DataDirError::StateMissing { path: directory.join(STABLE), cluster: *cluster })
}

/// The same for a recovery from lost quorum, which can do without term and vote where there is a log.
pub(crate) fn check_state_or_log(directory: &Path, node: &NodeFile) -> Result<(), DataDirError> {
    let names = fs::read_dir(directory.join(segment::DIRECTORY)).into_iter().flatten().flatten();
    let mut files = names.filter_map(|entry| LogFile::from_name(entry.file_name().to_str()?));
    let has_log = files.any(|file| matches!(file, LogFile::Segment(_)));
    if has_log { Ok(()) } else { check_state(directory, node) }
}

fn lock(directory: &Path) -> Result<File, DataDirError> {
    let path = directory.join(LOCK);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(unusable("write", &path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let directory = directory.to_owned();
            // Who only looks shares the lock with others who do.
            return Err(match file.try_lock_shared() {
                Ok(()) => DataDirError::LookedAt { path: directory },
                Err(_) => DataDirError::Locked { path: directory, pid: pid(&path) },
            });
        }
        Err(TryLockError::Error(error)) => return Err(unusable("lock", &path)(error)),
    }
    file.set_len(0).map_err(unusable("write", &path))?;
    writeln!(file, "{}", std::process::id()).map_err(unusable("write", &path))?;
    Ok(file)
}

/// The process that a lock file names.
pub(crate) fn pid(lock: &Path) -> Option<u32> {
    fs::read_to_string(lock).ok().and_then(|text| text.trim().parse().ok())
}

#[cfg(test)]
#[path = "data_dir_tests.rs"]
mod tests;
