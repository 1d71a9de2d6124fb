//! The book: what a page tells people to type does what it says.
//!
//! A page of `docs/SUMMARY.md` (and README.md) with commands is in one of two lists here: it is run, or it says why it
//! is not.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod examples;
mod run;

use std::collections::BTreeSet;

use quorate_tests::style::{book, repository_files};

/// Pages with commands that no test can run, and what stands in its place.
const NOT_RUN: [(&str, &str); 6] = [
    (
        "docs/INSTALL.md",
        "apt, podman and kubectl change the machine: `tests/packages/` does it in machines of its own",
    ),
    (
        "docs/how-to/package.md",
        "it takes a machine with the package: `tests/packages/run` installs and runs that, and tries no more of the page",
    ),
    (
        "docs/how-to/containers.md",
        "podman, docker and kubectl: `tests/packages/container` runs INSTALL.md alone; these were tried by hand",
    ),
    ("docs/MUTANTS.md", "a run takes days"),
    ("docs/PROTOCOL.md", "the search in full takes gigabytes; `cargo test` does a part of it"),
    ("docs/SIMULATION.md", "`sim/` tests the command; what the page shows takes hours"),
];

/// Each page as a test of its own.
macro_rules! pages {
    ($($test:ident $page:literal)*) => {
        const RUN: &[&str] = &[$($page),*];
        $(#[test]
        fn $test() {
            run::page(stringify!($test), $page);
        })*
    };
}

pages! {
    readme "README.md"
    tutorial "docs/tutorial.md"
    guide "docs/GUIDE.md"
    http "docs/HTTP.md"
    recovery "docs/RECOVERY.md"
    how_to_back_up "docs/how-to/backup.md"
    how_to_look_into_a_data_dir "docs/how-to/data-dir.md"
    how_to_deploy "docs/how-to/deploy.md"
    how_to_get_out_of_a_full_disk "docs/how-to/full-disk.md"
    how_to_get_help "docs/how-to/help.md"
    how_to_join "docs/how-to/join.md"
    how_to_change_the_members "docs/how-to/members.md"
    how_to_monitor "docs/how-to/monitor.md"
    how_to_replace_a_machine "docs/how-to/replace-a-machine.md"
    how_to_speak_tls "docs/how-to/tls.md"
    how_to_give_tokens "docs/how-to/tokens.md"
    how_to_tune "docs/how-to/tune.md"
    how_to_upgrade "docs/how-to/upgrade.md"
    consistency "docs/explain/consistency.md"
    exercises "docs/explain/exercises.md"
    locks "docs/explain/locks.md"
}

#[test]
fn every_page_with_commands_is_run_or_says_why_not() {
    let files = repository_files();
    let pages: Vec<String> = book::pages(&files).into_iter().chain(["README.md".to_owned()]).collect();
    assert!(pages.len() > 40, "{pages:?}");
    let not_run: BTreeSet<&str> = NOT_RUN.iter().map(|(page, _)| *page).collect();
    let listed: BTreeSet<&str> = RUN.iter().copied().chain(not_run.iter().copied()).collect();
    assert_eq!(listed.len(), RUN.len() + NOT_RUN.len(), "a page is in both lists, or twice in one");

    let mut with_commands = BTreeSet::new();
    for page in &pages {
        let text = &files.iter().find(|file| file.path == *page).unwrap().text;
        let kinds = examples::kinds(text);
        if kinds.contains("console") || kinds.contains("sh") {
            with_commands.insert(page.as_str());
        }
        let is_run = !not_run.contains(page.as_str());
        assert!(!is_run || !kinds.contains("sh"), "{page}: commands that are run stand in `console` blocks");
        let unknown: Vec<&str> = kinds.into_iter().filter(|kind| !examples::KINDS.contains(kind)).collect();
        assert!(unknown.is_empty(), "{page} has blocks of these kinds: {unknown:?}");
    }
    assert_eq!(with_commands, listed, "pages with commands, and those that are listed");
}

/// What docs/EVIDENCE.md tells people to run takes hours: here only that there is something of these names.
#[test]
fn what_the_evidence_names_is_there() {
    let files = repository_files();
    let has = |end: &str| files.iter().any(|file| file.path.ends_with(end));
    let has_package = |name: &str| {
        let line = format!("name = \"{name}\"");
        files.iter().any(|file| file.path.ends_with("Cargo.toml") && file.text.lines().any(|has| has == line))
    };
    let page = &files.iter().find(|file| file.path == "docs/EVIDENCE.md").unwrap().text;
    let mut looked_at = 0;
    // Every second piece between backticks is code.
    for command in page.split('`').skip(1).step_by(2) {
        let words: Vec<&str> = command.split_whitespace().collect();
        for pair in words.windows(2) {
            let name = pair[1];
            let is_there = match pair[0] {
                "--test" => has(&format!("/tests/{name}.rs")) || has(&format!("/tests/{name}/main.rs")),
                "--bench" => has(&format!("/benches/{name}.rs")) || has(&format!("/benches/{name}/main.rs")),
                "-p" => has_package(name),
                "run" => has(&format!("/fuzz_targets/{name}.rs")),
                _ => continue,
            };
            looked_at += 1;
            assert!(is_there, "`{command}`: there is no {name}");
        }
        if words[0].starts_with("tests/") {
            looked_at += 1;
            assert!(has(words[0]), "there is no {}", words[0]);
        }
    }
    assert!(looked_at > 40, "only {looked_at} names were found");
}
