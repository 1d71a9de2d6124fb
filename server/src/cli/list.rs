//! `list`: keys in order, a line each, as they arrive.

use clap::Args;
use quorate_client::{Client, Consistency, Entry};

use crate::cli::arguments::ClientFlags;
use crate::cli::client::run;
use crate::cli::exit::Failure;
use crate::cli::lines::{Lines, Reader, field};
use crate::cli::output::Output;

#[derive(Debug, Args)]
pub(crate) struct ListCommand {
    /// What the keys begin with; without it, all keys
    prefix: Option<String>,
    /// The first key
    #[arg(long, value_name = "KEY", conflicts_with = "prefix")]
    start: Option<String>,
    /// The first key that does not belong to the list any more
    #[arg(long, value_name = "KEY", conflicts_with = "prefix")]
    end: Option<String>,
    /// Only keys behind this one
    #[arg(long, value_name = "KEY")]
    after: Option<String>,
    /// At most so many keys
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Without the values
    #[arg(long)]
    keys_only: bool,
    /// The keys as they were at this revision of the store
    #[arg(long, value_name = "REVISION")]
    revision: Option<u64>,
    /// How fresh it must be: linearizable, lease (the same, as long as clocks keep to their bound), or stale
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    consistency: Consistency,
    /// A line a key: the key, a tab and the value, with \t, \n, \\ and \xNN for what is not printable; or json, with
    /// the value in base64 and the revisions
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    client: ClientFlags,
}

pub(crate) fn list(command: &ListCommand) -> Result<(), Failure> {
    run(&command.client, async |client| print(&client, command).await)
}

async fn print(client: &Client, command: &ListCommand) -> Result<(), Failure> {
    let mut list = client.list().consistency(command.consistency);
    if let Some(prefix) = &command.prefix {
        list = list.prefix(prefix);
    }
    if command.start.is_some() || command.end.is_some() {
        let (start, end) = (command.start.as_deref(), command.end.as_deref());
        list = list.range(start.unwrap_or_default(), end.unwrap_or_default());
    }
    if let Some(key) = &command.after {
        list = list.after(key);
    }
    if let Some(limit) = command.limit {
        list = list.limit(limit);
    }
    if let Some(revision) = command.revision {
        list = list.revision(revision);
    }
    if command.keys_only {
        list = list.keys_only();
    }
    let mut listing = list.begin().await?;
    let mut lines = Lines::new();
    while let Some(entry) = listing.next().await? {
        let reader = match command.output {
            Output::Json => lines.json(&entry)?,
            Output::Table => lines.line(&line(&entry))?,
        };
        if reader == Reader::Gone {
            return Ok(());
        }
    }
    lines.flush().map(drop)
}

fn line(entry: &Entry) -> String {
    let key = field(entry.key.as_bytes());
    match &entry.value {
        Some(value) => format!("{key}\t{}", field(value)),
        None => key,
    }
}
