//! `FILE.partial`: what has come of a backup, and its way to `FILE`.
//!
//! What is in it is verified before anything is added, however it was left: the process may have been killed in the
//! middle of a write, or the machine may have lost what was written last.
//!
//! A whole backup that waits for its name is a backup. When the store has moved on, it goes to `FILE.partial.whole`,
//! and is removed only once there is a newer one under the name `FILE`.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use quorate_storage::backup::{Flaw, Verifier};

use crate::cli::exit::{Exit, Failure};
use crate::cli::files::{failed, name_durably, open_alone};
use crate::paths::with_suffix;

/// How much is read at a time, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// The unfinished file, which nobody else may write to.
#[derive(Debug)]
pub(super) struct Partial {
    path: PathBuf,
    file: File,
    verifier: Verifier,
}

/// Why bytes were not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// They are not those of a backup. What was sound before is still there.
    Flaw(Flaw),
    /// The file can't be written.
    Failed(Failure),
}

impl Partial {
    /// Takes the file, which is made when it isn't there, and verifies what is in it. What is not sound is cut off.
    pub(super) fn open(path: PathBuf) -> Result<Partial, Failure> {
        let file = open_alone(&path)?;
        let mut partial = Partial { path, file, verifier: Verifier::new() };
        partial.verify()?;
        Ok(partial)
    }

    /// What has come.
    pub(super) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// The tag of the backup, when it was begun.
    pub(super) fn tag(&self) -> Option<String> {
        Some(self.verifier.header()?.tag().to_string())
    }

    /// What it is, for people; when all of it is there.
    pub(super) fn whole(&self) -> Option<String> {
        let header = self.verifier.header().filter(|_| self.verifier.is_complete())?;
        Some(format!("{} is a whole backup, of revision {}", self.path.display(), header.revision))
    }

    /// Removes the file when nothing has come.
    pub(super) fn remove_empty(self) {
        if self.verifier.taken_bytes() == 0 {
            // It is in nobody's way.
            let _ = fs::remove_file(&self.path);
        }
    }

    /// Takes the next bytes.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), NotTaken> {
        if let Err(flaw) = self.verifier.feed(bytes) {
            let sound = self.verifier.sound_bytes();
            self.cut(sound).and_then(|()| self.verify()).map_err(NotTaken::Failed)?;
            return Err(NotTaken::Flaw(flaw));
        }
        self.file.write_all(bytes).map_err(|error| NotTaken::Failed(failed("write", &self.path, &error)))
    }

    /// Where a whole one is kept while a newer one comes; when there is one.
    pub(super) fn kept(&self) -> Option<PathBuf> {
        Some(kept_beside(&self.path)).filter(|kept| kept.symlink_metadata().is_ok())
    }

    /// Begins with nothing. What has come is forgotten; when all of it has, it is kept, under another name.
    ///
    /// In that case somebody else may have been here before the file was taken again.
    pub(super) fn begin_again(&mut self) -> Result<(), Failure> {
        if self.verifier.is_complete() {
            name_durably(&self.file, &self.path, &kept_beside(&self.path))?;
            *self = Partial::open(self.path.clone())?;
        }
        self.cut(0)?;
        self.verifier = Verifier::new();
        Ok(())
    }

    /// Gives the whole backup its name, durably.
    pub(super) fn finish(self, name: &Path) -> Result<(), Failure> {
        self.verifier.finish().map_err(|flaw| Failure::failed(format!("{}: {flaw}", self.path.display())))?;
        name_durably(&self.file, &self.path, name)?;
        let kept = kept_beside(&self.path);
        match fs::remove_file(&kept) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", &kept, &error)),
            _ => Ok(()),
        }
    }

    /// Reads it all; behind what is sound there is nothing then.
    fn verify(&mut self) -> Result<(), Failure> {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            self.verifier = Verifier::new();
            self.file.rewind().map_err(|error| failed("read", &self.path, &error))?;
            let flaw = loop {
                match self.file.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(bytes) => {
                        if let Err(flaw) = self.verifier.feed(&buffer[..bytes]) {
                            break flaw;
                        }
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(failed("read", &self.path, &error)),
                }
            };
            if flaw.is_other_version() {
                let message = format!("{}: {flaw}, or remove the file", self.path.display());
                return Err(Failure::Ended(Exit::BadConfiguration, message));
            }
            let sound = self.verifier.sound_bytes();
            self.cut(sound)?;
        }
    }

    fn cut(&mut self, bytes: u64) -> Result<(), Failure> {
        self.file
            .set_len(bytes)
            .and_then(|()| self.file.seek(SeekFrom::Start(bytes)))
            .map(drop)
            .map_err(|error| failed("cut", &self.path, &error))
    }
}

fn kept_beside(partial: &Path) -> PathBuf {
    with_suffix(partial, ".whole")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A whole backup.
    fn sample() -> Vec<u8> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/backup-1");
        fs::read(path).unwrap()
    }

    fn taken(partial: &Partial) -> u64 {
        partial.verifier().taken_bytes()
    }

    #[test]
    fn it_goes_on_wherever_it_was_left() {
        let (folder, file) = (tempfile::tempdir().unwrap(), sample());
        let (path, name) = (folder.path().join("b.partial"), folder.path().join("b"));
        for cut in (0..=file.len()).step_by(97) {
            fs::write(&path, &file[..cut]).unwrap();
            let mut partial = Partial::open(path.clone()).unwrap();
            assert_eq!(taken(&partial), cut as u64);
            assert_eq!(partial.tag().is_some(), cut >= 512, "{cut}");
            assert!(Partial::open(path.clone()).is_err(), "one at a time");
            partial.take(&file[cut..]).unwrap();
            partial.finish(&name).unwrap();
            assert!(fs::read(&name).unwrap() == file && !path.exists(), "{cut}");
        }
    }

    #[test]
    fn what_was_damaged_is_cut_off_and_the_rest_kept() {
        let (folder, file) = (tempfile::tempdir().unwrap(), sample());
        let path = folder.path().join("b.partial");
        for at in (0..file.len()).step_by(101) {
            let mut rotten = file.clone();
            rotten[at] ^= 4;
            fs::write(&path, &rotten).unwrap();
            let mut partial = Partial::open(path.clone()).unwrap();
            let sound = taken(&partial);
            assert!(sound <= at as u64 && fs::metadata(&path).unwrap().len() == sound, "{at}");
            let from = usize::try_from(sound).unwrap();
            let refused = partial.take(&rotten[from..]).unwrap_err();
            assert!(matches!(&refused, NotTaken::Flaw(flaw) if flaw.offset <= at as u64), "{refused:?}");
            assert_eq!(taken(&partial), sound, "nothing of what was wrong is there");
            partial.take(&file[from..]).unwrap();
            assert!(partial.verifier().is_complete());
            drop(partial);
            fs::remove_file(&path).unwrap();
        }
        let mut partial = Partial::open(path.clone()).unwrap();
        partial.take(&file[..600]).unwrap();
        partial.begin_again().unwrap();
        assert_eq!((taken(&partial), fs::metadata(&path).unwrap().len()), (0, 0));
        assert!(partial.finish(&folder.path().join("b")).is_err(), "it is not whole");
    }

    #[test]
    fn a_whole_one_is_there_until_a_newer_one_has_its_name() {
        let (folder, file) = (tempfile::tempdir().unwrap(), sample());
        let (path, name) = (folder.path().join("b.partial"), folder.path().join("b"));
        fs::write(&path, &file).unwrap();
        let mut partial = Partial::open(path.clone()).unwrap();
        assert_eq!(partial.kept(), None);
        partial.begin_again().unwrap();
        let kept = folder.path().join("b.partial.whole");
        assert!(partial.kept().as_ref() == Some(&kept) && fs::read(&kept).unwrap() == file);
        partial.take(&file[..600]).unwrap();
        assert!(Partial::open(path.clone()).is_err(), "the new one is taken, too");
        // What is not whole is worth nothing beside it.
        partial.begin_again().unwrap();
        assert!(taken(&partial) == 0 && fs::read(&kept).unwrap() == file);
        partial.take(&file).unwrap();
        partial.finish(&name).unwrap();
        assert!(fs::read(&name).unwrap() == file && !path.exists() && !kept.exists());
    }

    /// One gives the file its name while the other is about to lock it: that one would hold the finished backup.
    #[test]
    fn two_at_once_never_hold_the_same_file() {
        const ROUNDS: usize = 200;
        let (folder, file) = (tempfile::tempdir().unwrap(), sample());
        let path = folder.path().join("b.partial");
        let take = |number: usize| {
            let (name, mut done) = (folder.path().join(number.to_string()), 0);
            while done < ROUNDS {
                // Another one has it.
                let Ok(mut partial) = Partial::open(path.clone()) else { continue };
                assert_eq!(taken(&partial), 0, "that of another, and finished");
                partial.take(&file).unwrap();
                partial.finish(&name).unwrap();
                done += 1;
            }
            assert!(fs::read(&name).unwrap() == file);
        };
        std::thread::scope(|scope| {
            for number in 0..4 {
                let take = &take;
                scope.spawn(move || take(number));
            }
        });
    }
}
