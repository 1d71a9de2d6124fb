//! `watch`: every change of a key, or of all keys with a prefix, a line each.

use clap::{Args, ValueEnum};
use quorate_client::{Client, Event, EventKind};

use crate::cli::arguments::ClientFlags;
use crate::cli::client::run;
use crate::cli::exit::Failure;
use crate::cli::lines::{Lines, Reader, field};
use crate::cli::output::Output;

#[derive(Debug, Args)]
pub(crate) struct WatchCommand {
    /// The key
    #[arg(required_unless_present = "prefix")]
    key: Option<String>,
    /// All keys that begin with this, in place of one
    #[arg(long, conflicts_with = "key")]
    prefix: Option<String>,
    /// From this revision of the store on, itself included; without it, from now on
    #[arg(long, value_name = "REVISION")]
    from: Option<u64>,
    /// Show what was there before, too
    #[arg(long)]
    previous: bool,
    /// Only events of this kind
    #[arg(long, value_enum)]
    only: Option<Kind>,
    /// End after so many events
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// A line an event: put or delete, the revision, the key, and the value or the reason (deleted or expired), parted
    /// by tabs; or json, with values in base64
    #[arg(short, long, value_enum, default_value = "table")]
    output: Output,
    #[command(flatten)]
    client: ClientFlags,
}

// Doc comments on the variants would make clap print the long form of the help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Put,
    Delete,
}

pub(crate) fn watch(command: &WatchCommand) -> Result<(), Failure> {
    run(&command.client, async |client| print(&client, command).await)
}

async fn print(client: &Client, command: &WatchCommand) -> Result<(), Failure> {
    let mut request = match (&command.prefix, &command.key) {
        (Some(prefix), _) => client.watch_prefix(prefix),
        (None, key) => client.watch_key(key.as_deref().unwrap_or_default()),
    };
    if let Some(revision) = command.from {
        request = request.from(revision);
    }
    if command.previous {
        request = request.with_previous();
    }
    request = match command.only {
        None => request,
        Some(Kind::Put) => request.only(EventKind::Put),
        Some(Kind::Delete) => request.only(EventKind::Delete),
    };
    let mut watch = request.begin().await?;
    let (mut lines, mut left) = (Lines::new(), command.count);
    while left != Some(0)
        && let Some(event) = watch.next().await?
    {
        match command.output {
            Output::Json => lines.json(&event)?,
            Output::Table => lines.line(&line(&event))?,
        };
        // Whoever waits for the line is to have it now.
        if lines.flush()? == Reader::Gone {
            return Ok(());
        }
        if let Event::Reset { revision, reason } = event {
            let next = revision + 1;
            return Err(Failure::failed(format!(
                "changes may have been missed ({reason}): list the keys --revision {revision}, then watch --from {next}"
            )));
        }
        left = left.map(|left| left - 1);
    }
    Ok(())
}

fn line(event: &Event) -> String {
    match event {
        Event::Put { entry, revision, previous } => {
            let value = |value: &Option<bytes::Bytes>| field(value.as_deref().unwrap_or_default());
            let (key, now) = (field(entry.key.as_bytes()), value(&entry.value));
            match previous {
                Some(before) => format!("put\t{revision}\t{key}\t{now}\t{}", value(&before.value)),
                None => format!("put\t{revision}\t{key}\t{now}"),
            }
        }
        Event::Delete { key, revision, reason, previous } => {
            let line = format!("delete\t{revision}\t{}\t{reason}", field(key.as_bytes()));
            match previous.as_ref().and_then(|before| before.value.as_deref()) {
                Some(value) => format!("{line}\t{}", field(value)),
                None => line,
            }
        }
        Event::Reset { revision, reason } => format!("reset\t{revision}\t{reason}"),
    }
}
