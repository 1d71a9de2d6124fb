//! `quorate backup`: a consistent copy of the store, from any node that answers.
//!
//! What comes is verified block by block and written to `FILE.partial`; the file gets its name when all of it is there,
//! verified and durable. Whatever breaks, the nodes are asked in turn for the rest, and so does the next run of the
//! command. Only when nobody has the checkpoint any more it begins again with a new one.

mod partial;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use quorate_client::{Arriving, Client, Consistency, Endpoint, NoBackup, Wanted};
use serde::Serialize;

use crate::backups::Pace;
use crate::cli::arguments::parse_timeout;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, Output, OutputFlags, Table};
use crate::cli::progress::Progress;
use crate::config::parse_rate;
use crate::real::RealRuntime;
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
    let file = &command.file;
    if !command.overwrite && file.symlink_metadata().is_ok() {
        let message = format!("{} is there already: give another name, or --overwrite", file.display());
        return Err(Failure::Ended(Exit::PreconditionFailed, message));
    }
    let partial = Partial::open(with_partial(file))?;
    let resumed_bytes = partial.verifier().taken_bytes();
    if resumed_bytes > 0 {
        output::say(&format!("{resumed_bytes} bytes of {} are there: goes on behind them", file.display()));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let partial = runtime.block_on(Fetch::new(command, partial).run())?;
    let record = record(file, resumed_bytes, &partial)?;
    partial.finish(file)?;
    match command.output.output {
        Output::Json => output::json(&record),
        Output::Table => table(&record).print(),
    }
}

fn with_partial(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".partial");
    name.into()
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
}

/// What came of asking one endpoint after the other.
enum Round {
    /// Something came.
    Came,
    /// Nothing, and why; so many said that they don't have the checkpoint, and so many that they are busy.
    Nothing { gone: usize, busy: usize, problems: Vec<String> },
}

impl<'a> Fetch<'a> {
    fn new(command: &'a BackupCommand, partial: Partial) -> Fetch<'a> {
        let share = command.timeout / u32::try_from(command.endpoints.len()).unwrap_or(u32::MAX);
        Fetch {
            command,
            client: Client::new(command.endpoints.clone(), share),
            partial,
            clock: RealRuntime::start(),
            pace: command.rate.map(Pace::new),
            progress: None,
            first: 0,
            came_at: Instant::now(),
            gone_since: None,
            flaw: (0, 0),
        }
    }

    async fn run(mut self) -> Result<Partial, Failure> {
        self.show();
        while !self.partial.verifier().is_complete() {
            let problems = match self.round().await? {
                Round::Came => {
                    (self.came_at, self.gone_since) = (Instant::now(), None);
                    continue;
                }
                Round::Nothing { gone, busy, problems } => {
                    if self.is_gone(gone, busy) {
                        self.say("no node has that checkpoint any more: begins again with a new one");
                        self.partial.begin_again()?;
                        continue;
                    }
                    problems
                }
            };
            if self.came_at.elapsed() >= self.command.timeout {
                let message =
                    format!("nothing has come for {:?}: {}", self.command.timeout, problems.join("; "));
                return Err(Failure::Ended(Exit::Unavailable, message));
            }
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(progress) = &self.progress {
            progress.end();
        }
        Ok(self.partial)
    }

    /// Whether to give up the checkpoint that was begun, which so many don't have: when that is everybody, or when
    /// those who might have it don't answer, or are busy, for long.
    fn is_gone(&mut self, gone: usize, busy: usize) -> bool {
        if gone == 0 {
            return false;
        }
        let since = *self.gone_since.get_or_insert_with(Instant::now);
        let half = self.command.timeout / 2;
        let patience = if busy > 0 { half } else { half.min(RETURN_PATIENCE) };
        gone == self.command.endpoints.len() || since.elapsed() >= patience
    }

    async fn round(&mut self) -> Result<Round, Failure> {
        let (mut gone, mut busy, mut problems) = (0, 0, Vec::new());
        let count = self.command.endpoints.len();
        for turn in 0..count {
            let number = (self.first + turn) % count;
            let endpoint = self.command.endpoints[number].clone();
            let wanted = self.partial.rest().unwrap_or(Wanted::New(self.command.consistency));
            let problem = match self.client.backup(&endpoint, &wanted).await {
                Ok(arriving) => {
                    let before = self.partial.verifier().taken_bytes();
                    if wanted == Wanted::New(self.command.consistency) {
                        self.partial.begin_again()?;
                    }
                    let broke_off = self.receive(arriving).await?;
                    if let Some(problem) = &broke_off {
                        self.say(&format!("{endpoint}: {problem}; goes on with the next"));
                    }
                    self.first = if broke_off.is_some() { number + 1 } else { number };
                    if self.partial.verifier().taken_bytes() > before {
                        return Ok(Round::Came);
                    }
                    broke_off.unwrap_or_else(|| "its answer was empty".to_owned())
                }
                Err(NoBackup::Gone) => {
                    gone += 1;
                    NoBackup::Gone.to_string()
                }
                Err(NoBackup::Busy(problem)) => {
                    busy += 1;
                    problem
                }
                Err(NoBackup::NotNow(problem)) => problem,
                Err(NoBackup::Never(error)) => return Err(error.into()),
            };
            problems.push(format!("{endpoint}: {problem}"));
        }
        Ok(Round::Nothing { gone, busy, problems })
    }

    /// Takes what comes. The answer says why it ended before all was there.
    async fn receive(&mut self, mut arriving: Arriving) -> Result<Option<String>, Failure> {
        loop {
            let piece = match arriving.piece(self.command.timeout / 2).await {
                Ok(Some(piece)) => piece,
                Ok(None) => return Ok(None),
                Err(problem) => return Ok(Some(problem.to_string())),
            };
            if let Some(pace) = &mut self.pace {
                let now = self.clock.now();
                let turn = pace.turn(now, piece.len() as u64);
                self.clock.sleep(turn.since(now)).await;
            }
            match self.partial.take(&piece) {
                Ok(()) => self.step(piece.len() as u64),
                Err(NotTaken::Failed(failure)) => return Err(failure),
                Err(NotTaken::Flaw(flaw)) => {
                    let (offset, count) = self.flaw;
                    self.flaw = (flaw.offset, if flaw.offset == offset { count + 1 } else { 1 });
                    if self.flaw.1 >= MOST_FLAWS {
                        return Err(Failure::failed(format!("what comes is no sound backup: {flaw}")));
                    }
                    return Ok(Some(format!("what came is wrong at {flaw}")));
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
