//! `lease`: keys that go together when nobody keeps them alive.

use std::time::Duration;

use clap::{Args, Subcommand};
use quorate_client::{Lease, LeaseId};

use crate::cli::arguments::{ClientFlags, parse_timeout};
use crate::cli::client::call;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Output, OutputFlags, Table};
use crate::config::duration_text;

#[derive(Debug, Args)]
pub(crate) struct LeaseCommand {
    #[command(subcommand)]
    action: LeaseAction,
}

#[derive(Debug, Subcommand)]
enum LeaseAction {
    /// Begin a lease, and print its id
    Grant {
        /// How long it lives without being kept alive, 1s to 3650d
        #[arg(value_name = "TTL", value_parser = parse_timeout)]
        ttl: Duration,
        #[command(flatten)]
        client: ClientFlags,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Let a lease live for its whole time again, once
    Keepalive(LeaseArguments),
    /// Show a lease: how long it lives still, and its keys
    Get(LeaseArguments),
    /// End a lease, and delete its keys
    Revoke {
        /// The lease
        id: LeaseId,
        #[command(flatten)]
        client: ClientFlags,
    },
}

#[derive(Debug, Args)]
struct LeaseArguments {
    /// The lease
    id: LeaseId,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    output: OutputFlags,
}

pub(crate) fn lease(command: &LeaseCommand) -> Result<(), Failure> {
    match &command.action {
        LeaseAction::Grant { ttl, client, output } => {
            print(&call(client, async |client| client.grant(*ttl).await)?, output.output)
        }
        LeaseAction::Keepalive(LeaseArguments { id, client, output }) => {
            print(&call(client, async |client| client.keep_alive(id).await)?, output.output)
        }
        LeaseAction::Get(LeaseArguments { id, client, output }) => {
            let state = call(client, async |client| client.lease(id).await)?;
            if output.output == Output::Json {
                return output::json(&state);
            }
            let mut table = Table::new(["LEASE", "TTL", "REMAINING", "KEYS"]);
            table.row([state.id.to_string(), state.ttl, state.remaining, state.keys.join(" ")]);
            table.print()
        }
        LeaseAction::Revoke { id, client } => call(client, async |client| client.revoke(id).await),
    }
}

/// The id alone can be caught by a script; all else is JSON.
fn print(lease: &Lease, output: Output) -> Result<(), Failure> {
    match output {
        Output::Table => output::line(&lease.id.to_string()),
        Output::Json => {
            output::json(&serde_json::json!({ "lease": lease.id, "ttl": duration_text(lease.ttl) }))
        }
    }
}
