//! Files that commands write over a while, each under another name until it is whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cli::exit::{Exit, Failure};

/// Refuses a name that is taken.
pub(super) fn refuse_existing(file: &Path, overwrite: bool) -> Result<(), Failure> {
    if overwrite || file.symlink_metadata().is_err() {
        return Ok(());
    }
    let message = format!("{} is there already: give another name, or --overwrite", file.display());
    Err(Failure::Ended(Exit::PreconditionFailed, message))
}

/// Gives the whole file at `path` its name, durably.
pub(super) fn name_durably(file: &File, path: &Path, name: &Path) -> Result<(), Failure> {
    file.sync_all().map_err(|error| failed("sync", path, &error))?;
    fs::rename(path, name).map_err(|error| failed("rename", path, &error))?;
    sync_folder_of(name)
}

/// Makes the names beside a path durable.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| failed("sync", folder, &error))
}

/// Opens the file, which is made when it isn't there, for this process alone.
pub(super) fn open_alone(path: &Path) -> Result<File, Failure> {
    loop {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let file = file.map_err(|error| failed("open", path, &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is being written by another process: wait for it", path.display());
                return Err(Failure::Ended(Exit::PreconditionFailed, message));
            }
            Err(TryLockError::Error(error)) => return Err(failed("lock", path, &error)),
        }
        // Between the two that process may have given it its name: then what is locked here is a finished file.
        if is_at(&file, path).map_err(|error| failed("look at", path, &error))? {
            return Ok(file);
        }
    }
}

/// Whether the file is what has that path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

pub(super) fn failed(action: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::failed(format!("can't {action} {}: {error}", path.display()))
}
