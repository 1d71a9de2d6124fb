//! What the command line accepts.

use super::*;
use crate::cli::environment;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use std::ffi::OsString;

fn parse(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Command, Failure> {
    let read =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
    let arguments = ["quorate"].iter().chain(arguments).map(OsString::from).collect();
    environment::parse::<Cli>(arguments, &read).map(|cli| cli.command)
}

fn status(arguments: &[&str], variables: &[(&str, &str)]) -> StatusCommand {
    match parse(arguments, variables) {
        Ok(Command::Status(command)) => command,
        other => panic!("{arguments:?} gave {other:?}"),
    }
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn clients_have_their_defaults() {
    let command = status(&["status"], &[]);
    let endpoints: Vec<_> = command.client.endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(endpoints, ["http://127.0.0.1:8080"]);
    assert_eq!((command.client.timeout, command.output.output), (Duration::from_secs(5), Output::Table));
}

#[test]
fn flags_win_over_variables_and_variables_over_defaults() {
    let variables = [
        ("QUORATE_ENDPOINTS", "http://a:1,http://b:2"),
        ("QUORATE_TIMEOUT", "7s"),
        ("QUORATE_OUTPUT", "json"),
    ];
    let from_variables = status(&["status"], &variables);
    assert_eq!(from_variables.client.endpoints.len(), 2);
    assert_eq!(from_variables.client.timeout, Duration::from_secs(7));
    assert_eq!(from_variables.output.output, Output::Json);
    let from_flags =
        status(&["status", "--endpoints", "http://c:3", "--timeout", "1s", "-o", "table"], &variables);
    assert_eq!(from_flags.client.endpoints[0].to_string(), "http://c:3");
    assert_eq!((from_flags.client.endpoints.len(), from_flags.client.timeout), (1, Duration::from_secs(1)));
    assert_eq!(from_flags.output.output, Output::Table);
    let from_empty = status(&["status"], &[("QUORATE_ENDPOINTS", ""), ("QUORATE_TIMEOUT", "")]);
    assert_eq!(from_empty.client.timeout, Duration::from_secs(5));
}

#[test]
fn switches_come_from_variables_too() {
    match parse(&["add", "ab", "h:1"], &[("QUORATE_LEARNER", "true")]) {
        Ok(Command::Add(command)) => assert!(command.learner && !command.wait),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_follows_two_dashes_is_the_command_that_runs_under_the_lock() {
    match parse(&["lock", "name", "--ttl", "3s", "--", "sh", "-c", "echo --ttl", "--wait"], &[]) {
        Ok(Command::Lock(command)) => {
            let shown = format!("{command:?}");
            assert!(
                shown.contains(r#"["sh", "-c", "echo --ttl", "--wait"]"#) && shown.contains("ttl: 3s"),
                "{shown}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn members_are_shown_unless_they_are_set() {
    match parse(&["members", "-o", "json"], &[]) {
        Ok(Command::Members(command)) => {
            assert!(command.action.is_none() && command.output.output == Output::Json);
        }
        other => panic!("{other:?}"),
    }
    let arguments = ["members", "set", "--voters", "a,b", "--learners", "c", "--timeout", "9s"];
    match parse(&arguments, &[]) {
        Ok(Command::Members(MembersCommand { action: Some(MembersAction::Set(command)), .. })) => {
            assert_eq!((command.voters, command.learners), (vec!["a".into(), "b".into()], vec!["c".into()]));
            assert_eq!(command.client.timeout, Duration::from_secs(9));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bad_flag_is_a_usage_error() {
    let cases: [&[&str]; 33] = [
        &["get", "k", "--revision", "-1"],
        &["put", "k", "v", "--ttl", "1s", "--lease", "00000000000000a1"],
        &["put", "k", "v", "--lease", "a1"],
        &["put", "k", "v", "--if-match", "7", "--if-absent"],
        &["list", "a", "--start", "b"],
        &["list", "--limit", "0"],
        &["watch"],
        &["watch", "k", "--prefix", "p"],
        &["watch", "k", "--count", "0"],
        &["txn"],
        &["lease", "grant", "0s"],
        &["lock", "name"],
        &["lock", "name", "true"],
        &["elect", "name"],
        &["get", "k", "--consistency", "strong"],
        &["members", "set"],
        &["members", "set", "--voters", "a", "--frob"],
        &["remove"],
        &[],
        &["frobnicate"],
        &["status", "--frobnicate"],
        &["status", "--timeout", "5"],
        &["status", "--timeout", "0s"],
        &["status", "--endpoints", "127.0.0.1:8080"],
        &["status", "--endpoints", ""],
        &["status", "-o", "yaml"],
        &["get"],
        &["put", "key"],
        &["add", "ab", "nowhere"],
        &["add", "ab", "h:1", "--learner", "--wait"],
        &["dev", "--nodes", "0"],
        &["bench", "--reads", "101"],
        &["bench", "--keys", "100000001"],
    ];
    for arguments in cases {
        match parse(arguments, &[]) {
            Err(Failure::Clap(error)) => assert_eq!(error.exit_code(), 2, "{arguments:?}"),
            other => panic!("{arguments:?} gave {other:?}"),
        }
    }
}

#[test]
fn a_bad_variable_is_a_bad_configuration_that_names_it() {
    let cases = [
        ("QUORATE_TIMEOUT", "5", "write for example 5s"),
        ("QUORATE_ENDPOINTS", "localhost:1", "write for example http://localhost:1"),
        ("QUORATE_OUTPUT", "yaml", "table"),
    ];
    for (name, value, advice) in cases {
        let Err(Failure::Ended(exit, message)) = parse(&["status"], &[(name, value)]) else {
            panic!("{name}={value} was accepted");
        };
        assert_eq!(exit, Exit::BadConfiguration);
        for expected in [name, value, advice] {
            assert!(message.contains(expected), "{message}");
        }
    }
    assert!(matches!(parse(&["status", "--frob"], &[("QUORATE_TIMEOUT", "5")]), Err(Failure::Clap(_))));
}

#[test]
fn values_may_look_like_anything_after_two_dashes() {
    match parse(&["put", "--", "-k", "--timeout"], &[]) {
        Ok(Command::Put(command)) => {
            assert_eq!((command.key.as_str(), command.value), ("-k", "--timeout".into()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn dev_has_the_documented_defaults_and_takes_variables() {
    let text = |arguments: &[&str], variables: &[(&str, &str)]| match parse(arguments, variables) {
        Ok(Command::Dev(flags)) => format!("{flags:?}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        text(&["dev"], &[]),
        "DevFlags { nodes: 3, port: 8080, data_dir: None, kill_every: None, no_restart: false }"
    );
    assert_eq!(
        text(&["dev", "--kill-every", "10s", "--no-restart", "--data-dir", "d"], &[("QUORATE_NODES", "5")]),
        "DevFlags { nodes: 5, port: 8080, data_dir: Some(\"d\"), kill_every: Some(10s), no_restart: true }"
    );
}

#[test]
fn every_command_has_help_and_every_flag_is_explained() {
    fn check(command: &clap::Command) {
        assert!(command.get_about().is_some(), "{} has no help", command.get_name());
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let explained = arg.get_help().is_some() || arg.is_positional();
            assert!(explained, "{} of {} has no help", arg.get_id(), command.get_name());
        }
        command.get_subcommands().for_each(check);
    }
    let command = Cli::command();
    check(&command);
    let names: Vec<_> = command.get_subcommands().map(clap::Command::get_name).collect();
    let expected = [
        "dev",
        "serve",
        "bootstrap",
        "get",
        "put",
        "delete",
        "list",
        "watch",
        "txn",
        "lease",
        "lock",
        "elect",
        "status",
        "members",
        "add",
        "remove",
        "promote",
        "transfer",
        "export",
        "import",
        "backup",
        "restore",
        "bench",
        "debug",
        "version",
        "completions",
        "man",
        "token",
        "certs",
        "config",
        "doctor",
        "inspect",
        "verify",
        "recover",
    ];
    assert_eq!(names, expected);
}

#[test]
fn the_hidden_flag_stays_hidden() {
    let help = Cli::command().find_subcommand_mut("serve").map(|serve| serve.render_help().to_string());
    let help = help.unwrap_or_default();
    assert!(help.contains("--data-dir <DIR>") && !help.contains("exit-with-parent"), "{help}");
}

#[test]
fn completions_know_every_command() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "quorate", &mut script);
        let script = String::from_utf8_lossy(&script);
        for name in ["bootstrap", "completions", "kill-every", "value-size"] {
            assert!(script.contains(name), "{shell} lacks {name}");
        }
    }
}
