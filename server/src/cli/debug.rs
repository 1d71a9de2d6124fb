//! `quorate debug record`: what went into a node lately, as a file that `cargo sim --replay` does again.
//!
//! What comes is verified piece by piece and written to `FILE.recording.partial`, which gets its name when all of it
//! is there and durable. A recording that broke off is begun anew: the ring has moved on meanwhile.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use quorate_client::{Client, Endpoint, NoBackup};
use quorate_node::recording::{End, Head};
use quorate_node::wire::codec;
use quorate_node::wire::recording::{Kind, RecordingDecoder};
use serde::Serialize;

use crate::cli::arguments::parse_timeout;
use crate::cli::bundle::{self, BundleCommand};
use crate::cli::exit::{Exit, Failure};
use crate::cli::files::{failed, name_durably, open_alone, refuse_existing};
use crate::cli::output::{self, Output, OutputFlags, Table};
use crate::cli::tls_flags::TlsFlags;
use crate::paths::with_suffix;
use crate::real::block_on;

/// The pause before the node is asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// How often something is said of what has come.
const LINE_EVERY: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
pub(crate) struct DebugCommand {
    #[command(subcommand)]
    action: DebugAction,
}

#[derive(Debug, Subcommand)]
enum DebugAction {
    /// Save what went into a node lately, for `cargo sim --replay FILE`. It holds keys and values
    Record(RecordCommand),
    /// Put together what nodes say of themselves, for whoever is to help: no keys, no values, no secrets
    Bundle(BundleCommand),
}

#[derive(Debug, Args)]
struct RecordCommand {
    /// The file to write; until it is whole, FILE.recording.partial
    file: PathBuf,
    /// Take the place of a file that is there
    #[arg(long)]
    overwrite: bool,
    /// The node: this one and no other
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    endpoint: Endpoint,
    /// Give up when nothing has come for this long, or all of it could not be had since so long ago
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_timeout)]
    timeout: Duration,
    #[command(flatten)]
    tls: TlsFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Record {
    file: String,
    bytes: u64,
    node: String,
    cluster: String,
    inputs: u64,
    index: u64,
    revision: u64,
    state_hash: String,
}

pub(crate) fn run(command: &DebugCommand) -> Result<(), Failure> {
    match &command.action {
        DebugAction::Record(command) => record(command),
        DebugAction::Bundle(command) => bundle::run(command),
    }
}

fn record(command: &RecordCommand) -> Result<(), Failure> {
    refuse_existing(&command.file, command.overwrite)?;
    let record = block_on(take(command))??;
    output::say(&format!(
        "{} holds keys and values of the store as they are: keep it as you keep the data",
        command.file.display()
    ));
    match command.output.output {
        Output::Json => output::json(&record),
        Output::Table => table(record).print(),
    }
}

/// Asks until a whole recording has come, or nothing comes for too long.
async fn take(command: &RecordCommand) -> Result<Record, Failure> {
    let client = command.tls.client(vec![command.endpoint.clone()], command.timeout)?;
    let begun = Instant::now();
    loop {
        let problem = match attempt(command, &client).await? {
            Ok(record) => return Ok(record),
            Err(NoBackup::Refused(error)) => return Err(error.into()),
            Err(problem) => problem,
        };
        if begun.elapsed() >= command.timeout {
            let message = format!("{}: {problem}", command.endpoint);
            return Err(Failure::Ended(Exit::Unavailable, message));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Writes the file; what kept it from coming is the inner error.
async fn attempt(command: &RecordCommand, client: &Client) -> Result<Result<Record, NoBackup>, Failure> {
    let mut arriving = match client.recording(&command.endpoint).await {
        Ok(arriving) => arriving,
        Err(problem) => return Ok(Err(problem)),
    };
    let mut unfinished = Unfinished::begin(&command.file)?;
    loop {
        match arriving.piece(command.timeout).await {
            Ok(Some(piece)) => unfinished.take(&piece)?,
            Ok(None) => break,
            Err(problem) => return Ok(Err(problem)),
        }
    }
    refuse_existing(&command.file, command.overwrite)?;
    unfinished.finish(&command.file).map(Ok)
}

/// What has come.
struct Unfinished {
    path: PathBuf,
    file: File,
    decoder: RecordingDecoder,
    head: Option<Head>,
    end: Option<End>,
    bytes: u64,
    said: Instant,
}

impl Unfinished {
    fn begin(file: &Path) -> Result<Unfinished, Failure> {
        // `FILE.partial` may be the beginning of a backup.
        let path = with_suffix(file, ".recording.partial");
        let file = open_alone(&path)?;
        file.set_len(0).map_err(|error| failed("empty", &path, &error))?;
        let (decoder, said) = (RecordingDecoder::new(), Instant::now());
        Ok(Unfinished { path, file, decoder, head: None, end: None, bytes: 0, said })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.decoder.push(bytes);
        let wrong =
            |error: &dyn std::fmt::Display| Failure::failed(format!("what the node sends is wrong: {error}"));
        while let Some((kind, payload)) = self.decoder.next_piece().map_err(|error| wrong(&error))? {
            match kind {
                Kind::Head => self.head = Some(codec::decode(payload).map_err(|error| wrong(&error))?),
                Kind::End => self.end = Some(codec::decode(payload).map_err(|error| wrong(&error))?),
                Kind::Base | Kind::Entries | Kind::Checkpoint | Kind::Events => {}
            }
        }
        self.file.write_all(bytes).map_err(|error| failed("write", &self.path, &error))?;
        self.bytes += bytes.len() as u64;
        if self.said.elapsed() >= LINE_EVERY {
            self.said = Instant::now();
            output::say(&format!("{} bytes have come", self.bytes));
        }
        Ok(())
    }

    /// Gives the whole recording its name, durably.
    fn finish(self, name: &Path) -> Result<Record, Failure> {
        self.decoder
            .finish()
            .map_err(|error| Failure::failed(format!("{}: {error}", self.path.display())))?;
        let (Some(head), Some(end)) = (self.head, self.end) else {
            return Err(Failure::failed(format!("{} has no head or no end", self.path.display())));
        };
        name_durably(&self.file, &self.path, name)?;
        Ok(Record {
            file: name.display().to_string(),
            bytes: self.bytes,
            node: head.node.to_string(),
            cluster: head.cluster.to_string(),
            inputs: end.inputs,
            index: end.applied.index.0,
            revision: end.revision.0,
            state_hash: format!("{:016x}", end.state_hash),
        })
    }
}

fn table(record: Record) -> Table<7> {
    let mut table = Table::new(["FILE", "BYTES", "NODE", "INPUTS", "INDEX", "REVISION", "STATE-HASH"]);
    let Record { file, bytes, node, inputs, index, revision, state_hash, .. } = record;
    let [bytes, inputs, index, revision] = [bytes, inputs, index, revision].map(|number| number.to_string());
    table.row([file, bytes, node, inputs, index, revision, state_hash]);
    table
}
