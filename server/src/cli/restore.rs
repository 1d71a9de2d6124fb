//! `quorate restore`: a new data dir from a backup.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, Output, OutputFlags};
use crate::cli::progress::Progress;
use crate::real::RealRuntime;
use crate::restore::{Backup, RestoreError, Restored, restore, take_empty};

#[derive(Debug, Args)]
pub(crate) struct RestoreCommand {
    /// The backup
    file: PathBuf,
    /// The data dir to make; empty, or not there yet
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    #[command(flatten)]
    output: OutputFlags,
}

/// What was made.
#[derive(Debug, Serialize)]
struct Record {
    data_dir: String,
    node: String,
    cluster: String,
    history: String,
    history_before: String,
    revision: u64,
    keys: u64,
}

pub(crate) fn run(command: &RestoreCommand) -> Result<(), Failure> {
    let dir = take_empty(&command.data_dir)?;
    let length = Backup::length(&command.file)?;
    let mut bar = Progress::new(length, "verified");
    let (backup, kv) = Backup::verify(&command.file, &mut |bytes| bar.step(bytes))?;
    bar.end();
    let mut bar = Progress::new(length, "written");
    let restored = restore(dir, &backup, kv, &RealRuntime::start(), &mut |bytes| bar.step(bytes))?;
    bar.end();
    let record = record(command, &restored);
    if command.output.output == Output::Json {
        return output::json(&record);
    }
    let Record { data_dir, node, cluster, history, history_before, revision, keys } = record;
    output::say(&format!(
        "node {node} is the only voter of cluster {cluster} now, with {keys} keys at revision {revision}\n\
         history {history_before} ends here; history {history} begins\n\
         next: quorate serve --data-dir {data_dir}"
    ));
    Ok(())
}

fn record(command: &RestoreCommand, restored: &Restored) -> Record {
    Record {
        data_dir: command.data_dir.display().to_string(),
        node: restored.identity.node.to_string(),
        cluster: restored.identity.cluster.to_string(),
        history: restored.identity.history.to_string(),
        history_before: restored.before.to_string(),
        revision: restored.revision.0,
        keys: restored.keys,
    }
}

impl From<RestoreError> for Failure {
    fn from(error: RestoreError) -> Self {
        let exit = match error.exit_code() {
            4 => Exit::PreconditionFailed,
            78 => Exit::BadConfiguration,
            _ => Exit::Failed,
        };
        Self::Ended(exit, error.to_string())
    }
}
