//! What the commands that are clients have in common.

use crate::cli::arguments::ClientFlags;
use crate::cli::exit::Failure;
use crate::real::block_on;
use bytes::Bytes;
use quorate_client::{Client, ClientError};
use std::fs;
use std::io::{self, Read};
use std::path::Path;

/// All of a file, or of stdin.
pub(crate) fn read_input(file: &Path) -> Result<Bytes, Failure> {
    if is_stream(file) {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().read_to_end(&mut bytes);
        read.map_err(|error| Failure::failed(format!("stdin can't be read: {error}")))?;
        return Ok(bytes.into());
    }
    let read = fs::read(file);
    read.map(Bytes::from)
        .map_err(|error| Failure::failed(format!("the file {} can't be read: {error}", file.display())))
}

/// Whether it stands for stdin or stdout.
pub(crate) fn is_stream(file: &Path) -> bool {
    file == Path::new("-")
}

/// Runs one call on a runtime of its own.
pub(crate) fn call<T>(
    flags: &ClientFlags,
    action: impl AsyncFnOnce(Client) -> Result<T, ClientError>,
) -> Result<T, Failure> {
    run(flags, async |client| action(client).await.map_err(Failure::from))
}

/// Runs what may be many calls, and more, on a runtime of its own.
pub(crate) fn run<T>(
    flags: &ClientFlags,
    action: impl AsyncFnOnce(Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let client = flags.client()?;
    block_on(action(client))?
}
