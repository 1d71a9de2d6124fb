//! What README.md and docs/GUIDE.md tell people to type does what they say.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

use quorate_sim::trials::skip;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::ports::consecutive_free_ports;
use quorate_tests::program::Program;
use quorate_tests::style::repository;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// A command after `$ `, with the lines after `> ` that go on with it, and the lines that must follow.
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
                let (text, line) = match line.strip_prefix("> ") {
                    Some(more) => (&mut example.command, format!("\n{more}")),
                    None => (&mut example.output, format!("{line}\n")),
                };
                text.push_str(&line);
            }
        }
    }
    examples
}

#[test]
fn examples_are_found_with_their_output() {
    let document = "$ no\n```console\n$ a b\nc\nd\n$ e \\\n> f\n```\n```sh\n$ no\n```\n";
    let example =
        |command: &str, output: &str| Example { command: command.to_owned(), output: output.to_owned() };
    assert_eq!(examples(document), [example("a b", "c\nd\n"), example("e \\\nf", "")]);
}

/// Whether a command printed what the document shows, where `…` stands for anything within a line.
fn matches(shown: &str, printed: &str) -> bool {
    let (shown, printed) = (shown.trim_end(), printed.trim_end());
    shown.lines().count() == printed.lines().count()
        && shown.lines().zip(printed.lines()).all(|(shown, printed)| {
            let mut parts = shown.split('…');
            let Some(rest) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
            let after = parts.try_fold(rest, |rest, part| {
                let at = if part.is_empty() { rest.len() } else { rest.find(part)? + part.len() };
                Some(&rest[at..])
            });
            after.is_some_and(str::is_empty)
        })
}

#[test]
fn dots_stand_for_what_is_different_each_time() {
    let same = ["a\nb\n", "a … c\n", "…\nx", "a …", "… c"];
    let printed = ["a\nb", "a b c\n", "y\nx\n", "a b", "b c"];
    assert!(same.iter().zip(printed).all(|(shown, printed)| matches(shown, printed)));
    for (shown, printed) in [("a", "b"), ("a", "a\nb"), ("a … c", "a b"), ("a … b", "a c b d"), ("", "a")]
    {
        assert!(!matches(shown, printed), "{shown:?} and {printed:?}");
    }
}

/// Runs all commands of a document in one shell, against a cluster that its first command starts.
fn run_commands(document: &str) {
    let text = std::fs::read_to_string(repository().join(document)).unwrap();
    let mut examples = examples(&text);
    let first = examples.remove(0);
    assert!(first.command.ends_with("quorate dev"), "the first command starts the cluster of the others");
    assert!(examples.len() >= 4, "{examples:?}");

    // The same commands, on other ports: somebody may run Quorate on the usual ones.
    let port = consecutive_free_ports(3);
    let moved = |command: &str| {
        let ports = (0..3).fold(command.to_owned(), |command, node| {
            command.replace(&format!(":{}", 8080 + node), &format!(":{}", port + node))
        });
        ports.replace("cargo quorate", "quorate")
    };
    let folder = tempfile::tempdir().unwrap();
    let dev = Program::new(QUORATE, &["dev", "--port", &port.to_string()]).start_tied(folder.path(), "dev");
    wait_until("quorate dev to show its nodes", PATIENCE, || {
        (dev.stdout().lines().count() >= 3).then_some(())
    });
    let shown: Vec<&str> =
        first.output.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
    assert_eq!(shown, ["node"; 3], "{document} shows a line for each node");

    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::os::unix::fs::symlink(QUORATE, folder.path().join("quorate")).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    // Each command writes to files of its own, and all run in one shell, so that a variable stays.
    let file = |number: usize, name: &str| folder.path().join(format!("{number}.{name}"));
    let script: String = examples
        .iter()
        .enumerate()
        .map(|(number, example)| {
            let (out, err) = (file(number, "out"), file(number, "err"));
            format!("{{ {}\n}} > {} 2> {}\n", moved(&example.command), out.display(), err.display())
        })
        .collect();
    let ran = Command::new("bash")
        .args(["-euc", &script])
        .current_dir(&home)
        .env("PATH", path)
        .env("QUORATE_ENDPOINTS", format!("http://127.0.0.1:{port}"))
        .status()
        .unwrap();
    for (number, example) in examples.iter().enumerate() {
        let read = |name| {
            std::fs::read_to_string(file(number, name)).unwrap_or_else(|_| "it was not run".to_owned())
        };
        let (stdout, stderr) = (read("out"), read("err"));
        let shown = moved(&example.output);
        assert!(
            matches(&shown, &stdout),
            "$ {}\nshown:\n{shown}\nprinted:\n{stdout}\n{stderr}",
            example.command
        );
    }
    assert!(ran.success(), "the last command failed");
    dev.interrupt();
}

fn has_curl(test: &str) -> bool {
    let has_curl = Command::new("curl").arg("--version").output().is_ok();
    if !has_curl {
        skip(test, "curl is not installed");
    }
    has_curl
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() {
    if has_curl("the_commands_of_the_readme_do_what_it_says") {
        run_commands("README.md");
    }
}

#[test]
fn the_commands_of_the_guide_do_what_it_says() {
    if has_curl("the_commands_of_the_guide_do_what_it_says") {
        run_commands("docs/GUIDE.md");
    }
}
