//! `quorate inspect`: what a data dir holds.

use std::path::Path;

use quorate_node::raft::{Found, LogId, Members, NodeId};
use quorate_storage::{
    CheckpointSight, Directory, FileDisk, SegmentSight, StableSight, Survey, Surveyed, newest_members,
};
use serde::Serialize;

use crate::cli::arguments::DirectoryCommand;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Output, Table};
use crate::cli::verify::{Place, flaws, table, unreadable, unusable};

/// All that is printed.
#[derive(Debug, Serialize)]
struct Report {
    node: Option<String>,
    cluster: Option<String>,
    history: Option<String>,
    /// The history that an interrupted recovery leads to.
    recovering: Option<String>,
    /// The id under which the node is coming back.
    successor: Option<String>,
    /// The history that a backup will begin whose restoring was interrupted.
    restoring: Option<String>,
    /// The process that uses the directory. Its log and checkpoints are not looked at: they change meanwhile.
    in_use: Option<String>,
    term: Option<u64>,
    vote: Option<String>,
    /// What a node would find that was started here; nothing while it is in use.
    log: Option<Log>,
    segments: Vec<Segment>,
    spares: usize,
    checkpoints: Vec<Checkpoint>,
    members: Vec<Member>,
    faults: Vec<Place>,
}

#[derive(Debug, Serialize)]
struct Log {
    /// The slot before the first that is held.
    base: Option<String>,
    /// The last slot, as term/index.
    last: Option<String>,
    /// Up to here it is known to be committed, at least.
    commit: Option<u64>,
    /// The slots whose payload is lost.
    damaged: Vec<u64>,
    /// Where its end is lost.
    unknown: Option<u64>,
    /// Why a node can't be started here.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Segment {
    file: String,
    bytes: u64,
    used_bytes: u64,
    linked: bool,
    records: usize,
    first_batch: Option<u64>,
    last_batch: Option<u64>,
    first_index: Option<u64>,
    last_index: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Checkpoint {
    file: String,
    bytes: u64,
    last: Option<String>,
}

#[derive(Debug, Serialize)]
struct Member {
    id: String,
    name: Option<String>,
    address: String,
    url: String,
    role: &'static str,
}

pub(crate) fn inspect(command: &DirectoryCommand) -> Result<(), Failure> {
    let report = Report::take(&command.dir)?;
    match command.output.output {
        Output::Json => output::json(&report),
        Output::Table => output::data(report.text().as_bytes()),
    }
}

/// What `-o json` prints.
pub(crate) fn as_json(dir: &Path) -> Result<String, Failure> {
    output::json_line(&Report::take(dir)?)
}

impl Report {
    fn take(dir: &Path) -> Result<Report, Failure> {
        let directory = Directory::look(dir).map_err(|error| unusable(&error))?;
        let disk = FileDisk::read_only(dir);
        let mut report = Report::of(&directory);
        if directory.in_use.is_none() {
            let surveyed = Survey::take(&disk, &mut |_| {}).map_err(|error| unreadable(&error))?;
            report.add(surveyed, &disk);
        }
        Ok(report)
    }

    fn of(directory: &Directory) -> Report {
        let identity = directory.identity;
        let user = |pid: Option<u32>| pid.map_or("another process".to_owned(), |pid| pid.to_string());
        Report {
            node: identity.map(|identity| identity.node.to_string()),
            cluster: identity.and_then(|identity| identity.cluster).map(|cluster| cluster.to_string()),
            history: identity.and_then(|identity| identity.history).map(|history| history.to_string()),
            recovering: directory.recovering.map(|history| history.to_string()),
            successor: directory.successor.map(|node| node.to_string()),
            restoring: directory.restoring.map(|history| history.to_string()),
            in_use: directory.in_use.map(|user_of| user(user_of.pid)),
            term: None,
            vote: None,
            log: None,
            segments: Vec::new(),
            spares: 0,
            checkpoints: Vec::new(),
            members: Vec::new(),
            faults: flaws(directory).collect(),
        }
    }

    fn add(&mut self, surveyed: Surveyed, disk: &FileDisk) {
        let newest = surveyed.stable.iter().flatten().max_by_key(|sight: &&StableSight| sight.sequence);
        self.term = newest.map(|sight| sight.hard.term.0);
        self.vote = newest.and_then(|sight| sight.hard.vote).map(|node| node.to_string());
        self.log = Some(Log::of(&Surveyed::found(disk.clone())));
        self.spares = surveyed.spares;
        self.faults.extend(surveyed.faults.iter().map(Place::from));
        self.segments = surveyed.segments.into_iter().map(Segment::from).collect();
        self.checkpoints = surveyed.checkpoints.into_iter().map(Checkpoint::from).collect();
        let members = newest_members(disk.clone()).map(|(_, members)| members).unwrap_or_default();
        self.members = members.ids().map(|id| Member::of(&members, id)).collect();
    }

    fn text(&self) -> String {
        let mut facts = Table::new(["WHAT", "VALUE"]);
        let mut fact =
            |name: &str, value: Option<String>| facts.row([name.to_owned(), value.unwrap_or_default()]);
        fact("node", self.node.clone());
        fact("cluster", self.cluster.clone());
        fact("history", self.history.clone());
        let states = [
            ("recovering", &self.recovering),
            ("successor", &self.successor),
            ("restoring", &self.restoring),
            ("in use by", &self.in_use),
        ];
        for (name, value) in states {
            if value.is_some() {
                fact(name, value.clone());
            }
        }
        if let Some(log) = &self.log {
            fact("term", self.term.map(|term| term.to_string()));
            fact("vote", self.vote.clone());
            for (name, value) in log.facts() {
                fact(name, value);
            }
            fact("spare segments", Some(self.spares.to_string()));
        }
        let mut parts = vec![facts.text()];
        if !self.segments.is_empty() {
            parts.push(segments(&self.segments).text());
        }
        if !self.checkpoints.is_empty() {
            parts.push(checkpoints(&self.checkpoints).text());
        }
        if !self.members.is_empty() {
            parts.push(members(&self.members).text());
        }
        if !self.faults.is_empty() {
            parts.push(table(&self.faults).text());
        }
        parts.join("\n")
    }
}

impl Log {
    fn of(found: &Result<Found, quorate_storage::OpenError>) -> Log {
        let text = |id: LogId| Some(id.to_string());
        match found {
            Ok(found) => Log {
                base: text(found.terms.base()),
                last: text(found.terms.last()),
                commit: Some(found.commit_hint.0),
                damaged: found.damaged.iter().map(|id| id.index.0).collect(),
                unknown: found.unknown.map(|index| index.0),
                error: None,
            },
            Err(error) => Log {
                base: None,
                last: None,
                commit: None,
                damaged: Vec::new(),
                unknown: None,
                error: Some(error.to_string()),
            },
        }
    }

    fn facts(&self) -> Vec<(&'static str, Option<String>)> {
        if let Some(error) = &self.error {
            return vec![("log", Some(error.clone()))];
        }
        let mut facts = vec![
            ("log begins after", self.base.clone()),
            ("log ends at", self.last.clone()),
            ("known as committed", self.commit.map(|commit| commit.to_string())),
        ];
        if !self.damaged.is_empty() {
            let indexes: Vec<String> = self.damaged.iter().map(u64::to_string).collect();
            facts.push(("damaged entries", Some(indexes.join(","))));
        }
        if let Some(from) = self.unknown {
            facts.push(("end lost from", Some(from.to_string())));
        }
        facts
    }
}

impl From<SegmentSight> for Segment {
    fn from(sight: SegmentSight) -> Segment {
        Segment {
            file: sight.file,
            bytes: sight.bytes,
            used_bytes: sight.used_bytes,
            linked: sight.is_linked,
            records: sight.records,
            first_batch: sight.batches.map(|(first, _)| first),
            last_batch: sight.batches.map(|(_, last)| last),
            first_index: sight.slots.map(|(first, _)| first.0),
            last_index: sight.slots.map(|(_, last)| last.0),
        }
    }
}

impl From<CheckpointSight> for Checkpoint {
    fn from(sight: CheckpointSight) -> Checkpoint {
        Checkpoint { file: sight.file, bytes: sight.bytes, last: sight.last.map(|last| last.to_string()) }
    }
}

impl Member {
    fn of(members: &Members, id: NodeId) -> Member {
        let contact = members.contacts.get(&id).cloned().unwrap_or_default();
        Member {
            id: id.to_string(),
            name: (!contact.name.is_empty()).then_some(contact.name),
            address: contact.address,
            url: contact.url,
            role: if members.is_voter(id) { "voter" } else { "learner" },
        }
    }
}

fn segments(segments: &[Segment]) -> Table<7> {
    let mut table = Table::new(["SEGMENT", "BYTES", "USED", "RECORDS", "BATCHES", "SLOTS", "LINKED"]);
    for segment in segments {
        table.row([
            segment.file.clone(),
            segment.bytes.to_string(),
            segment.used_bytes.to_string(),
            segment.records.to_string(),
            range(segment.first_batch, segment.last_batch),
            range(segment.first_index, segment.last_index),
            if segment.linked { "yes" } else { "no" }.to_owned(),
        ]);
    }
    table
}

fn range(first: Option<u64>, last: Option<u64>) -> String {
    first.zip(last).map(|(first, last)| format!("{first}-{last}")).unwrap_or_default()
}

fn checkpoints(checkpoints: &[Checkpoint]) -> Table<3> {
    let mut table = Table::new(["CHECKPOINT", "BYTES", "LAST"]);
    for Checkpoint { file, bytes, last } in checkpoints {
        table.row([file.clone(), bytes.to_string(), last.clone().unwrap_or_default()]);
    }
    table
}

fn members(members: &[Member]) -> Table<5> {
    let mut table = Table::new(["MEMBER", "NAME", "ADDRESS", "URL", "ROLE"]);
    for member in members {
        table.row([
            member.id.clone(),
            member.name.clone().unwrap_or_default(),
            member.address.clone(),
            member.url.clone(),
            member.role.to_owned(),
        ]);
    }
    table
}
