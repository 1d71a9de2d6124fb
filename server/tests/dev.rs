//! `quorate dev` with real nodes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "real processes take real time")]

use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Generous, because the tests of the whole workspace share the machine.
const PATIENCE: Duration = Duration::from_secs(60);

struct Dev {
    child: Child,
    lines: Receiver<String>,
}

/// A line of `dev`: `node 1  http://127.0.0.1:8080  pid 4711  leader`.
#[derive(Clone, Debug)]
struct Line {
    number: usize,
    address: String,
    pid: i32,
    what: String,
}

impl Dev {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.args(["dev", "--port", "0"]).args(arguments);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { child, lines }
    }

    #[track_caller]
    fn line(&self) -> Line {
        let text = self.lines.recv_timeout(PATIENCE).expect("dev says something in time");
        let mut columns = text.split("  ").filter(|column| !column.is_empty());
        let mut next = || columns.next().unwrap_or_else(|| panic!("too few columns: {text:?}")).to_owned();
        let number = next().strip_prefix("node ").unwrap().parse().unwrap();
        let address = next().strip_prefix("http://").unwrap().to_owned();
        let pid = next().strip_prefix("pid ").unwrap().parse().unwrap();
        Line { number, address, pid, what: next() }
    }

    /// Skips lines until one fits.
    #[track_caller]
    fn line_where(&self, fits: impl Fn(&Line) -> bool) -> Line {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let line = self.line();
            if fits(&line) {
                return line;
            }
        }
        panic!("no such line within {PATIENCE:?}");
    }

    #[track_caller]
    fn end_with(mut self, signal: Signal) -> Option<i32> {
        kill(self.child.id().try_into().unwrap(), signal);
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Its children see the end of their stdin.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn kill(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

/// Whether the process is there and not a zombie.
fn runs(pid: i32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    state.rsplit(')').next().is_some_and(|rest| !rest.trim().is_empty() && !rest.trim().starts_with('Z'))
}

/// The data dir of a child, from its command line.
fn data_dir(pid: i32) -> String {
    let mut text = String::new();
    std::fs::File::open(format!("/proc/{pid}/cmdline")).unwrap().read_to_string(&mut text).unwrap();
    text.split('\0').skip_while(|word| *word != "--data-dir").nth(1).unwrap().to_owned()
}

#[test]
fn the_temporary_folder_goes_with_the_nodes() {
    let dev = Dev::start(&["--nodes", "1"]);
    let node = dev.line();
    assert_eq!((node.number, node.what.as_str()), (1, "leader"));
    let folder = data_dir(node.pid);
    assert!(Path::new(&folder).exists());
    assert_eq!(dev.end_with(Signal::TERM), Some(0));
    assert!(!Path::new(&folder).exists() && !runs(node.pid));
}

#[test]
fn children_do_not_outlive_a_parent_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let dev = Dev::start(&["--nodes", "1", "--data-dir", folder.path().to_str().unwrap()]);
    let node = dev.line();
    let mut connection = TcpStream::connect(node.address).unwrap();
    connection.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(dev.end_with(Signal::KILL), None);
    let ended = match connection.read(&mut [0; 1]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    };
    assert!(ended, "the child's connections end with it");
}

#[test]
fn nodes_that_know_each_other_by_their_ports_are_not_moved() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = ["--data-dir", folder.path().to_str().unwrap()];
    let dev = Dev::start(&[&["--nodes", "1"], &data_dir[..]].concat());
    let address = dev.line().address;
    assert_eq!(dev.end_with(Signal::TERM), Some(0));

    let port: u16 = address.rsplit(':').next().unwrap().parse().unwrap();
    let other = if port < 30_000 { port + 1000 } else { port - 1000 };
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(["dev", "--nodes", "1", "--port", &other.to_string()]).args(data_dir);
    let refused = command.stdin(Stdio::null()).output().unwrap();
    let message = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(78), "{message}");
    assert!(message.contains(&format!("--port {port}")), "{message}");

    // Any port will do: it is the one from before.
    let dev = Dev::start(&[&["--nodes", "1"], &data_dir[..]].concat());
    assert_eq!(dev.line().address, address);
}

#[test]
fn kill_every_kills_and_no_restart_leaves_the_dead() {
    let dev = Dev::start(&["--nodes", "1", "--kill-every", "200ms", "--no-restart"]);
    let node = dev.line();
    let killed = dev.line_where(|line| line.what.starts_with("killed"));
    assert_eq!(killed.pid, node.pid);
    dev.line_where(|line| line.what == "died (signal: 9 (SIGKILL))");
    let mut dev = dev;
    assert_eq!(dev.child.wait().unwrap().code(), Some(1), "nobody is left");
}
