//! The copy that is made before anything is changed.
//!
//! It is made under another name and gets its own when all of it is durable, so a copy that bears its name is whole.
//! One that an interrupted attempt has left is made anew, or, when it was finished, compared byte by byte and kept.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::paths::with_suffix;

/// What is no part of a node's data: who uses the directory, and what the file system keeps there. Nor is a file with
/// [`UNFINISHED`], which a crash has left: so a `node.toml` that was about to be written makes no difference.
const LEFT_OUT: [&str; 2] = ["LOCK", "lost+found"];

/// How the names of files end that are worth nothing after a crash.
const UNFINISHED: &str = ".tmp";

/// What the recovery itself may write, besides the copy: a few segments of the log.
const ROOM_BYTES: u64 = 64 << 20;

/// Why there is no copy. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AsideError {
    /// Something else bears its name.
    #[error(
        "{} is there already, and is no copy of the data dir as it is now: move it away, or give another place with \
         --aside",
        .0.display()
    )]
    Exists(PathBuf),
    /// It would be copied into itself.
    #[error("{} is in the data dir that is to be copied: give another place with --aside", .0.display())]
    Inside(PathBuf),
    /// The file system is too full.
    #[error(
        "the copy at {} and the recovery need {needed} bytes, and {free} are free there: free some, or give another \
         place with --aside",
        place.display()
    )]
    NoSpace {
        /// Where the copy was to be.
        place: PathBuf,
        /// What it takes, in bytes.
        needed: u64,
        /// What there is, in bytes.
        free: u64,
    },
    /// The system refused an operation.
    #[error(
        "can't {action} {}: {source}; the data dir is as it was: mend that, or give another place for its copy with --aside",
        path.display()
    )]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

fn refused(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> AsideError {
    move |source| AsideError::Io { action, path: path.to_owned(), source }
}

/// Copies the data dir `from`, which is locked, to `to`, durably. A file of `lost`, whose content is known to be worth
/// nothing, is left out when it can't be read; those are returned.
pub(crate) fn copy_aside(
    from: &Path,
    to: &Path,
    lost: &[&'static str],
) -> Result<Vec<&'static str>, AsideError> {
    // Without a slash at its end, which would make the name of the unfinished copy one inside it.
    let to: &Path = &to.components().collect::<PathBuf>();
    let parent = parent(to);
    let whole = |path: &Path| path.canonicalize().map_err(refused("find", path));
    if whole(parent)?.starts_with(whole(from)?) {
        return Err(AsideError::Inside(to.to_owned()));
    }
    let unreadable: Vec<&str> = lost.iter().copied().filter(|name| is_unreadable(&from.join(name))).collect();
    let tree = |root: &Path| Tree {
        root: root.to_owned(),
        left_out: unreadable.iter().map(|name| root.join(name)).collect(),
    };
    if fs::symlink_metadata(to).is_ok() {
        let same = same(&tree(from), &tree(to)).map_err(refused("compare the data dir with", to))?;
        // The attempt that made it may have been ended before its name was durable.
        return if same { sync(parent).map(|()| unreadable) } else { Err(AsideError::Exists(to.to_owned())) };
    }
    let partial = with_suffix(to, ".partial");
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(refused("remove", &partial)(error));
        }
        _ => {}
    }
    let tree = tree(from);
    check_space(&tree, to, parent)?;
    tree.copy(from, &partial).inspect_err(|_| {
        // What is left of it is in the way of nothing but the next attempt, which removes it.
        let _ = fs::remove_dir_all(&partial);
    })?;
    fs::rename(&partial, to).map_err(refused("rename", &partial))?;
    sync(parent).map(|()| unreadable)
}

/// Whether a file is there and can't be read to its end.
fn is_unreadable(path: &Path) -> bool {
    fs::read(path).is_err_and(|error| error.kind() != io::ErrorKind::NotFound)
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."))
}

fn check_space(from: &Tree, to: &Path, parent: &Path) -> Result<(), AsideError> {
    let root = &from.root;
    let needed = from.bytes(root).map_err(refused("measure", root))? + ROOM_BYTES;
    let space = statvfs(parent).map_err(io::Error::from).map_err(refused("look for space in", parent))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free >= needed { Ok(()) } else { Err(AsideError::NoSpace { place: to.to_owned(), needed, free }) }
}

/// A directory and what is in it, but for some files.
#[derive(Debug)]
struct Tree {
    root: PathBuf,
    left_out: Vec<PathBuf>,
}

impl Tree {
    /// What is in a directory and belongs to the node, sorted.
    fn entries(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            let name = entry?.file_name();
            let text = name.to_string_lossy();
            let is_left_out = LEFT_OUT.contains(&&*text) || self.left_out.contains(&directory.join(&name));
            if !is_left_out && !text.ends_with(UNFINISHED) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    fn bytes(&self, directory: &Path) -> io::Result<u64> {
        let mut total = 0;
        for name in self.entries(directory)? {
            let path = directory.join(name);
            let metadata = fs::metadata(&path)?;
            total += if metadata.is_dir() { self.bytes(&path)? } else { metadata.len() };
        }
        Ok(total)
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), AsideError> {
        fs::create_dir(to).map_err(refused("create", to))?;
        for name in self.entries(from).map_err(refused("list", from))? {
            let (from, to) = (from.join(&name), to.join(&name));
            if fs::metadata(&from).map_err(refused("read", &from))?.is_dir() {
                self.copy(&from, &to)?;
            } else {
                fs::copy(&from, &to).map_err(refused("copy to", &to))?;
                sync(&to)?;
            }
        }
        let permissions = fs::metadata(from).map_err(refused("read", from))?.permissions();
        fs::set_permissions(to, permissions).map_err(refused("set the permissions of", to))?;
        sync(to)
    }
}

fn sync(path: &Path) -> Result<(), AsideError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(refused("sync", path))
}

/// Whether two directories hold the same bytes under the same names.
fn same(one: &Tree, other: &Tree) -> io::Result<bool> {
    same_below(one, &one.root, other, &other.root)
}

fn same_below(one: &Tree, here: &Path, other: &Tree, there: &Path) -> io::Result<bool> {
    let names = one.entries(here)?;
    if !fs::metadata(there)?.is_dir() || names != other.entries(there)? {
        return Ok(false);
    }
    for name in names {
        let (here, there) = (here.join(&name), there.join(&name));
        let same = match fs::metadata(&here)?.is_dir() {
            true => same_below(one, &here, other, &there)?,
            false => same_file(&here, &there)?,
        };
        if !same {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_file(one: &Path, other: &Path) -> io::Result<bool> {
    const PIECE_BYTES: u64 = 1 << 20;
    let (one_metadata, other_metadata) = (fs::metadata(one)?, fs::metadata(other)?);
    if !other_metadata.is_file() || one_metadata.len() != other_metadata.len() {
        return Ok(false);
    }
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    loop {
        let (mut left, mut right) = (Vec::new(), Vec::new());
        Read::by_ref(&mut one).take(PIECE_BYTES).read_to_end(&mut left)?;
        Read::by_ref(&mut other).take(PIECE_BYTES).read_to_end(&mut right)?;
        if left != right || left.is_empty() {
            return Ok(left == right);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds_the_same(one: &Path, other: &Path) -> bool {
        let tree = |root: &Path| Tree { root: root.to_owned(), left_out: Vec::new() };
        same(&tree(one), &tree(other)).unwrap()
    }

    #[test]
    fn a_copy_is_whole_or_made_anew_and_never_takes_the_place_of_something_else() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("node"), root.path().join("copy"));
        fs::create_dir_all(from.join("log")).unwrap();
        for (name, content) in [("node.toml", "who"), ("LOCK", "4711"), ("log/1", "entries")] {
            fs::write(from.join(name), content).unwrap();
        }
        // An attempt was interrupted in the middle.
        let partial = with_suffix(&to, ".partial");
        fs::create_dir_all(partial.join("log")).unwrap();
        fs::write(partial.join("log/0"), "stale").unwrap();
        copy_aside(&from, &to, &[]).unwrap();
        assert!(holds_the_same(&from, &to) && !partial.exists());
        assert_eq!(fs::read_to_string(to.join("log/1")).unwrap(), "entries");
        assert!(!to.join("LOCK").exists() && !to.join("log/0").exists());

        // An attempt was interrupted right after it had copied, or when it wrote down that it begins.
        copy_aside(&from, &to, &[]).unwrap();
        fs::write(from.join("node.toml.tmp"), "wh").unwrap();
        copy_aside(&from, &to, &[]).unwrap();
        for changed in ["log/1", "log/2"] {
            fs::write(from.join(changed), "ENTRIES").unwrap();
            assert!(
                matches!(copy_aside(&from, &to, &[]), Err(AsideError::Exists(path)) if path == to),
                "{changed}"
            );
            fs::remove_dir_all(&to).unwrap();
            copy_aside(&from, &to, &[]).unwrap();
        }
        let file = root.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(copy_aside(&from, &file, &[]), Err(AsideError::Exists(_))));
        for inside in [from.join("copy"), from.join("log/copy"), root.path().join("node/../node/copy")] {
            assert!(matches!(copy_aside(&from, &inside, &[]), Err(AsideError::Inside(_))), "{inside:?}");
        }
        let slash = root.path().join("other/");
        copy_aside(&from, &slash, &[]).unwrap();
        assert!(holds_the_same(&from, &slash));
    }

    /// What can't be read stands for a sector that is gone.
    #[test]
    fn what_is_lost_and_unreadable_is_left_out_and_named() {
        const LOST: [&str; 3] = ["stable/a", "stable/b", "stable/c"];
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("node"), root.path().join("copy"));
        fs::create_dir_all(from.join("stable")).unwrap();
        fs::write(from.join("node.toml"), "who").unwrap();
        fs::write(from.join("stable/b"), "garbage").unwrap();
        std::os::unix::fs::symlink("a", from.join("stable/a")).unwrap();
        assert!(matches!(copy_aside(&from, &to, &[]), Err(AsideError::Io { .. })), "nothing else may be");
        assert!(!to.exists());
        for attempt in ["the first", "one after it was interrupted"] {
            assert_eq!(copy_aside(&from, &to, &LOST).unwrap(), ["stable/a"], "{attempt}");
        }
        assert_eq!(fs::read_to_string(to.join("stable/b")).unwrap(), "garbage");
        assert!(to.join("node.toml").exists() && to.join("stable/a").symlink_metadata().is_err());
    }

    #[test]
    fn a_file_system_without_room_is_refused_before_anything_is_copied() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("node"), root.path().join("copy"));
        fs::create_dir(&from).unwrap();
        // Takes no room itself, but a copy might: no file system of today has an exabyte to spare.
        File::create(from.join("large")).unwrap().set_len(1 << 42).unwrap();
        let free = statvfs(root.path()).map(|space| space.f_bavail * space.f_frsize).unwrap();
        assert!(free < 1 << 42, "this test needs a smaller file system");
        let refused = copy_aside(&from, &to, &[]).unwrap_err();
        assert!(matches!(refused, AsideError::NoSpace { .. }), "{refused}");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
