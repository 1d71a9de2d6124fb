//! A disk that is only read: what is written stays in memory, over it.
//!
//! Storage mends what it opens: it writes the term and vote anew, cuts a torn batch, puts damaged checkpoints
//! aside. Opened on an overlay, it does all that to a ghost of the files, and tells exactly what a node would find,
//! by the very code that the node would run.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use crate::disk::{Disk, DiskFile};

/// A disk over another one, which is never changed. Clones share the changes.
#[derive(Debug)]
pub struct Overlay<D: Disk> {
    below: D,
    changes: Rc<RefCell<Changes<D::File>>>,
}

impl<D: Disk + Clone> Clone for Overlay<D> {
    fn clone(&self) -> Self {
        Overlay { below: self.below.clone(), changes: Rc::clone(&self.changes) }
    }
}

#[derive(Debug)]
struct Changes<F> {
    /// What was opened, created or renamed by path; nothing for a name that was removed.
    files: BTreeMap<String, Option<OverlayFile<F>>>,
    directories: BTreeSet<String>,
}

/// A file of an [`Overlay`].
#[derive(Debug)]
pub struct OverlayFile<F> {
    content: Rc<RefCell<Content<F>>>,
}

#[derive(Debug)]
struct Content<F> {
    below: Option<F>,
    /// What was written, in this order.
    writes: Vec<(u64, Vec<u8>)>,
}

impl<F> OverlayFile<F> {
    fn new(below: Option<F>) -> Self {
        OverlayFile { content: Rc::new(RefCell::new(Content { below, writes: Vec::new() })) }
    }

    fn share(&self) -> Self {
        OverlayFile { content: Rc::clone(&self.content) }
    }
}

fn not_found() -> io::Error {
    io::Error::from(io::ErrorKind::NotFound)
}

impl<D: Disk> Overlay<D> {
    /// An overlay without any change.
    pub fn new(below: D) -> Overlay<D> {
        let changes = Changes { files: BTreeMap::new(), directories: BTreeSet::new() };
        Overlay { below, changes: Rc::new(RefCell::new(changes)) }
    }
}

impl<D: Disk> Disk for Overlay<D> {
    type File = OverlayFile<D::File>;

    fn open(&self, path: &str) -> io::Result<Self::File> {
        let mut changes = self.changes.borrow_mut();
        match changes.files.get(path) {
            Some(Some(file)) => Ok(file.share()),
            Some(None) => Err(not_found()),
            None => {
                let file = OverlayFile::new(Some(self.below.open(path)?));
                changes.files.insert(path.to_owned(), Some(file.share()));
                Ok(file)
            }
        }
    }

    fn create(&self, path: &str) -> io::Result<Self::File> {
        let file = OverlayFile::new(None);
        self.changes.borrow_mut().files.insert(path.to_owned(), Some(file.share()));
        Ok(file)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        let changes = self.changes.borrow();
        let mut names: BTreeSet<String> = match self.below.list(directory) {
            Ok(names) => names.into_iter().collect(),
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && changes.directories.contains(directory) =>
            {
                BTreeSet::new()
            }
            Err(error) => return Err(error),
        };
        for (path, file) in &changes.files {
            let Some((_, name)) = path.rsplit_once('/').filter(|(parent, _)| *parent == directory) else {
                continue;
            };
            match file {
                Some(_) => names.insert(name.to_owned()),
                None => names.remove(name),
            };
        }
        Ok(names.into_iter().collect())
    }

    fn create_dir(&self, directory: &str) -> io::Result<()> {
        self.changes.borrow_mut().directories.insert(directory.to_owned());
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let file = self.open(from)?;
        let mut changes = self.changes.borrow_mut();
        // In this order: a file may be renamed to what it's called already.
        changes.files.insert(from.to_owned(), None);
        changes.files.insert(to.to_owned(), Some(file));
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.open(path)?;
        self.changes.borrow_mut().files.insert(path.to_owned(), None);
        Ok(())
    }

    fn sync_dir(&self, _directory: &str) -> io::Result<()> {
        Ok(())
    }

    /// Nothing is written to the disk.
    fn free_bytes(&self) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl<F: DiskFile> DiskFile for OverlayFile<F> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.len()?.saturating_sub(offset);
        let count = usize::try_from(rest).map_or(buffer.len(), |rest| rest.min(buffer.len()));
        let buffer = &mut buffer[..count];
        let content = self.content.borrow();
        let read = content.below.as_ref().map_or(Ok(0), |below| below.read_at(buffer, offset))?;
        buffer[read..].fill(0);
        for (start, bytes) in &content.writes {
            // Where the write and the buffer overlap, each from its own beginning.
            let to = usize::try_from(start.saturating_sub(offset)).unwrap_or(usize::MAX).min(count);
            let from = usize::try_from(offset.saturating_sub(*start)).unwrap_or(usize::MAX).min(bytes.len());
            let length = (count - to).min(bytes.len() - from);
            buffer[to..to + length].copy_from_slice(&bytes[from..from + length]);
        }
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        // Writing nothing does not make a file longer.
        if !bytes.is_empty() {
            self.content.borrow_mut().writes.push((offset, bytes.to_vec()));
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        let content = self.content.borrow();
        let below = content.below.as_ref().map_or(Ok(0), DiskFile::len)?;
        let ends = content.writes.iter().map(|(start, bytes)| start + bytes.len() as u64);
        Ok(ends.fold(below, u64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_disk::MemoryDisk;
    use crate::random::Random;

    /// The same operations, drawn at random, on an overlay over a disk and on a disk with the same content.
    #[test]
    fn it_is_a_disk_like_any_other_and_leaves_the_one_below_alone() {
        let mut random = Random::new(3);
        let mut draw = |below: u64| random.next() % below;
        for round in 0..200 {
            let below = MemoryDisk::new();
            below.create_dir("d").unwrap();
            for name in ["d/a", "d/b"] {
                below.create(name).unwrap().write_at(&[7; 50], draw(20)).unwrap();
            }
            let (twin, before, changes) = (below.duplicate(), below.files(), below.changes());
            let overlay = Overlay::new(below.clone());
            for step in 0..40 {
                let path = ["d/a", "d/b", "d/c"][usize::try_from(draw(3)).unwrap()];
                let context = format!("round {round}, step {step}: {path}");
                match draw(6) {
                    0 => assert_eq!(overlay.create(path).is_ok(), twin.create(path).is_ok(), "{context}"),
                    1 => assert_eq!(overlay.remove(path).is_ok(), twin.remove(path).is_ok(), "{context}"),
                    2 => {
                        let (one, other) = (overlay.rename(path, "d/a"), twin.rename(path, "d/a"));
                        assert_eq!(one.is_ok(), other.is_ok(), "{context}");
                    }
                    _ => {
                        let (offset, length, byte) = (draw(80), draw(40), draw(256));
                        let bytes = vec![u8::try_from(byte).unwrap(); usize::try_from(length).unwrap()];
                        let (Ok(one), Ok(other)) = (overlay.open(path), twin.open(path)) else {
                            assert!(overlay.open(path).is_err() && twin.open(path).is_err(), "{context}");
                            continue;
                        };
                        one.write_at(&bytes, offset).unwrap();
                        other.write_at(&bytes, offset).unwrap();
                        let from = draw(100);
                        let (mut seen, mut wanted) = ([1; 30], [1; 30]);
                        let read = (one.read_at(&mut seen, from).unwrap(), one.len().unwrap());
                        let expected = (other.read_at(&mut wanted, from).unwrap(), other.len().unwrap());
                        assert_eq!((read, seen), (expected, wanted), "{context}");
                    }
                }
                assert_eq!(overlay.list("d").unwrap(), twin.list("d").unwrap(), "{context}");
            }
            assert_eq!((below.files(), below.changes()), (before, changes));
        }
    }

    fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
        result.err().unwrap().kind()
    }

    #[test]
    fn directories_are_those_below_and_those_made_since() {
        let below = MemoryDisk::new();
        below.create_dir("log").unwrap();
        below.create("log/a").unwrap();
        let overlay = Overlay::new(below.clone());
        assert_eq!(kind(overlay.list("snaps")), io::ErrorKind::NotFound);
        overlay.create_dir("snaps").unwrap();
        assert_eq!(overlay.list("snaps").unwrap(), [""; 0]);
        overlay.create("snaps/b").unwrap();
        overlay.create("log/c").unwrap();
        overlay.remove("log/a").unwrap();
        assert_eq!(overlay.list("snaps").unwrap(), ["b"]);
        assert_eq!(overlay.list("log").unwrap(), ["c"]);
        assert_eq!(kind(below.list("snaps")), io::ErrorKind::NotFound, "nothing of it is below");
        assert_eq!(below.list("log").unwrap(), ["a"]);
        assert_eq!(overlay.free_bytes().unwrap(), u64::MAX);
    }

    #[test]
    fn a_directory_that_can_not_be_listed_is_not_an_empty_one() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("log"), "a file").unwrap();
        let overlay = Overlay::new(crate::FileDisk::read_only(root.path()));
        overlay.create_dir("log").unwrap();
        assert_eq!(kind(overlay.list("log")), io::ErrorKind::NotADirectory);
    }
}
