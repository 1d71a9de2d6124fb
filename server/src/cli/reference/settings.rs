//! `docs/SETTINGS.md`.

use super::cell;
use crate::cli::manual::SEEDS_VARIABLES;
use crate::config::{SETTINGS, Setting, Shape};
use crate::http::openapi::reading::assert_committed;

const HEAD: &str = "\
# Settings

What `quorate serve` can be told. The page is made of the table in `server/src/config/setting.rs`, as flags, variables,
keys and help are.

Each setting can be a flag (`--data-dir`), an environment variable (`QUORATE_` and the flag in upper snake case:
`QUORATE_DATA_DIR`), or a key in the TOML file of `--config` (`data-dir`). The order is: flag, environment, file, default.
An empty variable counts as unset; a key that is no setting is an error. `quorate config check` says whether `serve` could
use them, `quorate config print` what it would use, and where each value came from; `quorate config example` prints
[a file with all of them](quorate.example.toml), explained.

Sizes are bytes, or a number with `KiB`, `MiB`, `GiB`; durations a number with `ms`, `s`, `m`, `h` or `d`. A *switch* takes
no value as a flag, and `true` or `false` elsewhere; a *list* is the flag repeated, commas in the variable, and a list in
the file.

| setting | default | meaning |
|---|---|---|
";

const TAIL: &str = "
`0.0.0.0` and `::` are fine to listen on, and never advertised: a node that listens on all interfaces has to be told, with
`--advertise-url`, how others reach it.

## The seed's variables

They work too, at the lowest rank of the environment:

| variable | stands for |
|---|---|
";

/// What a line of help has no room for, or that leads elsewhere.
const NOTES: [(&str, &str); 25] = [
    ("data-dir", "[What is in it](how-to/data-dir.md)."),
    ("tls-cert", "See [TLS](how-to/tls.md)."),
    ("tokens", "See [Tokens](how-to/tokens.md)."),
    ("otlp-endpoint", "See [Traces](how-to/monitor.md#traces)."),
    ("node-token-file", "See [Nodes without certificates](how-to/tokens.md#nodes-without-certificates)."),
    (
        "insecure",
        "Without it such a start is refused: see [Who can reach a port](how-to/deploy.md#who-can-reach-a-port).",
    ),
    ("bootstrap", "See [Starting rules](how-to/data-dir.md#starting-rules)."),
    ("join", "See [Starting rules](how-to/data-dir.md#starting-rules)."),
    ("join-token-file", "See [Join tokens](how-to/join.md)."),
    ("max-request-bytes", "An import is measured decoded."),
    (
        "max-pending-bytes",
        "Counted from a body's first byte to its answer; more is refused as `overloaded`. Count on twice as much memory. \
         At least twice `--max-request-bytes`.",
    ),
    ("max-pending-requests", "More are refused as `overloaded`."),
    ("max-connections", "Each is an open file: see [Open files](how-to/tune.md#open-files)."),
    (
        "max-watchers",
        "Open dashboards count. Four fifths of the connections at most; more are refused as `overloaded`.",
    ),
    ("max-txn-operations", "At most 10,000."),
    ("history-revisions", "Give all nodes the same."),
    ("history-bytes", "In memory and in checkpoints."),
    ("segment-bytes", "See [A full disk](how-to/full-disk.md)."),
    (
        "snapshot-entries",
        "It holds what changed, and is taken after 64 MiB of commands as well; with the same value on all nodes they \
         share files.",
    ),
    ("election-timeout", "The same on all nodes, for [lease reads](explain/consistency.md#lease-reads)."),
    ("heartbeat-interval", "At most a third of the election timeout."),
    ("scrub-rate", "See [What goes bad at rest](how-to/damage.md#what-goes-bad-at-rest)."),
    (
        "flight-recorder-bytes",
        "Else at least 4MiB; see [What went into a node](how-to/help.md#what-went-into-a-node).",
    ),
    (
        "remove-dead-voters-after",
        "At least two election timeouts; see \
         [Removing dead voters by itself](how-to/members.md#removing-dead-voters-by-itself).",
    ),
    ("name", "Commands take it for an id when only one member has it."),
];

fn line(setting: &Setting) -> String {
    let Setting { name, placeholder, .. } = setting;
    let shape = match setting.shape {
        Shape::Single => "",
        Shape::List => " (list)",
        Shape::Switch => " (switch)",
    };
    let value = if placeholder.is_empty() { String::new() } else { format!(" {placeholder}") };
    let (help, default) = match setting.help.rsplit_once(" [default: ") {
        Some((help, default)) => (help, default.trim_end_matches(']')),
        None => (setting.help, ""),
    };
    let note = NOTES.iter().find(|(named, _)| named == name).map_or("", |(_, note)| note);
    let meaning = format!("{}. {note}", cell(help));
    format!("| `--{name}{value}`{shape} | {} | {} |\n", cell(default), meaning.trim_end())
}

fn page() -> String {
    let lines: String = SETTINGS.iter().map(line).collect();
    let seeds = SEEDS_VARIABLES.map(|(variables, instead)| format!("| `{variables}` | `{instead}` |\n"));
    HEAD.to_owned()
        + &lines
        + TAIL
        + &seeds.concat().replace("`the port of --raft-listen`", "the port of `--raft-listen`")
}

#[test]
fn the_committed_page_is_the_table_of_settings() {
    assert_committed("SETTINGS.md", page().as_bytes());
}

#[test]
fn notes_are_of_settings_that_there_are() {
    for (name, _) in NOTES {
        assert_eq!(SETTINGS.iter().filter(|setting| setting.name == name).count(), 1, "{name}");
    }
}
