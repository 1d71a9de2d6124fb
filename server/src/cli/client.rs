//! The commands that are clients: one call each, its result to stdout.

use crate::cli::arguments::{
    AddCommand, ClientFlags, DeleteCommand, ExportCommand, GetCommand, ImportCommand, MembersCommand,
    PutCommand, StatusCommand,
};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Output, Table};
use bytes::Bytes;
use quorate_client::{Client, Members, NewMember, Status};
use serde::Serialize;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Read};
use std::path::Path;

pub(crate) fn get(command: &GetCommand) -> Result<(), Failure> {
    let value = call(&command.client, async |client| client.get(&command.key).await)?;
    output::data(&value.bytes)?;
    // For people only: whoever reads a pipe gets the value and nothing else.
    if io::stdout().is_terminal() { output::data(b"\n") } else { Ok(()) }
}

pub(crate) fn put(command: PutCommand) -> Result<(), Failure> {
    let value = value_bytes(command.value)?;
    call(&command.client, async |client| client.put(&command.key, value).await)
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

pub(crate) fn members(command: &MembersCommand) -> Result<(), Failure> {
    let members = call(&command.client, async |client| client.members().await)?;
    match command.output.output {
        Output::Json => output::json(&members),
        Output::Table => members_table(&members).print(),
    }
}

fn members_table(members: &Members) -> Table<6> {
    let mut table = Table::new(["ID", "NAME", "ADDRESS", "URL", "ROLE", "LEADER"]);
    for member in &members.members {
        table.row([
            member.id.clone(),
            member.name.clone().unwrap_or_default(),
            member.address.clone(),
            member.url.clone().unwrap_or_default(),
            member.role.clone(),
            if member.leader { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

pub(crate) fn add(command: AddCommand) -> Result<(), Failure> {
    let AddCommand { id, address, learner, wait, client } = command;
    let member = NewMember { id, address, learner, wait_for_voter: wait };
    call(&client, async |client| client.add(&member).await)
}

pub(crate) fn export(command: &ExportCommand) -> Result<(), Failure> {
    let data_json = call(&command.client, async |client| client.export().await)?;
    if is_stream(&command.file) {
        return output::data(&data_json);
    }
    fs::write(&command.file, &data_json).map_err(|error| {
        Failure::failed(format!("the file {} can't be written: {error}", command.file.display()))
    })
}

pub(crate) fn import(command: &ImportCommand) -> Result<(), Failure> {
    let data_json = read_input(&command.file)?;
    call(&command.client, async |client| client.import(data_json).await)
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
fn call<T>(
    flags: &ClientFlags,
    action: impl AsyncFnOnce(Client) -> Result<T, quorate_client::ClientError>,
) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(flags.endpoints.clone(), flags.timeout);
    Ok(runtime.block_on(action(client))?)
}
