//! Flags from the environment, for every command that has no configuration of its own.
//!
//! clap can read variables itself, but then an empty one counts as a value, and a bad one is a usage error that does
//! not name it. So a variable becomes the *default* of its flag here; if the command line parses without variables
//! but not with them, a variable is at fault, and that is a bad configuration.

use crate::cli::exit::{Exit, Failure};
use crate::config::variable;
use clap::error::ContextKind;
use clap::{Arg, Command, Parser};
use std::ffi::OsString;

/// These find their variables in `crate::config`, which also knows files and the seed's names.
const CONFIGURED: [&str; 3] = ["serve", "bootstrap", "config"];

/// Parses a command line whose flags may also come from the environment.
pub(crate) fn parse<C: Parser>(
    arguments: Vec<OsString>,
    read: &dyn Fn(&str) -> Option<OsString>,
) -> Result<C, Failure> {
    let command = with_defaults(C::command(), read);
    let matches = command.try_get_matches_from(arguments.clone()).map_err(|error| {
        let fine_without = error.use_stderr() && C::command().try_get_matches_from(arguments).is_ok();
        if fine_without { bad_variable(&error, read) } else { Failure::Clap(Box::new(error)) }
    })?;
    C::from_arg_matches(&matches).map_err(|error| Failure::Clap(Box::new(error)))
}

fn with_defaults(command: Command, read: &dyn Fn(&str) -> Option<OsString>) -> Command {
    // clap's `mut_` methods take closures for each level, so the walk is by name.
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| with_default(arg, read));
    names
        .into_iter()
        .filter(|name| !CONFIGURED.contains(&name.as_str()))
        .fold(command, |command, name| command.mut_subcommand(name, |sub| with_defaults(sub, read)))
}

fn with_default(arg: Arg, read: &dyn Fn(&str) -> Option<OsString>) -> Arg {
    let value = arg.get_long().map(variable).and_then(|name| read(&name)).filter(|value| !value.is_empty());
    match value {
        Some(value) => arg.default_value(value),
        None => arg,
    }
}

fn bad_variable(error: &clap::Error, read: &dyn Fn(&str) -> Option<OsString>) -> Failure {
    // "--timeout <DURATION>" in clap's words.
    let arg = error.get(ContextKind::InvalidArg).map(ToString::to_string).unwrap_or_default();
    let flag =
        arg.split_whitespace().next().and_then(|word| word.strip_prefix("--")).unwrap_or(&arg).to_owned();
    let name = variable(&flag);
    let value = read(&name).unwrap_or_default();
    let problem = match std::error::Error::source(error) {
        Some(source) => source.to_string(),
        None => error.to_string(),
    };
    let message = format!("the environment variable {name} has the value {value:?}: {problem}");
    Failure::Ended(Exit::BadConfiguration, message)
}
