//! One child process.

use crate::cli::dev::cluster::Event;
use crate::cli::dev::plan::NodePlan;
use crate::cli::output;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Variables that would change what a child does, besides all that begin with `QUORATE_`.
const SEED_VARIABLES: [&str; 5] = ["HOST", "PORT", "RAFT_PORT", "RAFT_LEADER", "STORAGE_PATH"];

/// What is done to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// SIGTERM: end well.
    Terminate,
    /// SIGKILL: end now.
    Kill,
}

/// A child that was started; it may have died since.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) pid: u32,
    orders: UnboundedSender<Order>,
}

impl Handle {
    /// Gives an order; to a child that is gone already it means nothing.
    pub(crate) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

/// Starts the child of `node`. Its end will be an [`Event::Died`].
pub(crate) fn start(node: &NodePlan, events: &UnboundedSender<Event>) -> io::Result<Handle> {
    let log = OpenOptions::new().create(true).append(true).open(&node.log_file)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(&node.arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    // A group of its own, so that Ctrl-C in the terminal reaches only the parent, which then ends all in order.
    command.process_group(0).kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("QUORATE_") || SEED_VARIABLES.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    let mut child = command.spawn()?;
    let pid = child.id().unwrap_or_default();
    if let Some(stderr) = child.stderr.take() {
        tokio::spawn(keep_log(node.number, stderr, log));
    }
    let (orders, incoming) = unbounded_channel();
    tokio::spawn(tend(node.number, child, incoming, events.clone()));
    Ok(Handle { pid, orders })
}

/// Waits for the child's end and carries out orders. Only this task knows the child, so no signal can reach a
/// stranger that got the same pid after the child was reaped.
async fn tend(
    number: usize,
    mut child: Child,
    mut orders: UnboundedReceiver<Order>,
    events: UnboundedSender<Event>,
) {
    // Held open while the child lives (waiting would close it): when this process is killed, the pipe closes, and
    // `--exit-with-parent` ends the child.
    let stdin = child.stdin.take();
    let ended = loop {
        tokio::select! {
            biased;
            ended = child.wait() => break ended,
            Some(order) = orders.recv() => carry_out(order, &mut child),
        }
    };
    drop(stdin);
    let (how, code) = match ended {
        Ok(status) => (status.to_string(), status.code()),
        Err(error) => (format!("waiting for it failed: {error}"), None),
    };
    // When the loop is gone, nobody wants to know.
    let _ = events.send(Event::Died { number, how, code });
}

fn carry_out(order: Order, child: &mut Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    let done = match (order, pid) {
        (_, None) => Ok(()),
        (Order::Kill, Some(_)) => child.start_kill(),
        (Order::Terminate, Some(pid)) => kill_process(pid, Signal::TERM).map_err(io::Error::from),
    };
    if let Err(error) = done {
        output::say(&format!("quorate: a child process can't be signalled: {error}"));
    }
}

/// Copies the child's log to its file, and what matters to our stderr.
async fn keep_log(number: usize, stderr: ChildStderr, mut log: File) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).await.is_ok_and(|length| length > 0) {
        if let Err(error) = log.write_all(&line) {
            output::say(&format!("node {number} | its log can't be written: {error}"));
        }
        let text = String::from_utf8_lossy(&line);
        if matters(&text) {
            output::say(&format!("node {number} | {}", text.trim_end()));
        }
        line.clear();
    }
}

/// Whether a line is a warning or worse. What is no log line at all (a panic, a message of the command line) matters
/// as well.
fn matters(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let is_log_line =
        words.next().is_some_and(|word| word.len() > 20 && word.starts_with("20") && word.ends_with('Z'));
    !is_log_line || matches!(words.next(), Some("WARN" | "ERROR"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_strange_lines_matter() {
        let cases = [
            ("2026-11-23T18:00:00.123456Z  INFO quorate_server: serving", false),
            ("2026-11-23T18:00:00.123456Z DEBUG quorate_server: a WARN in the text", false),
            ("2026-11-23T18:00:00.123456Z  WARN quorate_server: slow disk", true),
            ("2026-11-23T18:00:00.123456Z ERROR quorate_server: full disk", true),
            ("thread 'main' panicked at src/lib.rs:1:1:", true),
            ("quorate: port 8080 is in use", true),
        ];
        for (line, expected) in cases {
            assert_eq!(matters(line), expected, "{line}");
        }
    }
}
