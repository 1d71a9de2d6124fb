//! `quorate backup`: a consistent copy of the store, from any node that answers.
//!
//! What comes is verified block by block and written to `FILE.partial`; the file gets its name when all of it is there,
//! verified and durable. Whatever breaks, the nodes are asked in turn for the rest, and so does the next run of the
//! command. Only when nobody has the checkpoint any more it begins again with a new one. When a run finds all of it
//! there, it may be of any day: a node is asked first whether the store is still at that. If not, it is kept until a
//! newer one has the name.

mod partial;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use quorate_client::{Arriving, Client, Consistency, Endpoint, NoBackup, Wanted};
use quorate_storage::backup::Flaw;
use serde::Serialize;

use crate::backups::Pace;
use crate::cli::arguments::parse_timeout;
use crate::cli::exit::{Exit, Failure};
use crate::cli::files::refuse_existing;
use crate::cli::output::{self, Output, OutputFlags, Table};
use crate::cli::progress::Progress;
use crate::cli::tls_flags::TlsFlags;
use crate::config::parse_rate;
use crate::paths::with_suffix;
use crate::real::{RealRuntime, block_on};
use crate::runtime::Runtime;
use partial::{NotTaken, Partial};

/// The pause before all endpoints are asked again.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a node that does not answer is waited for, which may still have the checkpoint that the others don't have.
const RETURN_PATIENCE: Duration = Duration::from_secs(10);

/// How often what comes may be wrong at the same place.
const MOST_FLAWS: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct BackupCommand {
    /// The file to write; until it is whole, FILE.partial
    file: PathBuf,
    /// Take the place of a file that is there
    #[arg(long)]
    overwrite: bool,
    /// How fresh it must be: linearizable, or stale, which needs no leader
    #[arg(long, value_name = "LEVEL", default_value = "linearizable")]
    consistency: Consistency,
    /// Take at most this much in a second
    #[arg(long, value_name = "SIZE", value_parser = parse_rate)]
    rate: Option<u64>,
    /// Nodes to ask, in this order
    #[arg(long, value_name = "URL,URL", value_delimiter = ',', default_value = "http://127.0.0.1:8080")]
    endpoints: Vec<Endpoint>,
    /// Give up when nothing has come for this long
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_timeout)]
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
    /// How much of it was there when the command began.
    resumed_bytes: u64,
    cluster: String,
    history: String,
    term: u64,
    index: u64,
    revision: u64,
}

pub(crate) fn backup(command: &BackupCommand) -> Result<(), Failure> {
    let record = take(command)?;
    match command.output.output {
        Output::Json => output::json(&record),
        Output::Table => table(&record).print(),
    }
}

/// Writes the file.
fn take(command: &BackupCommand) -> Result<Record, Failure> {
    let file = &command.file;
    let client = command.client()?;
    command.refuse_existing()?;
    let partial = Partial::open(with_partial(file))?;
    // From here on nobody else gives that name. Somebody may have, just before.
    if let Err(failure) = command.refuse_existing() {
        partial.remove_empty();
        return Err(failure);
    }
    let resumed_bytes = partial.verifier().taken_bytes();
    if let Some(whole) = partial.whole() {
        output::say(&format!("{whole}: asks whether the store is still at that"));
    } else if resumed_bytes > 0 {
        let revision = partial.verifier().header().map(|header| format!(" of revision {}", header.revision));
        let of = revision.unwrap_or_default();
        output::say(&format!(
            "{resumed_bytes} bytes{of} of {} are there: goes on behind them",
            file.display()
        ));
    }
    let (partial, resumed_bytes) = block_on(Fetch::new(command, client, partial).run())??;
    let record = record(file, resumed_bytes, &partial)?;
    partial.finish(file)?;
    Ok(record)
}

impl BackupCommand {
    /// Each endpoint has its share of the time.
    fn client(&self) -> Result<Client, Failure> {
        let share = self.timeout / u32::try_from(self.endpoints.len()).unwrap_or(u32::MAX);
        self.tls.client(self.endpoints.clone(), share)
    }

    fn refuse_existing(&self) -> Result<(), Failure> {
        refuse_existing(&self.file, self.overwrite)
    }
}

fn with_partial(file: &Path) -> PathBuf {
    with_suffix(file, ".partial")
}

fn record(file: &Path, resumed_bytes: u64, partial: &Partial) -> Result<Record, Failure> {
    let header = partial.verifier().header().ok_or_else(|| Failure::failed("nothing has come"))?;
    Ok(Record {
        file: file.display().to_string(),
        bytes: header.file_bytes,
        resumed_bytes,
        cluster: header.origin.cluster.to_string(),
        history: header.origin.history.to_string(),
        term: header.last.term.0,
        index: header.last.index.0,
        revision: header.revision.0,
    })
}

fn table(record: &Record) -> Table<6> {
    let mut table = Table::new(["FILE", "BYTES", "REVISION", "INDEX", "CLUSTER", "HISTORY"]);
    let Record { file, bytes, revision, index, cluster, history, .. } = record;
    table.row([
        file.clone(),
        bytes.to_string(),
        revision.to_string(),
        index.to_string(),
        cluster.clone(),
        history.clone(),
    ]);
    table
}

/// Gets a backup, or the rest of one.
struct Fetch<'a> {
    command: &'a BackupCommand,
    client: Client,
    partial: Partial,
    clock: RealRuntime,
    pace: Option<Pace>,
    progress: Option<Progress>,
    /// Whom to ask first: who answered last, or comes next after who failed.
    first: usize,
    /// When something came last.
    came_at: Instant,
    /// Since when nobody who answers has the checkpoint.
    gone_since: Option<Instant>,
    /// Where what came was wrong last, and how often.
    flaw: (u64, usize),
    /// How much was there when the command began, and is still used.
    resumed_bytes: u64,
    /// All of it was there when the command began: whether it will do is still to be asked.
    is_in_question: bool,
    /// Of whom it was said that they refuse.
    told: BTreeSet<usize>,
}

/// What came of asking one endpoint after the other.
enum Round {
    /// Something came, or nothing need come.
    Came,
    /// Nothing, and why.
    Nothing { count: Count, problems: Vec<String> },
}

/// How many of the endpoints said what.
#[derive(Clone, Copy, Default)]
struct Count {
    /// That they don't have the checkpoint.
    gone: usize,
    /// That they are busy.
    busy: usize,
    /// No, for good.
    refused: usize,
}

/// What came of asking one.
enum Asked {
    Came,
    Gone(String),
    Busy(String),
    NotNow(String),
    Refused(Exit, String),
}

/// Why what an endpoint sends came to its end before all was there.
enum BrokeOff {
    Here(String),
    OtherVersion(Flaw),
}

impl<'a> Fetch<'a> {
    fn new(command: &'a BackupCommand, client: Client, partial: Partial) -> Fetch<'a> {
        Fetch {
            command,
            client,
            resumed_bytes: partial.verifier().taken_bytes(),
            is_in_question: partial.verifier().is_complete(),
            partial,
            clock: RealRuntime::start(),
            pace: command.rate.map(Pace::new),
            progress: None,
            first: 0,
            came_at: Instant::now(),
            gone_since: None,
            flaw: (0, 0),
            told: BTreeSet::new(),
        }
    }

    /// Gets it; also how much of it was there before.
    async fn run(mut self) -> Result<(Partial, u64), Failure> {
        if !self.is_in_question {
            self.show();
        }
        while self.is_in_question || !self.partial.verifier().is_complete() {
            let problems = match self.round().await? {
                Round::Came => {
                    (self.came_at, self.gone_since) = (Instant::now(), None);
                    continue;
                }
                Round::Nothing { count, problems } => {
                    if self.is_gone(count) {
                        self.say("no node has that checkpoint any more: begins again with a new one");
                        self.begin_again()?;
                        continue;
                    }
                    problems
                }
            };
            if self.came_at.elapsed() >= self.command.timeout {
                let mut message =
                    format!("nothing has come for {:?}: {}", self.command.timeout, problems.join("; "));
                if let Some(whole) = self.partial.whole() {
                    message.push_str(&format!("; {whole}: give it its name if that is the one you want"));
                }
                if let Some(kept) = self.partial.kept() {
                    message.push_str(&format!("; {} is a whole backup of before", kept.display()));
                }
                return Err(Failure::Ended(Exit::Unavailable, message));
            }
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(progress) = &self.progress {
            progress.end();
        }
        Ok((self.partial, self.resumed_bytes))
    }

    fn begin_again(&mut self) -> Result<(), Failure> {
        self.resumed_bytes = 0;
        let was_whole = self.partial.verifier().is_complete();
        self.partial.begin_again()?;
        // For a moment the name of the unfinished one was free.
        if was_whole { self.command.refuse_existing() } else { Ok(()) }
    }

    /// Whether to give up the checkpoint that was begun, which so many don't have: when that is everybody, or when
    /// those who might have it don't answer, or are busy, for long.
    fn is_gone(&mut self, count: Count) -> bool {
        if count.gone == 0 {
            return false;
        }
        let since = *self.gone_since.get_or_insert_with(Instant::now);
        let half = self.command.timeout / 2;
        let patience = if count.busy > 0 { half } else { half.min(RETURN_PATIENCE) };
        count.gone + count.refused == self.command.endpoints.len() || since.elapsed() >= patience
    }

    async fn round(&mut self) -> Result<Round, Failure> {
        let (mut count, mut problems, mut exit) = (Count::default(), Vec::new(), Exit::Failed);
        let endpoints = self.command.endpoints.len();
        for turn in 0..endpoints {
            let number = (self.first + turn) % endpoints;
            let problem = match self.ask(number).await? {
                Asked::Came => return Ok(Round::Came),
                Asked::Gone(problem) => {
                    count.gone += 1;
                    problem
                }
                Asked::Busy(problem) => {
                    count.busy += 1;
                    problem
                }
                Asked::Refused(code, problem) => {
                    count.refused += 1;
                    exit = code;
                    problem
                }
                Asked::NotNow(problem) => problem,
            };
            problems.push(format!("{}: {problem}", self.command.endpoints[number]));
        }
        if count.refused == endpoints {
            return Err(Failure::Ended(exit, problems.join("; ")));
        }
        Ok(Round::Nothing { count, problems })
    }

    /// What is missing, or what to ask instead.
    fn wanted(&self) -> Wanted {
        match self.partial.tag() {
            Some(tag) if !self.is_in_question => {
                Wanted::Rest { tag, from: self.partial.verifier().taken_bytes() }
            }
            known => Wanted::New { consistency: self.command.consistency, known },
        }
    }

    /// Asks one endpoint, and takes what it sends.
    async fn ask(&mut self, number: usize) -> Result<Asked, Failure> {
        let endpoint = self.command.endpoints[number].clone();
        let wanted = self.wanted();
        let arriving = match self.client.backup(&endpoint, &wanted).await {
            Ok(arriving) => arriving,
            Err(NoBackup::Unchanged) => {
                self.is_in_question = false;
                return Ok(Asked::Came);
            }
            Err(NoBackup::Gone) => return Ok(Asked::Gone(NoBackup::Gone.to_string())),
            Err(NoBackup::Busy(problem)) => return Ok(Asked::Busy(problem)),
            Err(NoBackup::NotNow(problem)) => return Ok(Asked::NotNow(problem)),
            Err(NoBackup::Refused(error)) => {
                return Ok(self.refused(number, Exit::from(&error), error.to_string()));
            }
        };
        if let Wanted::New { .. } = wanted {
            if let Some(whole) = self.partial.whole() {
                self.say(&format!(
                    "{whole}, and the store has moved on: begins again with a new one, and keeps that one until it is \
                     there"
                ));
            }
            self.is_in_question = false;
            self.begin_again()?;
        }
        let before = self.partial.verifier().taken_bytes();
        let problem = match self.receive(arriving).await? {
            None => None,
            Some(BrokeOff::OtherVersion(flaw)) => {
                let problem = format!("what it sends can't be read here: {flaw}");
                return Ok(self.refused(number, Exit::BadConfiguration, problem));
            }
            Some(BrokeOff::Here(problem)) => {
                self.say(&format!("{endpoint}: {problem}; goes on with the next"));
                Some(problem)
            }
        };
        self.first = if problem.is_some() { number + 1 } else { number };
        if self.partial.verifier().taken_bytes() > before {
            return Ok(Asked::Came);
        }
        Ok(Asked::NotNow(problem.unwrap_or_else(|| "its answer was empty".to_owned())))
    }

    /// Whoever has others to ask is told at once why this one is of no use, and only once.
    fn refused(&mut self, number: usize, exit: Exit, problem: String) -> Asked {
        if self.command.endpoints.len() > 1 && self.told.insert(number) {
            self.say(&format!("{}: {problem}; goes on with the next", self.command.endpoints[number]));
        }
        Asked::Refused(exit, problem)
    }

    /// Takes what comes. The answer says why it ended before all was there.
    async fn receive(&mut self, mut arriving: Arriving) -> Result<Option<BrokeOff>, Failure> {
        let here = |problem: String| Ok(Some(BrokeOff::Here(problem)));
        loop {
            let piece = match arriving.piece(self.command.timeout / 2).await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(None),
                Err(problem) => return here(problem.to_string()),
            };
            if let Some(pace) = &mut self.pace {
                let now = self.clock.now();
                let turn = pace.turn(now, piece.len() as u64);
                self.clock.sleep(turn.since(now)).await;
            }
            match self.partial.take(&piece) {
                Ok(()) => self.step(piece.len() as u64),
                Err(NotTaken::Failed(failure)) => return Err(failure),
                Err(NotTaken::Flaw(flaw)) if flaw.is_other_version() => {
                    return Ok(Some(BrokeOff::OtherVersion(flaw)));
                }
                Err(NotTaken::Flaw(flaw)) => {
                    let (offset, count) = self.flaw;
                    self.flaw = (flaw.offset, if flaw.offset == offset { count + 1 } else { 1 });
                    if self.flaw.1 >= MOST_FLAWS {
                        return Err(Failure::failed(format!("what comes is no sound backup: {flaw}")));
                    }
                    return here(format!("what came is wrong at {flaw}"));
                }
            }
        }
    }

    /// Says something, without the bar in between; it comes back with the next bytes.
    fn say(&mut self, line: &str) {
        if let Some(progress) = self.progress.take() {
            progress.end();
        }
        output::say(line);
    }

    fn step(&mut self, bytes: u64) {
        match &mut self.progress {
            Some(progress) => progress.step(bytes),
            None => self.show(),
        }
    }

    /// Shows how far it is, once it is known how much there is.
    fn show(&mut self) {
        if let Some(header) = self.partial.verifier().header() {
            let mut progress = Progress::new(header.file_bytes, "received");
            progress.skip(self.partial.verifier().taken_bytes());
            self.progress = Some(progress);
        }
    }
}

#[cfg(test)]
mod tests;
