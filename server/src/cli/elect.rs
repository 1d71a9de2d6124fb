//! `elect`: one leader of several that would be.

use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use quorate_client::{Client, Entry, LineWatch, Place};
use serde::Serialize;

use crate::cli::arguments::{ClientFlags, parse_timeout};
use crate::cli::client::run;
use crate::cli::exit::Failure;
use crate::cli::keys::value_bytes;
use crate::cli::output::{self, Output, OutputFlags};
use crate::cli::signals::Signals;

/// The pause after which a line that can't be seen is looked at again.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct ElectCommand {
    /// The name of the election
    name: String,
    /// What the others are told about this candidate; - reads it from stdin
    value: OsString,
    /// How long the others wait when the leader is gone
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_timeout)]
    ttl: Duration,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    output: OutputFlags,
}

const HELP: &str = "\
When this candidate is elected, a line \"elected\" with its token is printed; it stays the leader until it is ended by
SIGINT or SIGTERM (exit code 0), or its lease is lost (1). With -o json there is a line whenever somebody else leads,
too: {\"event\":\"elected\"|\"leader\",\"value\":…,\"token\":…,\"key\":…}. Tokens grow from leader to leader.";

/// Who leads now.
#[derive(Debug, Serialize)]
struct Leads<'a> {
    event: &'a str,
    value: String,
    token: u64,
    key: &'a str,
}

pub(crate) fn elect(command: ElectCommand) -> Result<(), Failure> {
    let value = value_bytes(command.value)?;
    let (output, flags) = (command.output.output, command.client);
    run(&flags, async |client| {
        let mut signals = Signals::new()?;
        let line = format!("election/{}", command.name);
        let mut place = tokio::select! {
            biased;
            asked = signals.next() => return Err(asked.failure()),
            place = client.line_up(&line, value, command.ttl) => place?,
        };
        let ended = tokio::select! {
            biased;
            _ = signals.next() => Ok(()),
            failure = stand(&client, &line, &mut place, output) => Err(failure),
        };
        if let Err(error) = place.leave().await {
            output::say(&format!("quorate: the others have to wait for {:?}: {error}", command.ttl));
        }
        ended
    })
}

/// Tells who leads until the place is lost.
async fn stand(client: &Client, line: &str, place: &mut Place, output: Output) -> Failure {
    let key = place.key().to_owned();
    let mut leaders = client.watch_line(line);
    tokio::select! {
        biased;
        why = place.lost() => Failure::failed(format!("it is no candidate any more: {why}")),
        failure = tell(&mut leaders, &key, output) => failure,
    }
}

async fn tell(leaders: &mut LineWatch, key: &str, output: Output) -> Failure {
    loop {
        let told = match leaders.next().await {
            Ok(Some(leader)) => show(&leader, key, output),
            Ok(None) => Ok(()),
            // Whether there is time to wait for an answer is the lease's question.
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                Ok(())
            }
        };
        if let Err(failure) = told {
            return failure;
        }
    }
}

fn show(leader: &Entry, key: &str, output: Output) -> Result<(), Failure> {
    let is_us = leader.key == key;
    let value = String::from_utf8_lossy(leader.value.as_deref().unwrap_or_default()).into_owned();
    let token = leader.create_revision;
    match (output, is_us) {
        (Output::Json, _) => {
            let event = if is_us { "elected" } else { "leader" };
            output::json(&Leads { event, value, token, key: &leader.key })
        }
        (Output::Table, true) => output::line(&format!("elected {token}")),
        (Output::Table, false) => {
            output::say(&format!("{value} leads"));
            Ok(())
        }
    }
}
