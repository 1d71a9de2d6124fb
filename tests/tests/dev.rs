//! `quorate dev`: a whole cluster from one command, and what happens when one of its nodes is killed.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;
use quorate_tests::ports::consecutive_free_ports;
use quorate_tests::program::{Program, Running, is_running, signal};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// What the README promises: from the start to serving, and from a leader's death to the next write.
const PROMISED: Duration = Duration::from_secs(3);

/// Times are measured here, so the tests of this file don't run beside each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Dev {
    process: Running,
    first_port: u16,
}

/// A node as a line of `quorate dev` names it.
#[derive(Clone, Debug)]
struct Line {
    number: usize,
    url: String,
    pid: u32,
    role: String,
}

impl Dev {
    /// Starts a cluster at these ports, with its output in files of this name.
    fn start(folder: &Path, name: &str, first_port: u16, flags: &[&str]) -> Self {
        Self::start_by(&[], folder, name, first_port, flags)
    }

    /// The same, by another program.
    fn start_by(starter: &[&str], folder: &Path, name: &str, first_port: u16, flags: &[&str]) -> Self {
        let port = first_port.to_string();
        let command = [starter, &[QUORATE, "dev", "--port", port.as_str()], flags].concat();
        let program =
            Program::new(command[0], &command[1..]).with_variable("TMPDIR", folder.to_str().unwrap());
        Self { process: program.start_tied(folder, name), first_port }
    }

    /// The latest line of each node: `node 1  http://127.0.0.1:8080  pid 4711  leader`.
    fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for line in self.process.stdout().lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let ["node", number, url, "pid", pid, role, ..] = words[..] else { continue };
            let (Ok(number), Ok(pid)) = (number.parse(), pid.parse()) else { continue };
            lines.retain(|known| known.number != number);
            lines.push(Line { number, url: url.to_owned(), pid, role: role.to_owned() });
        }
        lines.sort_by_key(|line| line.number);
        lines
    }

    fn client(&self, number: usize) -> Client {
        let offset = u16::try_from(number - 1).unwrap();
        Client::new(SocketAddr::from((Ipv4Addr::LOCALHOST, self.first_port + offset)))
    }

    fn wait_until_serving(&mut self) -> Vec<Line> {
        wait_until("three nodes to serve", PATIENCE, || {
            let output = (self.process.stdout(), self.process.stderr());
            assert!(self.process.ended().is_none(), "quorate dev ended: {output:?}");
            let lines = self.lines();
            let serving = |number| {
                self.client(number).request("GET", "/readyz", b"").is_ok_and(|answer| answer.status == 200)
            };
            let has_leader = lines.iter().any(|line| line.role == "leader");
            (lines.len() == 3 && has_leader && (1..=3).all(serving)).then_some(lines)
        })
    }

    /// Ctrl-C, after which no process and no port is left.
    fn interrupt(self) {
        self.end("INT");
    }

    /// The same, with any signal that ends it.
    fn end(mut self, name: &str) {
        let pids: Vec<u32> = self.lines().iter().map(|line| line.pid).collect();
        signal(name, self.process.pid());
        let status = self.process.wait(&format!("quorate dev to end after SIG{name}"), PATIENCE);
        assert_eq!(status.code(), Some(0), "{}", self.process.stderr());
        let left: Vec<u32> = pids.into_iter().filter(|pid| is_running(*pid)).collect();
        assert!(left.is_empty(), "still running: {left:?}");
    }
}

fn write(client: &mut Client, key: &str) -> bool {
    let target = format!("/key/{key}?timeout=3s");
    client.request("POST", &target, key.as_bytes()).is_ok_and(|answer| answer.status == 200)
}

#[test]
fn a_killed_leader_is_replaced_and_comes_back() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let mut dev = Dev::start(folder.path(), "dev", consecutive_free_ports(3), &[]);
    let lines = dev.wait_until_serving();
    let serving = started.elapsed();
    assert!(serving < PROMISED, "three nodes served after {serving:?}, promised are {PROMISED:?}");
    for (line, port) in lines.iter().zip(dev.first_port..) {
        assert_eq!(line.url, format!("http://127.0.0.1:{port}"), "{lines:?}");
        assert!(is_running(line.pid), "{line:?}");
    }
    assert!((1..=3).all(|number| write(&mut dev.client(number), &format!("before-{number}"))));

    let leader = lines.iter().find(|line| line.role == "leader").unwrap().clone();
    let survivors: Vec<usize> = (1..=3).filter(|number| *number != leader.number).collect();
    signal("KILL", leader.pid);
    let killed = Instant::now();
    for number in &survivors {
        wait_until("a write", PATIENCE, || {
            write(&mut dev.client(*number), &format!("after-{number}")).then_some(())
        });
    }
    let outage = killed.elapsed();
    assert!(outage < PROMISED, "writes succeeded again after {outage:?}, promised are {PROMISED:?}");

    let new_pid = wait_until("the killed node to come back", PATIENCE, || {
        let line = dev.lines().into_iter().find(|line| line.number == leader.number)?;
        (line.pid != leader.pid && is_running(line.pid)).then_some(line.pid)
    });
    let mut returned = dev.client(leader.number);
    wait_until("the killed node to catch up", PATIENCE, || {
        let target = format!("/key/after-{}?consistency=stale", survivors[1]);
        returned.request("GET", &target, b"").ok().filter(|answer| answer.status == 200)
    });
    assert!(write(&mut returned, "again"));
    println!("serving after {serving:?}, writing again after {outage:?}, new pid {new_pid}");
    dev.interrupt();
}

#[test]
fn data_stays_where_it_was_told_to_be() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let flags = ["--data-dir", data_dir.to_str().unwrap()];
    let port = consecutive_free_ports(3);
    let mut dev = Dev::start(folder.path(), "first", port, &flags);
    dev.wait_until_serving();
    assert!(write(&mut dev.client(2), "kept"));
    dev.interrupt();

    let mut again = Dev::start(folder.path(), "second", port, &flags);
    again.wait_until_serving();
    assert_eq!(again.client(3).get("/key/kept").text(), "kept");
    again.interrupt();
}

/// `quorate-dev-…`, where the temporary files of the tests are.
fn temporary_folders(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("quorate-dev-")).count()
}

#[test]
fn a_temporary_folder_goes_with_the_terminal() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    for name in ["HUP", "TERM"] {
        // The tests may have been started by `nohup`.
        let starter = ["env", "--default-signal=HUP"];
        let mut dev = Dev::start_by(&starter, folder.path(), name, consecutive_free_ports(3), &[]);
        dev.wait_until_serving();
        assert_eq!(temporary_folders(folder.path()), 1);
        dev.end(name);
        assert_eq!(temporary_folders(folder.path()), 0, "after SIG{name}");
    }
}

#[test]
fn who_asks_for_nohup_gets_it() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let mut dev = Dev::start_by(&["nohup"], folder.path(), "nohup", consecutive_free_ports(3), &[]);
    let before = dev.wait_until_serving();
    signal("HUP", dev.process.pid());
    // Were it ending, it would start nobody again.
    signal("KILL", before[0].pid);
    wait_until("the killed node to come back", PATIENCE, || {
        assert!(dev.process.ended().is_none(), "SIGHUP ended it");
        (dev.lines()[0].pid != before[0].pid).then_some(())
    });
    dev.interrupt();
}
