//! What disks and people do to the files of a node that is not running.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use quorate_sim::random::Random;

const SECTOR_BYTES: u64 = 512;

/// Every file below a folder but for the lock, with what it holds.
///
/// # Panics
/// When one of them can't be read.
pub fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("the folder can be listed").path();
        match path.is_dir() {
            true => found.extend(contents(&path)),
            false if path.ends_with("LOCK") => {}
            false => drop(found.insert(path.clone(), fs::read(&path).expect("a file of ours can be read"))),
        }
    }
    found
}

/// A kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// A few random bytes of a file are others.
    Flipped,
    /// A few runs of sectors read as zeros.
    Zeroed,
    /// A file ends too early.
    Truncated,
    /// A file is gone.
    Deleted,
}

impl Harm {
    /// All of them.
    pub const ALL: [Harm; 4] = [Harm::Flipped, Harm::Zeroed, Harm::Truncated, Harm::Deleted];

    /// Does it to a file, and says what was done where.
    ///
    /// # Errors
    /// What the system says.
    pub fn strike(self, path: &Path, random: &mut Random) -> io::Result<String> {
        let length = fs::metadata(path)?.len();
        let place = |random: &mut Random| random.between(0, length.saturating_sub(1));
        let file = || OpenOptions::new().read(true).write(true).open(path);
        let mut places = Vec::new();
        match self {
            Harm::Flipped => {
                let file = file()?;
                for _ in 0..random.between(1, 12) {
                    let at = place(random);
                    let mut byte = [0];
                    file.read_exact_at(&mut byte, at)?;
                    byte[0] ^= u8::try_from(random.between(1, 255)).unwrap_or(1);
                    file.write_all_at(&byte, at)?;
                    places.push(at);
                }
            }
            Harm::Zeroed => {
                let file = file()?;
                for _ in 0..random.between(1, 3) {
                    let start = place(random) / SECTOR_BYTES * SECTOR_BYTES;
                    let end = length.min(start + SECTOR_BYTES * random.between(1, 12));
                    file.write_all_at(&vec![0; usize::try_from(end - start).unwrap_or(0)], start)?;
                    places.push(start);
                }
            }
            Harm::Truncated => {
                let end = place(random);
                file()?.set_len(end)?;
                places.push(end);
            }
            Harm::Deleted => fs::remove_file(path)?,
        }
        Ok(format!("{self:?} {} at {places:?} of {length}", path.display()))
    }
}

/// The files below a directory of a data dir whose names end so, sorted.
///
/// # Errors
/// What the system says.
pub fn files(data_dir: &Path, directory: &str, end: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(data_dir.join(directory))? {
        let path = entry?.path();
        if path.is_file() && path.to_string_lossy().ends_with(end) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Puts a copy of a directory in place of another.
///
/// # Errors
/// What the system says.
pub fn replace_directory(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            replace_directory(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// A file as it was, so that damage can be taken back.
#[derive(Debug)]
pub struct Before {
    path: PathBuf,
    content: Vec<u8>,
}

impl Before {
    /// Remembers a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), content: fs::read(path)? })
    }

    /// Puts it back.
    ///
    /// # Errors
    /// What the system says.
    pub fn restore(&self) -> io::Result<()> {
        File::create(&self.path)?.write_all_at(&self.content, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_changes_a_file_and_can_be_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        let content = vec![7; 10_000];
        fs::write(&path, &content).unwrap();
        for (number, harm) in Harm::ALL.into_iter().enumerate() {
            let before = Before::of(&path).unwrap();
            let said = harm.strike(&path, &mut Random::new(number as u64)).unwrap();
            assert!(said.contains("of 10000"), "{said}");
            let after = fs::read(&path).ok();
            assert_ne!(after.as_ref(), Some(&content), "{said}");
            let same_length = after.is_some_and(|after| after.len() == content.len());
            assert_eq!(same_length, matches!(harm, Harm::Flipped | Harm::Zeroed), "{said}");
            before.restore().unwrap();
            assert_eq!(fs::read(&path).unwrap(), content);
        }
    }

    #[test]
    fn a_copy_takes_the_place_of_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::create_dir_all(from.join("log")).unwrap();
        fs::create_dir_all(to.join("old")).unwrap();
        fs::write(from.join("log/a.log"), "1").unwrap();
        replace_directory(&from, &to).unwrap();
        assert_eq!(files(&to, "log", ".log").unwrap(), [to.join("log/a.log")]);
        assert!(!to.join("old").exists());
    }
}
