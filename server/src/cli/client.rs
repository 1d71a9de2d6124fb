//! The commands that are clients: one call each, its result to stdout.

use crate::cli::arguments::{
    ClientFlags, DeleteCommand, ExportCommand, GetCommand, ImportCommand, PutCommand, StatusCommand,
};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Output, Table};
use bytes::Bytes;
use quorate_client::{Client, Status};
use quorate_storage::data_json;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

/// Base64 makes four bytes of three, and the default `--max-request-bytes` is 4 MiB; a part is one entry of the log, so
/// smaller is kinder to the replication of everything else.
const PART_BYTES: usize = 1 << 20;

pub(crate) fn get(command: &GetCommand) -> Result<(), Failure> {
    let value = call(&command.client, async |client| {
        client.get(&command.key).consistency(command.consistency).await
    })?;
    output::data(&value.bytes)?;
    // For people only: whoever reads a pipe gets the value and nothing else.
    if io::stdout().is_terminal() { output::data(b"\n") } else { Ok(()) }
}

pub(crate) fn put(command: PutCommand) -> Result<(), Failure> {
    let value = value_bytes(command.value)?;
    call(&command.client, async |client| client.put(&command.key, value).await).map(drop)
}

fn value_bytes(argument: OsString) -> Result<Bytes, Failure> {
    if argument == "-" { read_input(Path::new("-")) } else { Ok(argument.into_encoded_bytes().into()) }
}

pub(crate) fn delete(command: &DeleteCommand) -> Result<(), Failure> {
    call(&command.client, async |client| client.delete(&command.key).await)
}

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

pub(crate) fn export(command: &ExportCommand) -> Result<(), Failure> {
    let data_json = call(&command.client, async |client| client.export().await?.whole().await)?;
    if is_stream(&command.file) {
        return output::data(&data_json);
    }
    fs::write(&command.file, &data_json).map_err(|error| {
        Failure::failed(format!("the file {} can't be written: {error}", command.file.display()))
    })
}

/// Sends the file in parts that any server takes by default. The whole file is checked first, so that a bad entry at
/// its end does not leave its beginning in the store.
pub(crate) fn import(command: &ImportCommand) -> Result<(), Failure> {
    let file = command.file.display();
    let decoded = data_json::decode(&read_input(&command.file)?);
    let entries = decoded.map_err(|error| Failure::failed(format!("{file}: {error}")))?;
    let mut written = 0;
    for part in parts(&entries) {
        let data_json = data_json::encode(part.iter().copied()).into();
        let imported = call(&command.client, async |client| client.import(data_json).await);
        imported.inspect_err(|_| {
            if written > 0 {
                let all = entries.len();
                output::say(&format!(
                    "quorate: {written} of {all} entries were written, then it failed; import again"
                ));
            }
        })?;
        written += part.len();
    }
    Ok(())
}

/// Splits entries so that each part is about [`PART_BYTES`] of keys and values, or a single entry that is larger.
fn parts(entries: &BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<Vec<(&[u8], &[u8])>> {
    let mut parts: Vec<Vec<(&[u8], &[u8])>> = Vec::new();
    let mut part_bytes = 0;
    for (key, value) in entries {
        let entry_bytes = key.len() + value.len();
        match parts.last_mut() {
            Some(part) if part_bytes + entry_bytes <= PART_BYTES => part.push((key, value)),
            _ => {
                parts.push(vec![(key, value)]);
                part_bytes = 0;
            }
        }
        part_bytes += entry_bytes;
    }
    parts
}

fn read_input(file: &Path) -> Result<Bytes, Failure> {
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

fn is_stream(file: &Path) -> bool {
    file == Path::new("-")
}

/// Runs one call on a runtime of its own.
pub(crate) fn call<T>(
    flags: &ClientFlags,
    action: impl AsyncFnOnce(Client) -> Result<T, quorate_client::ClientError>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(flags.endpoints.clone(), flags.timeout);
    Ok(runtime.block_on(action(client))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_parted_and_nothing_of_it_is_lost() {
        let sizes = [10, PART_BYTES, 10, PART_BYTES / 2, PART_BYTES / 3, PART_BYTES / 3];
        let entries: BTreeMap<_, _> =
            (0_u8..).zip(sizes).map(|(key, bytes)| (vec![key], vec![key; bytes])).collect();
        let parts = parts(&entries);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 3, 1]);
        let together =
            parts.into_iter().flatten().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
        assert_eq!(entries, together);
    }
}
