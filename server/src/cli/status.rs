//! `quorate status`: what each node says of itself, once or again and again.

use std::io::{IsTerminal, stdout};
use std::time::Duration;

use clap::Args;
use quorate_client::{Client, Endpoint, Status};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::cli::arguments::{ClientFlags, parse_timeout};
use crate::cli::client::run;
use crate::cli::exit::Failure;
use crate::cli::lines::{Lines, Reader};
use crate::cli::output::{self, Output, OutputFlags, Table};

/// Clears a terminal and goes to its first line.
const ANEW: &str = "\x1b[2J\x1b[H";

#[derive(Debug, Args)]
pub(crate) struct StatusCommand {
    /// Go on until Ctrl-C: ask again after so long
    #[arg(long, value_name = "DURATION", value_parser = parse_timeout)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "1s")]
    pub(crate) watch: Option<Duration>,
    #[command(flatten)]
    pub(crate) client: ClientFlags,
    #[command(flatten)]
    pub(crate) output: OutputFlags,
}

/// What came of asking all endpoints.
struct Round {
    answered: Vec<Answered>,
    failures: Vec<Failure>,
}

#[derive(Serialize)]
struct Answered {
    endpoint: String,
    #[serde(flatten)]
    status: Status,
}

/// Shows every endpoint that answers; one that does not is named, and makes the command fail.
pub(crate) fn status(command: &StatusCommand) -> Result<(), Failure> {
    run(&command.client, async |client| match command.watch {
        Some(pause) => watch(&client, command, pause).await,
        None => {
            let round = Round::of(&client, &command.client.endpoints).await;
            output::data(round.text(command.output.output)?.as_bytes())?;
            let mut failures = round.failures;
            // The last one becomes the exit code, and is said with it.
            let last = failures.pop();
            failures.iter().for_each(say);
            last.map_or(Ok(()), Err)
        }
    })
}

/// Until nobody reads it any more. A node that does not answer ends nothing: it may be what somebody waits to see come
/// back.
async fn watch(client: &Client, command: &StatusCommand, pause: Duration) -> Result<(), Failure> {
    let output = command.output.output;
    let before = if output == Output::Table && stdout().is_terminal() { ANEW } else { "" };
    let mut lines = Lines::new();
    loop {
        let round = Round::of(client, &command.client.endpoints).await;
        lines.text(before)?;
        lines.text(&round.text(output)?)?;
        if lines.flush()? == Reader::Gone {
            return Ok(());
        }
        round.failures.iter().for_each(say);
        tokio::time::sleep(pause).await;
    }
}

impl Round {
    /// All are asked at the same time: a dead node must not keep the others from being seen.
    async fn of(client: &Client, endpoints: &[Endpoint]) -> Round {
        let mut asked = JoinSet::new();
        for (place, endpoint) in endpoints.iter().cloned().enumerate() {
            let client = client.clone();
            asked.spawn(async move {
                let status = client.status_of(&endpoint).await;
                (place, status.map(|status| Answered { endpoint: endpoint.to_string(), status }))
            });
        }
        let mut all = asked.join_all().await;
        all.sort_by_key(|(place, _)| *place);
        let mut round = Round { answered: Vec::new(), failures: Vec::new() };
        for (_, answer) in all {
            match answer {
                Ok(answered) => round.answered.push(answered),
                Err(error) => round.failures.push(error.into()),
            }
        }
        round
    }

    fn text(&self, output: Output) -> Result<String, Failure> {
        match output {
            Output::Json => output::json_line(&self.answered),
            Output::Table if self.answered.is_empty() => Ok(String::new()),
            Output::Table => Ok(table(&self.answered).text()),
        }
    }
}

fn say(failure: &Failure) {
    if let Failure::Ended(_, message) = failure {
        output::say(&format!("quorate: {message}"));
    }
}

fn table(answered: &[Answered]) -> Table<9> {
    let header = ["ENDPOINT", "ID", "NAME", "ROLE", "TERM", "LEADER", "COMMIT", "APPLIED", "REVISION"];
    let mut table = Table::new(header);
    for Answered { endpoint, status } in answered {
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
