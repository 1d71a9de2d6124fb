//! What the commands that are clients have in common, and `status`.

use crate::cli::arguments::{ClientFlags, StatusCommand};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Output, Table};
use bytes::Bytes;
use quorate_client::{Client, ClientError, Status};
use serde::Serialize;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

#[derive(Serialize)]
struct EndpointStatus {
    endpoint: String,
    #[serde(flatten)]
    status: Status,
}

/// Shows every endpoint that answers; one that does not is named, and makes the command fail.
pub(crate) fn status(command: &StatusCommand) -> Result<(), Failure> {
    let mut answered = Vec::new();
    let mut failure = None;
    for endpoint in &command.client.endpoints {
        match call(&command.client, async |client| client.status_of(endpoint).await) {
            Ok(status) => answered.push(EndpointStatus { endpoint: endpoint.to_string(), status }),
            Err(error) => {
                // Each is said where it happens; the last one also becomes the exit code.
                if let Some(Failure::Ended(_, message)) = failure.replace(error) {
                    output::say(&format!("quorate: {message}"));
                }
            }
        }
    }
    match command.output.output {
        Output::Json => output::json(&answered)?,
        Output::Table if answered.is_empty() => {}
        Output::Table => status_table(&answered).print()?,
    }
    failure.map_or(Ok(()), Err)
}

fn status_table(answered: &[EndpointStatus]) -> Table<9> {
    let header = ["ENDPOINT", "ID", "NAME", "ROLE", "TERM", "LEADER", "COMMIT", "APPLIED", "REVISION"];
    let mut table = Table::new(header);
    for EndpointStatus { endpoint, status } in answered {
        table.row([
            endpoint.clone(),
            status.id.clone(),
            status.name.clone().unwrap_or_default(),
            status.role.clone(),
            status.term.to_string(),
            status.leader.as_ref().map(|leader| leader.id.clone()).unwrap_or_default(),
            status.commit.to_string(),
            status.applied.to_string(),
            status.revision.to_string(),
        ]);
    }
    table
}

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = flags.client()?;
    runtime.block_on(action(client))
}
