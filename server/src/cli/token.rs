//! `quorate token new`: a token, and the entry for the file that nodes look it up in. `quorate token join`: a token
//! that lets one node join.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::builder::TypedValueParser;
use clap::{Args, Subcommand};
use quorate_client::JoinTokenMade;
use serde::Serialize;

use crate::cli::arguments::ClientFlags;
use crate::cli::client::call;
use crate::cli::exit::{Exit, Failure};
use crate::cli::files::{failed, name_durably, open_alone};
use crate::cli::output::{self, Output, OutputFlags};
use crate::config::{parse_duration, parse_name};
use crate::paths::with_suffix;
use crate::tokens::{Entry, PERMITTED, Rate, Role, Token, entry_text, parse_tokens};

/// A token's file is for its owner alone.
const OWNER_ONLY: u32 = 0o600;

#[derive(Debug, Args)]
pub(crate) struct TokenCommand {
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Debug, Subcommand)]
enum TokenAction {
    /// Make a token; it is shown once, and nodes keep a hash of it
    New(NewCommand),
    /// Have the cluster make a token that lets one node join, once; it is shown once
    Join(JoinCommand),
}

#[derive(Debug, Args)]
struct JoinCommand {
    /// How long it can be used, from 1s to 30d
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_ttl)]
    ttl: Duration,
    #[command(flatten)]
    client: ClientFlags,
    #[command(flatten)]
    output: OutputFlags,
}

#[derive(Debug, Args)]
struct NewCommand {
    /// Whose it is; several tokens may have one name, so that a new one can take the place of an old one
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    name: String,
    /// What it may do: read, write (and read), or admin (everything)
    #[arg(long, value_name = "ROLE", value_parser = role_parser())]
    role: Role,
    /// The keys it is for, by what they begin with; repeatable [default: all keys]
    #[arg(long = "prefix", value_name = "PREFIX")]
    prefixes: Vec<String>,
    /// How many requests it is good for in a second, at each node [default: any number]
    #[arg(long, value_name = "N", value_parser = rate_parser())]
    rate: Option<Rate>,
    /// The file of --tokens to add the entry to [default: print the entry as well]
    #[arg(id = "tokens_file", long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    output: OutputFlags,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Made<'a> {
    token: &'a str,
    entry: Option<&'a str>,
}

fn role_parser() -> impl TypedValueParser<Value = Role> {
    let role = |text: String| Role::ALL.into_iter().find(|role| role.name() == text).ok_or("no role");
    PossibleValuesParser::new(Role::ALL.map(Role::name)).try_map(role)
}

fn rate_parser() -> impl TypedValueParser<Value = Rate> {
    clap::value_parser!(u32).try_map(Rate::new)
}

fn parse_ttl(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|error| error.to_string())
}

pub(crate) fn run(command: &TokenCommand) -> Result<(), Failure> {
    match &command.action {
        TokenAction::New(command) => new(command),
        TokenAction::Join(command) => join(command),
    }
}

/// stdout has the token and nothing else, so that it can go into a file as it is.
fn join(command: &JoinCommand) -> Result<(), Failure> {
    let made = call(&command.client, async |client| client.make_join_token(command.ttl).await)?;
    let JoinTokenMade { cluster, ttl, .. } = &made;
    output::say(&format!(
        "lets one node join the cluster {cluster} within {ttl}: write it to a file for `quorate serve --join-token-file`"
    ));
    match command.output.output {
        Output::Json => output::json(&made),
        Output::Table => output::line(&made.token),
    }
}

fn new(command: &NewCommand) -> Result<(), Failure> {
    let token = Token::new(rand::random(), rand::random());
    let NewCommand { name, role, prefixes, rate, .. } = command;
    let hash = token.hashed(rand::random());
    let (name, prefixes) = (name.clone(), prefixes.clone());
    let entry = Entry { id: token.id, name, role: *role, prefixes, rate: *rate, hash };
    let entry = entry_text(&entry);
    if let Some(file) = &command.file {
        append(file, &entry)?;
        output::say(&format!("added to {}: nodes that run take it at SIGHUP", file.display()));
    }
    let token = token.reveal();
    let entry = command.file.is_none().then_some(&*entry);
    match (command.output.output, entry) {
        (Output::Json, entry) => output::json(&Made { token: &token, entry }),
        (Output::Table, None) => output::line(&token),
        (Output::Table, Some(entry)) => output::data(format!("{token}\n\n{entry}").as_bytes()),
    }
}

/// Adds an entry to what a file holds, which has to be right. Whoever reads the file sees all of it, or nothing.
fn append(file: &Path, entry: &str) -> Result<(), Failure> {
    let partial = with_suffix(file, ".partial");
    let lock = open_alone(&partial)?;
    let (before, owner) = match fs::read_to_string(file) {
        Ok(text) => (text, Some(fs::metadata(file).map_err(|error| failed("look at", file, &error))?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), None),
        Err(error) => return Err(failed("read", file, &error)),
    };
    let gap = if before.is_empty() || before.ends_with("\n\n") {
        ""
    } else if before.ends_with('\n') {
        "\n"
    } else {
        "\n\n"
    };
    let after = format!("{before}{gap}{entry}");
    if let Err(problem) = parse_tokens(&after) {
        // Nothing is left behind.
        let _ = fs::remove_file(&partial);
        let message = format!("{}: {problem}; nothing was added: mend the file first", file.display());
        return Err(Failure::Ended(Exit::BadConfiguration, message));
    }
    let written = || -> io::Result<File> {
        let mut new = OpenOptions::new().write(true).truncate(true).mode(OWNER_ONLY).open(&partial)?;
        // Whoever reads it goes on reading it, and nobody else: a node refuses what more may.
        if let Some(owner) = &owner {
            fchown(&new, Some(owner.uid()), Some(owner.gid()))?;
        }
        let mode = owner.as_ref().map_or(OWNER_ONLY, |owner| owner.mode() & PERMITTED | OWNER_ONLY);
        new.set_permissions(Permissions::from_mode(mode))?;
        new.write_all(after.as_bytes())?;
        Ok(new)
    };
    let new = written().map_err(|error| failed("write", &partial, &error))?;
    name_durably(&new, &partial, file)?;
    drop(lock);
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn entry(id: u8) -> String {
        let token = Token::new([id; 8], [id; 32]);
        let hash = token.hashed([1; 16]);
        let prefixes = vec!["a/".to_owned()];
        entry_text(&Entry {
            id: token.id,
            name: "ci".to_owned(),
            role: Role::Read,
            prefixes,
            rate: None,
            hash,
        })
    }

    fn mode(file: &Path) -> u32 {
        fs::metadata(file).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn entries_are_added_and_the_rest_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.toml");
        append(&file, &entry(1)).unwrap();
        assert_eq!(mode(&file), 0o600);
        fs::write(&file, format!("# ours\n{}# the last", fs::read_to_string(&file).unwrap())).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        append(&file, &entry(2)).unwrap();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# ours\n[[token]]") && text.contains("# the last\n\n[[token]]"), "{text}");
        assert_eq!((parse_tokens(&text).unwrap().len(), mode(&file)), (2, 0o640));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_is_wrong_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tokens.toml");
        for wrong in ["colour = 1\n", "[[token]]\nid = \"1\"\n", &entry(1)] {
            fs::write(&file, wrong).unwrap();
            assert!(append(&file, &entry(1)).is_err(), "{wrong}");
            assert_eq!(fs::read_to_string(&file).unwrap(), wrong);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        }
    }
}
