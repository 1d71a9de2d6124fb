//! `quorate doctor`: whether this machine is fit for a node with these settings, before it is one or while it runs.
//!
//! It changes nothing: what it writes to measure the disk is in a file without a name, which is gone when it ends.

mod clock;
mod disk;

use std::net::{TcpListener, ToSocketAddrs};
use std::path::Path;

use clap::Args;
use quorate_client::Address;
use quorate_storage::{Directory, InUse, user_of};
use serde::Serialize;

use crate::cli::configuration::check;
use crate::cli::exit::{Exit, Failure};
use crate::cli::node_flags::NodeFlags;
use crate::cli::output::{self, Output, OutputFlags, Table};
use crate::config::ServeConfig;
use crate::open_files;

#[derive(Debug, Args)]
pub(crate) struct DoctorCommand {
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    output: OutputFlags,
}

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    /// It works, and not well.
    Warning,
    /// A node would not start, or would not be of use.
    Failed,
}

/// What was found of one thing.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    health: Health,
    /// What was seen, and what to do about it.
    detail: String,
}

impl Finding {
    fn new(check: &'static str, health: Health, detail: impl Into<String>) -> Finding {
        Finding { check, health, detail: detail.into() }
    }
}

pub(crate) fn run(command: &DoctorCommand) -> Result<(), Failure> {
    let config = command.node.resolve()?.config;
    let used_by = user(&config.data_dir);
    let mut findings = vec![configuration(&config), data_dir(&config.data_dir, used_by)];
    findings.extend(disk::findings(&config));
    findings.push(clock::finding());
    if used_by.is_none() {
        findings.push(port("http port", "listen", &config.listen));
        findings.push(port("peer port", "raft-listen", &config.raft_listen));
    }
    findings.push(files(&config));
    report(&findings, command.output.output)?;
    match findings.iter().filter(|finding| finding.health == Health::Failed).count() {
        0 => Ok(()),
        failed => Err(Failure::Ended(Exit::Failed, format!("{failed} of {} checks failed", findings.len()))),
    }
}

/// Who uses a data dir, also one that has nothing in it yet, as that of a node which is about to join.
fn user(path: &Path) -> Option<InUse> {
    user_of(path).ok().flatten()
}

fn report(findings: &[Finding], output: Output) -> Result<(), Failure> {
    if output == Output::Json {
        return findings.iter().try_for_each(output::json);
    }
    let mut table = Table::new(["CHECK", "HEALTH", "DETAIL"]);
    for Finding { check, health, detail } in findings {
        let health = match health {
            Health::Ok => "ok",
            Health::Warning => "warning",
            Health::Failed => "failed",
        };
        table.row([check.replace(' ', "-"), health.to_owned(), detail.clone()]);
    }
    table.print()
}

fn configuration(config: &ServeConfig) -> Finding {
    match check(config) {
        Ok(()) => Finding::new("configuration", Health::Ok, "it can be used"),
        Err(Failure::Ended(_, problem)) => Finding::new("configuration", Health::Failed, problem),
        Err(other) => Finding::new("configuration", Health::Failed, format!("{other:?}")),
    }
}

fn data_dir(path: &Path, used_by: Option<InUse>) -> Finding {
    let found =
        |health, detail: String| Finding::new("data dir", health, format!("{}: {detail}", path.display()));
    if let Some(InUse { pid }) = used_by {
        let who = pid.map_or_else(|| "a process".to_owned(), |pid| format!("process {pid}"));
        return found(Health::Ok, format!("{who} uses it"));
    }
    if !path.exists() {
        return found(Health::Ok, "it is not there yet, and will be made".to_owned());
    }
    match Directory::look(path) {
        Ok(directory) if directory.flaws.is_empty() => match directory.identity {
            Some(identity) => found(Health::Ok, format!("it holds the node {}", identity.node)),
            None => found(Health::Ok, "it holds no node yet".to_owned()),
        },
        Ok(directory) => {
            let flaws: Vec<String> = directory.flaws.iter().map(ToString::to_string).collect();
            found(Health::Failed, flaws.join("; "))
        }
        Err(error) => empty_or(path, error.to_string()),
    }
}

/// A directory without a node may still be one to start in.
fn empty_or(path: &Path, problem: String) -> Finding {
    match std::fs::read_dir(path).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Finding::new("data dir", Health::Ok, format!("{}: it is empty", path.display())),
        Ok(false) => Finding::new("data dir", Health::Warning, problem),
        Err(error) => Finding::new(
            "data dir",
            Health::Failed,
            format!("{}: it can't be read: {error}; give it to the user that runs the node", path.display()),
        ),
    }
}

/// Whether a node could listen there.
fn port(check: &'static str, flag: &str, address: &Address) -> Finding {
    let text = address.to_string();
    let bound = text.to_socket_addrs().and_then(|addresses| {
        addresses.map(TcpListener::bind).find(Result::is_ok).unwrap_or_else(|| TcpListener::bind(&*text))
    });
    match bound {
        Ok(_) => Finding::new(check, Health::Ok, format!("{text} is free")),
        Err(error) => Finding::new(
            check,
            Health::Failed,
            format!("{text} can't be listened at: {error}; end what is there, or give another --{flag}"),
        ),
    }
}

fn files(config: &ServeConfig) -> Finding {
    let wanted = config.max_connections;
    let room = open_files::room_for(wanted);
    let detail = format!("{room} connections fit into the limit of open files");
    if room < wanted {
        let more = format!("{detail}, and --max-connections is {wanted}: raise it (ulimit -n, LimitNOFILE=)");
        return Finding::new("open files", Health::Warning, more);
    }
    Finding::new("open files", Health::Ok, detail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn a_port_that_is_taken_fails() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address: Address = taken.local_addr().unwrap().to_string().parse().unwrap();
        let finding = port("http port", "listen", &address);
        assert_eq!(finding.health, Health::Failed);
        assert!(finding.detail.contains("--listen"), "{}", finding.detail);
        drop(taken);
        assert_eq!(port("http port", "listen", &address).health, Health::Ok);
    }

    /// A node that joins has taken its ports, and there may be nothing in its data dir but the lock.
    #[test]
    fn who_has_nothing_yet_may_use_a_directory() {
        let folder = tempfile::tempdir().unwrap();
        let _node = quorate_storage::data_dir::DataDir::open(folder.path()).unwrap();
        let used_by = user(folder.path());
        assert_eq!(used_by.unwrap().pid, Some(std::process::id()));
        let finding = data_dir(folder.path(), used_by);
        assert!(finding.health == Health::Ok && finding.detail.contains("uses it"), "{finding:?}");
    }

    #[test]
    fn a_directory_is_told_from_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let health = |path: &Path| data_dir(path, None).health;
        assert_eq!(health(&folder.path().join("new")), Health::Ok);
        assert_eq!(health(folder.path()), Health::Ok);
        std::fs::write(folder.path().join("letter.txt"), "dear").unwrap();
        assert_eq!(health(folder.path()), Health::Warning);
        let used = data_dir(folder.path(), Some(InUse { pid: Some(7) }));
        assert!(used.health == Health::Ok && used.detail.contains("process 7"), "{used:?}");
    }
}
