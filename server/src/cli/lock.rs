//! `lock`: a command that runs while nobody else holds the lock of a name.
//!
//! Who wants the lock stands in a line under `lock/NAME/`, first come, first served. The one who has it keeps a lease
//! alive while the command runs; when the lease is lost, the command is ended before the lock can have passed to
//! somebody else. That is as much as a lease can do: a command that was stopped, or that runs on after this process
//! was killed, knows nothing of it. What the command changes has to look at its token.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use clap::Args;
use quorate_client::{Client, Place};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child, Command};

use crate::cli::arguments::{ClientFlags, parse_timeout};
use crate::cli::client::run;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::cli::signals::Signals;
use crate::config::parse_duration;

/// The variable with the fencing token.
const TOKEN_VARIABLE: &str = "QUORATE_LOCK_TOKEN";
/// The variable with the key that stands for the lock; its `create_revision` is the token.
const KEY_VARIABLE: &str = "QUORATE_LOCK_KEY";

/// The longest time that a command has to end well after the lock was lost.
const LONGEST_GRACE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct LockCommand {
    /// The name of the lock
    name: String,
    /// How long others wait for the lock when its holder is gone
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = parse_timeout)]
    ttl: Duration,
    /// Give up when the lock was not free for this long, with exit code 4; 0s does not wait
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    wait: Option<Duration>,
    /// The command, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
    #[command(flatten)]
    client: ClientFlags,
}

const HELP: &str = "\
The command has QUORATE_LOCK_TOKEN in its environment, a number that grows from holder to holder, and
QUORATE_LOCK_KEY, the key whose create_revision it is. Whatever the command changes should refuse a token that is
smaller than one it has seen: a lease alone can't keep a command that was stopped for a while from going on.

When the lock is lost, the command gets SIGTERM, and SIGKILL a quarter of the ttl later, at most 5s. The exit code is
that of the command; 1 when the lock was lost.";

pub(crate) fn lock(command: &LockCommand) -> Result<(), Failure> {
    run(&command.client, async |client| hold(&client, command).await)
}

async fn hold(client: &Client, command: &LockCommand) -> Result<(), Failure> {
    let mut signals = Signals::new()?;
    let line = format!("lock/{}", command.name);
    let mut place = tokio::select! {
        biased;
        asked = signals.next() => return Err(asked.failure()),
        place = client.line_up(&line, holder().into(), command.ttl) => place?,
    };
    let turn = tokio::select! {
        biased;
        asked = signals.next() => Err(asked.failure()),
        turn = turn(&mut place, command) => turn,
    };
    let ended = match turn {
        Ok(()) => carry_out(&mut place, command, &mut signals).await,
        Err(failure) => Err(failure),
    };
    if let Err(error) = place.leave().await {
        output::say(&format!(
            "quorate: the lock could not be released, and is free in {:?}: {error}",
            command.ttl
        ));
    }
    match ended? {
        0 => Ok(()),
        code => Err(Failure::Code(code)),
    }
}

/// What others see of the holder.
fn holder() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    serde_json::json!({ "host": host, "pid": std::process::id() }).to_string()
}

/// Waits until the lock is ours.
async fn turn(place: &mut Place, command: &LockCommand) -> Result<(), Failure> {
    let Some(wait) = command.wait else { return Ok(place.first().await?) };
    if place.is_first().await? {
        return Ok(());
    }
    match tokio::time::timeout(wait, place.first()).await {
        Ok(turn) => Ok(turn?),
        Err(_) => {
            let message = format!("the lock {:?} is held by somebody else", command.name);
            Err(Failure::Ended(Exit::PreconditionFailed, message))
        }
    }
}

/// Runs the command while the lock is held, and returns its exit code.
async fn carry_out(place: &mut Place, command: &LockCommand, signals: &mut Signals) -> Result<u8, Failure> {
    let mut child = Running::start(place, command)?;
    loop {
        tokio::select! {
            biased;
            ended = child.child.wait() => return Ok(code(ended?)),
            asked = signals.next() => child.pass_on(asked.signal())?,
            why = place.lost() => {
                child.end(command.ttl).await?;
                let message = format!("the lock {:?} was lost, and the command was ended: {why}", command.name);
                return Err(Failure::failed(message));
            }
        }
    }
}

/// How shells tell how a command ended.
fn code(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// The command.
struct Running {
    child: Child,
    /// It and all that it starts form a group of their own. On a terminal they don't: they could not read from it.
    has_group: bool,
}

impl Running {
    fn start(place: &Place, command: &LockCommand) -> Result<Self, Failure> {
        let has_group = !io::stdin().is_terminal();
        let (program, arguments) = command.command.split_first().expect("clap asks for one word at least");
        let mut started = Command::new(program);
        started.args(arguments).kill_on_drop(true);
        started.env(TOKEN_VARIABLE, place.token().to_string()).env(KEY_VARIABLE, place.key());
        if has_group {
            started.process_group(0);
        }
        match started.spawn() {
            Ok(child) => Ok(Self { child, has_group }),
            Err(error) => {
                output::say(&format!("quorate: {} can't be started: {error}", program.display()));
                // The shells' codes for that.
                Err(Failure::Code(if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }))
            }
        }
    }

    /// Hands a signal on. Ctrl-C on a terminal reaches the command by itself.
    fn pass_on(&self, signal: Signal) -> io::Result<()> {
        if signal == Signal::INT && !self.has_group { Ok(()) } else { self.signal(signal) }
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        // Without an id it has ended, and was waited for.
        let id = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let sent = match id {
            None => Ok(()),
            Some(id) if self.has_group => kill_process_group(id, signal),
            Some(id) => kill_process(id, signal),
        };
        sent.map_err(io::Error::from)
    }

    /// SIGTERM, and SIGKILL when that was not enough in time.
    async fn end(&mut self, ttl: Duration) -> io::Result<()> {
        self.signal(Signal::TERM)?;
        if tokio::time::timeout(LONGEST_GRACE.min(ttl / 4), self.child.wait()).await.is_err() {
            self.signal(Signal::KILL)?;
            self.child.wait().await?;
        }
        Ok(())
    }
}
