//! What README.md tells people to type does what it says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use quorate_sim::trials::skip;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::ports::consecutive_free_ports;
use quorate_tests::program::Program;
use quorate_tests::style::repository;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// A command after `$ `, and the lines that must follow.
#[derive(Debug, PartialEq, Eq)]
struct Example {
    command: String,
    output: String,
}

/// The examples of a document: what stands in blocks that begin with three backticks and `console`.
fn examples(document: &str) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    let mut in_console = false;
    for line in document.lines() {
        match (in_console, line.strip_prefix("$ ")) {
            (false, _) => in_console = line == "```console",
            (true, _) if line == "```" => in_console = false,
            (true, Some(command)) => {
                examples.push(Example { command: command.to_owned(), output: String::new() });
            }
            (true, None) => {
                let example = examples.last_mut().expect("a console block begins with a command");
                example.output.push_str(line);
                example.output.push('\n');
            }
        }
    }
    examples
}

#[test]
fn examples_are_found_with_their_output() {
    let document = "$ no\n```console\n$ a b\nc\nd\n$ e\n```\n```sh\n$ no\n```\n";
    let example =
        |command: &str, output: &str| Example { command: command.to_owned(), output: output.to_owned() };
    assert_eq!(examples(document), [example("a b", "c\nd\n"), example("e", "")]);
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    if Command::new("curl").arg("--version").output().is_err() {
        return skip("the_commands_of_the_readme_do_what_it_says", "curl is not installed");
    }
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let mut examples = examples(&readme);
    let first = examples.remove(0);
    assert_eq!(first.command, "cargo quorate dev", "the first command starts the cluster of the others");
    assert!(examples.len() >= 4, "{examples:?}");

    // The same commands, on other ports: somebody may run Quorate on the usual ones.
    let port = consecutive_free_ports(3);
    let moved = |command: &str| {
        let ports = (0..3).fold(command.to_owned(), |command, node| {
            command.replace(&format!(":{}", 8080 + node), &format!(":{}", port + node))
        });
        ports.replace("cargo quorate", QUORATE)
    };
    let folder = tempfile::tempdir().unwrap();
    let dev = Program::new(QUORATE, &["dev", "--port", &port.to_string()]).start_tied(folder.path(), "dev");
    wait_until("quorate dev to show its nodes", PATIENCE, || {
        (dev.stdout().lines().count() >= 3).then_some(())
    });
    let shown: Vec<&str> =
        first.output.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
    assert_eq!(shown, ["node"; 3], "the README shows a line for each node");

    for example in examples {
        let ran = Command::new("sh")
            .args(["-euc", &moved(&example.command)])
            .env("QUORATE_ENDPOINTS", format!("http://127.0.0.1:{port}"))
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&ran.stdout);
        let stderr = String::from_utf8_lossy(&ran.stderr);
        let output = moved(&example.output);
        assert_eq!(stdout.trim_end(), output.trim_end(), "$ {}\n{stderr}", example.command);
        assert!(ran.status.success(), "$ {}\n{stderr}", example.command);
    }
    dev.interrupt();
}
