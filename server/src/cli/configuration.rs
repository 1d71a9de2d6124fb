//! `quorate config check`, `quorate config print` and `quorate config example`.

use crate::cli::exit::Failure;
use crate::cli::node_flags::NodeFlags;
use crate::cli::output::{self, Output, OutputFlags, Table};
use crate::config::{LogFormat, Origin, Resolved, SETTINGS, ServeConfig, duration_text, example};
use crate::real::wall_clock_seconds;
use crate::serve::{ServeError, load_tokens};
use crate::tls::Keyring;
use crate::tokens::read_join_file;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether the configuration can be used; silent when it can
    Check(NodeFlags),
    /// Print every setting and where it came from
    Print {
        #[command(flatten)]
        node: NodeFlags,
        #[command(flatten)]
        output: OutputFlags,
    },
    /// Print a file for --config with every setting in it, explained
    Example,
}

pub(crate) fn run(command: &ConfigCommand) -> Result<(), Failure> {
    match &command.action {
        Action::Check(node) => check(&node.resolve()?.config),
        Action::Print { node, output } => print(&node.resolve()?, output.output),
        Action::Example => output::data(example().as_bytes()),
    }
}

/// The settings, and the files that they name.
pub(crate) fn check(config: &ServeConfig) -> Result<(), Failure> {
    config.refuse_open().map_err(ServeError::from)?;
    Keyring::load(config, wall_clock_seconds()).map_err(ServeError::from)?;
    load_tokens(config)?;
    // A node that has joined needs it no more, and it may be gone.
    if let Some(path) = config.join_token_file.as_deref().filter(|path| path.exists()) {
        read_join_file(path).map_err(ServeError::from)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Line {
    setting: &'static str,
    value: String,
    origin: String,
}

fn print(resolved: &Resolved, output: Output) -> Result<(), Failure> {
    let lines = SETTINGS.iter().map(|setting| Line {
        setting: setting.name,
        value: value_text(&resolved.config, setting.name),
        origin: resolved.origins.get(setting.name).unwrap_or(&Origin::Default).to_string(),
    });
    if output == Output::Json {
        return output::json(&lines.collect::<Vec<_>>());
    }
    let mut table = Table::new(["SETTING", "VALUE", "ORIGIN"]);
    lines.for_each(|line| table.row([line.setting.to_owned(), line.value, line.origin]));
    table.print()
}

fn file(path: Option<&PathBuf>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

/// The value in force, as the flag would take it.
fn value_text(config: &ServeConfig, setting: &str) -> String {
    match setting {
        "data-dir" => config.data_dir.display().to_string(),
        "listen" => config.listen.to_string(),
        "raft-listen" => config.raft_listen.to_string(),
        "advertise-url" => config.advertised_url(config.advertise_http.port()).to_string(),
        "advertise-raft" => config.advertise_raft.to_string(),
        "tokens" => file(config.tokens.as_ref()),
        "probes-need-token" => config.probes_need_token.to_string(),
        "node-token-file" => file(config.node_token_file.as_ref()),
        "join-token-file" => file(config.join_token_file.as_ref()),
        "insecure" => config.insecure.to_string(),
        "bootstrap" => config.bootstrap.to_string(),
        "join" => config.join.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
        "tls-cert" => file(config.tls.http.as_ref().map(|pair| &pair.certificate)),
        "tls-key" => file(config.tls.http.as_ref().map(|pair| &pair.key)),
        "tls-client-ca" => file(config.tls.client_ca.as_ref()),
        "tls-ca" => file(config.tls.ca.as_ref()),
        "peer-tls-cert" => file(config.tls.peers.as_ref().map(|peers| &peers.pair.certificate)),
        "peer-tls-key" => file(config.tls.peers.as_ref().map(|peers| &peers.pair.key)),
        "peer-tls-ca" => file(config.tls.peers.as_ref().map(|peers| &peers.ca)),
        "name" => config.name.clone().unwrap_or_default(),
        "max-value-bytes" => config.max_value_bytes.to_string(),
        "max-request-bytes" => config.max_request_bytes.to_string(),
        "max-pending-bytes" => config.max_pending_bytes.to_string(),
        "max-pending-requests" => config.max_pending_requests.to_string(),
        "max-connections" => config.max_connections.to_string(),
        "max-watchers" => config.max_watchers.to_string(),
        "max-txn-operations" => config.max_txn_operations.to_string(),
        "history-revisions" => config.history_revisions.to_string(),
        "history-bytes" => config.history_bytes.to_string(),
        "idempotency-keys" => config.idempotency_keys.to_string(),
        "idempotency-bytes" => config.idempotency_bytes.to_string(),
        "backup-rate" => config.backup_bytes_per_second.to_string(),
        "scrub-rate" => config.scrub_bytes_per_second.to_string(),
        "flight-recorder-bytes" => config.flight_recorder_bytes.to_string(),
        "segment-bytes" => config.segment_bytes.to_string(),
        "keep-snapshots" => config.keep_snapshots.to_string(),
        "snapshot-entries" => config.snapshot_entries.to_string(),
        "election-timeout" => duration_text(config.election_timeout),
        "heartbeat-interval" => duration_text(config.heartbeat_interval),
        "snapshot-rate" => config.snapshot_bytes_per_second.to_string(),
        "remove-dead-voters-after" => {
            config.remove_dead_voters_after.map_or_else(|| "never".to_owned(), duration_text)
        }
        "min-voters" => config.min_voters.to_string(),
        "otlp-endpoint" => config.otlp_endpoint.as_ref().map(ToString::to_string).unwrap_or_default(),
        "log-format" => match config.log.format {
            LogFormat::Text => "text".to_owned(),
            LogFormat::Json => "json".to_owned(),
            LogFormat::Auto => "auto".to_owned(),
        },
        "log-level" => config.log.level.clone(),
        unknown => unreachable!("{unknown} is in the table of settings, but has no text here"),
    }
}
