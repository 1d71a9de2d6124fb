//! `get`, `put` and `delete`.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use quorate_client::{Consistency, LeaseId};

use crate::cli::arguments::{ClientFlags, parse_timeout};
use crate::cli::client::{call, read_input};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Output};

#[derive(Debug, Args)]
pub(crate) struct GetCommand {
    /// The key
    pub(crate) key: String,
    /// The value as it was at this revision of the store
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<u64>,
    /// How fresh it must be: linearizable, lease (the same, as long as clocks keep to their bound), or stale
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    pub(crate) consistency: Consistency,
    /// The bytes of the value and nothing else, or json: the key, its value in base64, and its revisions
    #[arg(short, long, value_enum, default_value = "table")]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
}

#[derive(Debug, Args)]
pub(crate) struct PutCommand {
    /// The key
    pub(crate) key: String,
    /// The value; - reads it from stdin
    pub(crate) value: OsString,
    /// Let it go by itself after this time, 1s to 3650d
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout, conflicts_with = "lease")]
    pub(crate) ttl: Option<Duration>,
    /// Let it go when this lease ends
    #[arg(long, value_name = "ID")]
    pub(crate) lease: Option<LeaseId>,
    /// Only if this revision wrote the key last; exit code 4 when not
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_match: Option<u64>,
    /// Only if there is no such key; exit code 4 when there is
    #[arg(long, conflicts_with = "if_match")]
    pub(crate) if_absent: bool,
    /// A name for this write: repeated with the same one within ten minutes, it is done once
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
}

#[derive(Debug, Args)]
pub(crate) struct DeleteCommand {
    /// The key
    pub(crate) key: String,
    /// Only if this revision wrote the key last; exit code 4 when not
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_match: Option<u64>,
    /// A name for this deletion: repeated with the same one within ten minutes, it is done once
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<String>,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
}

pub(crate) fn get(command: &GetCommand) -> Result<(), Failure> {
    let GetCommand { key, revision, consistency, output, client } = command;
    if *output == Output::Json {
        let entry = call(client, async |client| {
            let get = client.get(key).consistency(*consistency);
            match revision {
                Some(revision) => get.revision(*revision).entry().await,
                None => get.entry().await,
            }
        })?;
        return output::json(&entry);
    }
    let value = call(client, async |client| {
        let get = client.get(key).consistency(*consistency);
        match revision {
            Some(revision) => get.revision(*revision).await,
            None => get.await,
        }
    })?;
    output::data(&value.bytes)?;
    // For people only: whoever reads a pipe gets the value and nothing else.
    if io::stdout().is_terminal() { output::data(b"\n") } else { Ok(()) }
}

pub(crate) fn put(command: PutCommand) -> Result<(), Failure> {
    let PutCommand { key, value, ttl, lease, if_match, if_absent, idempotency_key, client } = command;
    let value = value_bytes(value)?;
    call(&client, async |client| {
        let mut put = client.put(&key, value);
        if let Some(ttl) = ttl {
            put = put.ttl(ttl);
        }
        if let Some(lease) = &lease {
            put = put.lease(lease);
        }
        if let Some(revision) = if_match {
            put = put.if_match(revision);
        }
        if if_absent {
            put = put.if_absent();
        }
        if let Some(name) = &idempotency_key {
            put = put.idempotency_key(name);
        }
        put.await.map(drop)
    })
}

pub(crate) fn value_bytes(argument: OsString) -> Result<Bytes, Failure> {
    if argument == "-" { read_input(Path::new("-")) } else { Ok(argument.into_encoded_bytes().into()) }
}

pub(crate) fn delete(command: &DeleteCommand) -> Result<(), Failure> {
    call(&command.client, async |client| {
        let mut delete = client.delete(&command.key);
        if let Some(revision) = command.if_match {
            delete = delete.if_match(revision);
        }
        if let Some(name) = &command.idempotency_key {
            delete = delete.idempotency_key(name);
        }
        delete.await
    })
}
