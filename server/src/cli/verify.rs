//! `quorate verify`: every checksum in a data dir, or in a backup.

use quorate_storage::data_dir::DataDirError;
use quorate_storage::{Directory, Fault, FileDisk, OpenError, Survey, Surveyed};
use serde::Serialize;

use crate::cli::arguments::VerifyCommand;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, Output, Table};
use crate::cli::progress::Progress;
use crate::restore::{Backup, RestoreError};

/// `VERSION` and `node.toml`, which every data dir has, and the two files of term and vote.
const OTHER_FILES: usize = 4;

/// A place that is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct Place {
    file: String,
    offset: Option<u64>,
    index: Option<u64>,
    reason: String,
}

impl From<&Fault> for Place {
    fn from(fault: &Fault) -> Place {
        Place {
            file: fault.file.clone(),
            offset: Some(fault.offset),
            index: fault.index.map(|index| index.0),
            reason: fault.reason.clone(),
        }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    files: usize,
    bytes: u64,
    faults: Vec<Place>,
}

pub(crate) fn verify(command: &VerifyCommand) -> Result<(), Failure> {
    if command.path.is_file() {
        return verify_backup(command);
    }
    let directory = Directory::look(&command.path).map_err(|error| unusable(&error))?;
    if let Some(user) = directory.in_use {
        // What is being written looks like what is torn.
        return Err(unusable(&DataDirError::Locked { path: command.path.clone(), pid: user.pid }));
    }
    let disk = FileDisk::read_only(&command.path);
    let total = Survey::bytes(&disk).map_err(|error| unreadable(&OpenError::Disk(error)))?;
    let mut progress = Progress::new(total, "checked");
    let surveyed =
        Survey::take(&disk, &mut |bytes| progress.step(bytes)).map_err(|error| unreadable(&error))?;
    progress.end();
    let faults: Vec<Place> = flaws(&directory).chain(surveyed.faults.iter().map(Place::from)).collect();
    let files = OTHER_FILES + surveyed.segments.len() + surveyed.checkpoints.len();
    let report = Report { files, bytes: total, faults };
    match command.output.output {
        Output::Json => output::json(&report)?,
        Output::Table if report.faults.is_empty() => {}
        Output::Table => table(&report.faults).print()?,
    }
    let what = format!("{files} files, {total} bytes of log, term and vote, and checkpoints");
    if report.faults.is_empty() {
        output::say(&format!("{what}: every checksum fits"));
        return Ok(());
    }
    let count = report.faults.len();
    Err(Failure::failed(format!(
        "{what}: {count} {} wrong; {}",
        are(count),
        what_to_do(&surveyed, &command.path)
    )))
}

/// A backup is looked at as `restore` does, which finds the first place that is wrong: behind that nothing can be told.
fn verify_backup(command: &VerifyCommand) -> Result<(), Failure> {
    let bytes = Backup::length(&command.path)?;
    let mut bar = Progress::new(bytes, "checked");
    let verified = Backup::verify(&command.path, &mut |bytes| bar.step(bytes));
    bar.end();
    let faults = match &verified {
        Ok(_) => Vec::new(),
        Err(RestoreError::Flawed { flaw, .. }) if !flaw.is_other_version() => {
            vec![Place {
                file: command.path.display().to_string(),
                offset: Some(flaw.offset),
                index: None,
                reason: format!("{}: {}", flaw.place, flaw.reason),
            }]
        }
        Err(_) => return verified.map(drop).map_err(Failure::from),
    };
    let report = Report { files: 1, bytes, faults };
    match command.output.output {
        Output::Json => output::json(&report)?,
        Output::Table if report.faults.is_empty() => {}
        Output::Table => table(&report.faults).print()?,
    }
    match verified {
        Ok((_, kv)) => {
            let (keys, revision) = (kv.len(), kv.revision());
            output::say(&format!(
                "a backup of {keys} keys at revision {revision}, {bytes} bytes: every checksum fits"
            ));
            Ok(())
        }
        Err(_) => {
            Err(Failure::failed(format!("a backup of {bytes} bytes: it can't be restored; take another")))
        }
    }
}

fn are(count: usize) -> &'static str {
    if count == 1 { "place is" } else { "places are" }
}

/// What is wrong with the directory itself.
pub(crate) fn flaws(directory: &Directory) -> impl Iterator<Item = Place> {
    directory.flaws.iter().map(|flaw| {
        let file = match flaw {
            DataDirError::UnknownVersion { .. } => "VERSION",
            DataDirError::StateMissing { .. } => "stable",
            _ => "node.toml",
        };
        Place { file: file.to_owned(), offset: None, index: None, reason: flaw.to_string() }
    })
}

/// A table of faults.
pub(crate) fn table(faults: &[Place]) -> Table<4> {
    let mut table = Table::new(["FILE", "OFFSET", "INDEX", "REASON"]);
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    for Place { file, offset, index, reason } in faults {
        table.row([file.clone(), number(*offset), number(*index), reason.clone()]);
    }
    table
}

fn what_to_do(surveyed: &Surveyed, dir: &std::path::Path) -> String {
    if surveyed.faults.is_empty() {
        return "the node can't be started as it is".to_owned();
    }
    match Surveyed::found(FileDisk::read_only(dir)) {
        Ok(found) if found.damaged.is_empty() && found.unknown.is_none() => {
            "another copy serves, and the node mends it when it is started".to_owned()
        }
        Ok(_) => "the node repairs its log from the other members when it is started".to_owned(),
        Err(error) => format!("the node can't be started as the one that it is: {error}"),
    }
}

pub(crate) fn unusable(error: &DataDirError) -> Failure {
    let exit = match error {
        DataDirError::Unusable { .. } => Exit::Failed,
        _ => Exit::BadConfiguration,
    };
    Failure::Ended(exit, error.to_string())
}

pub(crate) fn unreadable(error: &OpenError) -> Failure {
    let exit = match error {
        OpenError::UnknownVersion { .. } => Exit::BadConfiguration,
        _ => Exit::Failed,
    };
    Failure::Ended(exit, error.to_string())
}
