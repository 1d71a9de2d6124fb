//! Runs known inputs.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use crate::TARGETS;

/// The body of a target.
pub type Target = fn(&[u8]);

/// Why a corpus did not replay.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A file or folder can't be read.
    #[error("can't read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A target has no input: its replay would check nothing.
    #[error("no input in {}: give the target a few small ones", folder.display())]
    Empty {
        /// Where inputs were looked for.
        folder: PathBuf,
    },
    /// A folder of the corpus that belongs to no target.
    #[error("{} belongs to no target: rename it, or add the target to TARGETS", folder.display())]
    Unknown {
        /// The folder.
        folder: PathBuf,
    },
    /// An input broke its target; the panic is on stderr.
    #[error("{} makes its target panic", input.display())]
    Panicked {
        /// The input.
        input: PathBuf,
    },
}

/// The whole of a binary in `fuzz_targets/`: under cargo-fuzz libFuzzer's entry point, otherwise a `main`
/// that replays the files it is given.
#[macro_export]
macro_rules! target {
    ($body:ident) => {
        #[cfg(fuzzing)]
        libfuzzer_sys::fuzz_target!(|data: &[u8]| $crate::$body(data));

        #[cfg(not(fuzzing))]
        fn main() -> Result<(), $crate::ReplayError> {
            $crate::replay_arguments($crate::$body)
        }
    };
}

/// Runs every input in `corpus/<target>/` through its target, and says how many there were.
///
/// # Errors
/// [`ReplayError`]: the first input that panics, and a corpus that is not as it should be.
pub fn replay(corpus: &Path) -> Result<usize, ReplayError> {
    for folder in listing(corpus)? {
        if !TARGETS.iter().any(|(name, _)| folder.ends_with(name)) {
            return Err(ReplayError::Unknown { folder });
        }
    }
    let mut inputs = 0;
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let files = listing(&folder)?;
        if files.is_empty() {
            return Err(ReplayError::Empty { folder });
        }
        for input in &files {
            run(target, input)?;
        }
        inputs += files.len();
    }
    Ok(inputs)
}

/// Runs the files and folders of files named on the command line through one target.
///
/// # Errors
/// As [`replay`].
pub fn replay_arguments(target: Target) -> Result<(), ReplayError> {
    for argument in std::env::args_os().skip(1).map(PathBuf::from) {
        let files = if argument.is_dir() { listing(&argument)? } else { vec![argument] };
        for input in files {
            run(target, &input)?;
        }
    }
    Ok(())
}

fn run(target: Target, input: &Path) -> Result<(), ReplayError> {
    let data = fs::read(input).map_err(|source| ReplayError::Read { path: input.to_owned(), source })?;
    catch_unwind(|| target(&data)).map_err(|_| ReplayError::Panicked { input: input.to_owned() })
}

/// What is in a folder, by name.
fn listing(folder: &Path) -> Result<Vec<PathBuf>, ReplayError> {
    let unreadable = |source| ReplayError::Read { path: folder.to_owned(), source };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    Ok(paths)
}
