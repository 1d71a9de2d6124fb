//! The token that a node shows to others, where no certificate says who it is.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hyper::header::HeaderValue;
use tracing::{error, info};

use super::file::{TokenFileError, read_secret_file};

/// A node's own token, if it has one.
#[derive(Default)]
pub(crate) struct Credentials {
    path: Option<PathBuf>,
    header: Mutex<Option<HeaderValue>>,
}

impl Credentials {
    /// Those in a file; without one, none.
    ///
    /// # Errors
    /// [`TokenFileError`].
    pub(crate) fn load(path: Option<&Path>) -> Result<Credentials, TokenFileError> {
        let header = path.map(authorization).transpose()?;
        Ok(Credentials { path: path.map(Path::to_owned), header: Mutex::new(header) })
    }

    /// Reads the file again. What can't be used changes nothing.
    pub(crate) fn reload(&self) {
        let Some(path) = &self.path else { return };
        match authorization(path) {
            Ok(header) => {
                *self.header.lock().unwrap_or_else(PoisonError::into_inner) = Some(header);
                info!("the file of this node's own token was read again");
            }
            Err(problem) => {
                error!(%problem, "the file of this node's own token was read again and can't be used; the one before stays");
            }
        }
    }

    /// The value of `Authorization`.
    pub(crate) fn current(&self) -> Option<HeaderValue> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn authorization(path: &Path) -> Result<HeaderValue, TokenFileError> {
    let token = read_secret_file(path)?;
    let mut header =
        HeaderValue::try_from(format!("Bearer {}", token.reveal())).expect("a token is plain text");
    header.set_sensitive(true);
    Ok(header)
}
