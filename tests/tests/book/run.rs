//! One page as one shell script.
//!
//! It runs in namespaces of its own: no other process has its ports, 10.0.0.1 to 10.0.0.5 are its own, what it mounts
//! nobody else sees, and what it has started ends with it.

use std::fmt::Write;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use quorate_sim::trials::skip;
use quorate_tests::program::Program;
use quorate_tests::style::repository;

use crate::examples::{Example, examples, matches};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// Namespaces of users, networks, mounts and processes.
const NAMESPACES: [&str; 3] = ["-rnpf", "--mount-proc", "--kill-child"];

/// Far more than any page takes. The script is killed then, and with it what it has started.
const LIMIT_SECONDS: u64 = 240;

/// Addresses as the pages have them, and cargo's alias as the README has it.
const BEFORE: &str = "\
ip link set lo up
for n in 1 2 3 4 5; do ip address add 10.0.0.$n/32 dev lo; done
cargo() { shift; quorate \"$@\"; }
";

/// Runs the commands of a page, and compares what they print.
///
/// # Panics
/// When a command fails, or prints something else.
pub(crate) fn page(test: &str, page: &str) {
    if let Some(missing) = missing() {
        skip(test, missing);
        return;
    }
    let examples = examples(&fs::read_to_string(repository().join(page)).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (home, programs) = (folder.path().join("home"), folder.path().join("programs"));
    fs::create_dir(&home).unwrap();
    fs::create_dir(&programs).unwrap();
    symlink(QUORATE, programs.join("quorate")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    let script = script(&examples, folder.path());
    let limit = LIMIT_SECONDS.to_string();
    let arguments = [&NAMESPACES[..], &["timeout", "-s", "KILL", &limit, "bash", "-euc", &script]].concat();
    let mut running = Program::new("unshare", &arguments)
        .with_variable("PATH", &path)
        .with_variable("HOME", home.to_str().unwrap())
        // `quorate dev` is killed with its namespace, so it can't remove its folder.
        .with_variable("TMPDIR", folder.path().to_str().unwrap())
        .with_variable("LC_ALL", "C.UTF-8")
        .start(folder.path(), "script");
    let ended = running.wait(page, Duration::from_secs(LIMIT_SECONDS + 30));
    for (number, example) in examples.iter().enumerate() {
        compare(page, example, folder.path(), number);
    }
    assert!(ended.success(), "{page}: the last command failed: {}", running.stderr());
}

/// What this machine lacks.
fn missing() -> Option<&'static str> {
    let works = |program: &str, arguments: &[&str]| {
        std::process::Command::new(program).args(arguments).output().is_ok_and(|done| done.status.success())
    };
    if !works("curl", &["--version"]) {
        return Some("curl is not installed");
    }
    if !works("ip", &["-V"]) {
        return Some("ip (iproute2) is not installed");
    }
    let namespaces = [&NAMESPACES[..], &["ip", "link", "set", "lo", "up"]].concat();
    (!works("unshare", &namespaces)).then_some("unshare can't make namespaces here")
}

fn file(folder: &Path, number: usize, end: &str) -> std::path::PathBuf {
    folder.join(format!("{number}.{end}"))
}

/// All commands in one shell, so that a variable stays; each writes to files of its own.
fn script(examples: &[Example], folder: &Path) -> String {
    let mut script = format!("{BEFORE}cd '{}'\n", folder.join("home").display());
    for (number, example) in examples.iter().enumerate() {
        let (out, err) = (file(folder, number, "out"), file(folder, number, "err"));
        let end = if example.is_dev() { " &" } else { "" };
        writeln!(script, "{{ {}{end}\n}} >'{}' 2>'{}'", example.command, out.display(), err.display())
            .unwrap();
        if example.is_dev() {
            let nodes = example.output.lines().count();
            writeln!(script, "until [ \"$(wc -l <'{}')\" -ge {nodes} ]; do sleep 0.1; done", out.display())
                .unwrap();
        }
    }
    script
}

fn compare(page: &str, example: &Example, folder: &Path, number: usize) {
    let read = |end| fs::read_to_string(file(folder, number, end)).ok();
    let Example { command, output: shown } = example;
    let Some(stdout) = read("out") else {
        panic!("{page}: `{command}` was not run: the one before it failed")
    };
    let stderr = read("err").unwrap_or_default();
    let same = if example.is_dev() {
        // Who leads, and under which process id, differs; and lines with events follow.
        let words = |text: &str| {
            let words = text.lines().filter_map(|line| line.split_whitespace().next().map(str::to_owned));
            words.take(shown.lines().count()).collect::<Vec<_>>()
        };
        words(shown) == words(&stdout)
    } else {
        // What a command only says goes to stderr: a page may show that.
        matches(shown, &stdout) || (stdout.is_empty() && matches(shown, &stderr))
    };
    assert!(same, "{page}\n$ {command}\nshown:\n{shown}\nprinted:\n{stdout}\n{stderr}");
}
