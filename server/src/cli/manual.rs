//! `quorate man`: the manual pages, made of the same definitions as the help.
//!
//! There is one page a command, `quorate-token-new.1` for `quorate token new`. What all commands have in common
//! (variables, files, exit codes) is in `quorate.1`, and the others lead there.

use std::fs;
use std::io;
use std::path::PathBuf;

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::cli::arguments::Cli;
use crate::cli::exit::{Exit, Failure};
use crate::cli::tls_flags::TOKEN_VARIABLE;

/// Where the Debian package and the unit of systemd have what a node needs.
const FILES: [(&str, &str); 2] = [
    ("/etc/quorate/quorate.toml", "The settings of the node that the service runs."),
    ("/var/lib/quorate", "Its data dir."),
];

/// The seed's variables, and whose places they take.
pub(super) const SEEDS_VARIABLES: [(&str, &str); 4] = [
    ("STORAGE_PATH", "--data-dir"),
    ("HOST, PORT", "--listen"),
    ("RAFT_PORT", "the port of --raft-listen"),
    ("RAFT_LEADER", "--join"),
];

#[derive(Debug, Args)]
pub(crate) struct ManCommand {
    /// The folder to write them to
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(crate) fn run(command: &ManCommand) -> Result<(), Failure> {
    for (name, text) in pages()? {
        let path = command.to.join(name);
        let failed = |error| Failure::failed(format!("{} can't be written: {error}", path.display()));
        fs::write(&path, text).map_err(failed)?;
    }
    Ok(())
}

/// Every page with its file's name, the main one first.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let main = page(&root);
    let mut pages = vec![(main.get_filename(), main_page(&main)?)];
    for command in root.get_subcommands() {
        add_pages(command, &mut pages)?;
    }
    Ok(pages)
}

fn add_pages(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    if command.is_hide_set() {
        return Ok(());
    }
    let page = page(command);
    let mut text = Vec::new();
    page.render(&mut text)?;
    let mut end = Roff::new();
    end.control("SH", ["EXIT STATUS"]).text([
        roman("As "),
        bold("quorate"),
        roman("(1) says, which also tells how flags become variables."),
    ]);
    see_also(&mut end, "quorate");
    end.to_writer(&mut text)?;
    pages.push((page.get_filename(), text));
    command.get_subcommands().try_for_each(|sub| add_pages(sub, pages))
}

fn main_page(page: &Man) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    page.render_subcommands_section(&mut text)?;
    let mut end = Roff::new();
    environment(&mut end);
    end.control("SH", ["FILES"]);
    for (path, what) in FILES {
        entry(&mut end, italic(path), what);
    }
    end.control("SH", ["EXIT STATUS"]);
    entry(&mut end, bold("0"), "ok");
    for exit in Exit::ALL {
        entry(&mut end, bold((exit as u8).to_string()), exit.meaning());
    }
    see_also(&mut end, "quorate-serve");
    end.to_writer(&mut text)?;
    Ok(text)
}

/// The synopsis is the usage of the help: clap_mangen would put every flag into it, and `serve` has fifty.
fn with_usage(command: &Command) -> Command {
    let usage = command.clone().render_usage().to_string();
    command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned())
}

/// A page of a command, without what is particular to it.
fn page(command: &Command) -> Man {
    Man::new(with_usage(command)).source(concat!("quorate ", env!("CARGO_PKG_VERSION"))).manual("Quorate")
}

fn environment(roff: &mut Roff) {
    roff.control("SH", ["ENVIRONMENT"]);
    roff.text([
        roman("Every flag can also be set by a variable: "),
        bold("QUORATE_"),
        roman(" and its name in upper snake case, as in "),
        bold("QUORATE_ENDPOINTS"),
        roman(" for "),
        bold("--endpoints"),
        roman(". The flag comes first, then the variable, then the file of "),
        bold("--config"),
        roman(", then the default. An empty variable counts as unset. Besides these there are:"),
    ]);
    entry(roff, bold(TOKEN_VARIABLE), "The token that a client shows; the same as a --token-file with it.");
    for (variables, instead) in SEEDS_VARIABLES {
        entry(
            roff,
            bold(variables),
            &format!("Stands for {instead} where no flag and no other variable does."),
        );
    }
}

fn entry(roff: &mut Roff, name: Inline, what: &str) {
    roff.control("TP", []).text([name]).text([roman(what)]);
}

fn see_also(roff: &mut Roff, page: &str) {
    roff.control("SH", ["SEE ALSO"]);
    roff.text([bold(page), roman("(1); the documents at "), roman(env!("CARGO_PKG_REPOSITORY"))]);
}
