//! `docs/COMMANDS.md`.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;

use clap::{Arg, Command, CommandFactory};

use super::cell;
use crate::cli::arguments::Cli;
use crate::cli::exit::Exit;
use crate::http::openapi::reading::assert_committed;

const HEAD: &str = "\
# Commands

Every command of `quorate`. The page is made of the definitions of the command line, as help, manual pages and completions
are.

Standard output carries data, standard error talk. Every flag can also be set by a variable: `QUORATE_` and its name in
upper snake case, as in `QUORATE_ENDPOINTS`. The flag comes first; an empty variable counts as unset. A token for a client
is in `QUORATE_TOKEN`, or in the file of `--token-file`: there is no flag for the token itself, because others can see a
command line.

## Exit codes

| code | meaning |
|---|---|
| 0 | ok |
";

const CLIENTS: &str = "
## Flags of clients

Commands that ask a cluster have these:

";

/// The heading under which the help of `serve` has what is in `docs/SETTINGS.md`.
const SETTINGS_HEADING: &str = "Settings";

/// The flags that clients share, as `status` has them.
const SHARED: [&str; 6] = ["endpoints", "timeout", "cacert", "cert", "key", "token-file"];

fn shown(arg: &&Arg) -> bool {
    !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
}

fn is_setting(arg: &Arg) -> bool {
    arg.get_help_heading() == Some(SETTINGS_HEADING)
}

/// How it is typed: `-o, --output <OUTPUT>`, `<KEY>`, `[SHELL]`.
fn form(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default().join(" ");
    if arg.is_positional() {
        return if arg.is_required_set() { format!("<{values}>") } else { format!("[{values}]") };
    }
    let short = arg.get_short().map_or(String::new(), |short| format!("-{short}, "));
    let takes = arg.get_action().takes_values();
    let optional = arg.get_num_args().is_some_and(|range| range.min_values() == 0);
    let value = match (takes, optional) {
        (false, _) => String::new(),
        (true, false) => format!(" <{values}>"),
        (true, true) => format!("[=<{values}>]"),
    };
    format!("{short}--{}{value}", arg.get_long().unwrap())
}

fn row(arg: &Arg) -> String {
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let possible: Vec<String> =
        arg.get_possible_values().iter().map(|value| format!("`{}`", value.get_name())).collect();
    if arg.get_action().takes_values() && !possible.is_empty() {
        write!(help, " ({})", possible.join(", ")).unwrap();
    }
    let defaults = arg.get_default_values().iter().map(|value| value.to_string_lossy());
    let default =
        if arg.get_action().takes_values() { defaults.collect::<Vec<_>>().join(",") } else { String::new() };
    format!("| `{}` | {} | {} |\n", form(arg).replace('|', "\\|"), cell(&default), cell(&help))
}

fn table<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let rows: String = args.map(row).collect();
    let head = "| argument | default | meaning |\n|---|---|---|\n";
    if rows.is_empty() { rows } else { format!("{head}{rows}") }
}

/// Which of the flags that clients share a command has.
fn flags_of_clients<'a>(has: impl Iterator<Item = &'a Arg>) -> String {
    let has: Vec<String> = has.map(|arg| format!("`--{}`", arg.get_long().unwrap())).collect();
    match has.len() {
        0 => String::new(),
        all if all == SHARED.len() => "\nIt has the [flags of clients](#flags-of-clients).\n".to_owned(),
        _ => format!("\nOf the [flags of clients](#flags-of-clients) it has {}.\n", has.join(", ")),
    }
}

/// The sections of a command and of those below it.
fn add_sections(command: &Command, path: &str, shared: &[Arg], page: &mut String) {
    if command.is_hide_set() {
        return;
    }
    let path = format!("{path} {}", command.get_name());
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
    write!(page, "\n## {}\n\n{}.\n", path.trim_start(), about.unwrap().replace('<', "&lt;")).unwrap();
    let usage = command.clone().render_usage().to_string();
    write!(page, "\n```text\n{}\n```\n", usage.trim_start_matches("Usage: ")).unwrap();
    let of_clients =
        |arg: &&Arg| shared.iter().any(|same| same.get_id() == arg.get_id() && row(same) == row(arg));
    let own = table(command.get_arguments().filter(shown).filter(|arg| !is_setting(arg) && !of_clients(arg)));
    if !own.is_empty() {
        write!(page, "\n{own}").unwrap();
    }
    page.push_str(&flags_of_clients(command.get_arguments().filter(of_clients)));
    if command.get_arguments().any(is_setting) {
        page.push_str(
            "\nIt takes every [setting](SETTINGS.md), and `--config <FILE>`: a TOML file with any of them.\n",
        );
    }
    if let Some(more) = command.get_after_help() {
        write!(page, "\n```text\n{}\n```\n", more.to_string().trim_end()).unwrap();
    }
    command.get_subcommands().for_each(|sub| add_sections(sub, &path, shared, page));
}

fn page() -> String {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let status = root.find_subcommand("status").unwrap();
    let is_shared = |arg: &&Arg| arg.get_long().is_some_and(|long| SHARED.contains(&long));
    let shared: Vec<Arg> = status.get_arguments().filter(is_shared).cloned().collect();
    assert_eq!(shared.len(), SHARED.len(), "status asks a cluster");

    let mut page = HEAD.to_owned();
    Exit::ALL.iter().for_each(|exit| writeln!(page, "| {} | {} |", *exit as u8, exit.meaning()).unwrap());
    page.push_str(CLIENTS);
    page.push_str(&table(shared.iter()));
    root.get_subcommands().for_each(|command| add_sections(command, "quorate", &shared, &mut page));
    page
}

#[test]
fn the_committed_page_is_the_command_line() {
    assert_committed("COMMANDS.md", page().as_bytes());
}
