//! The commands that make tokens and show them, and what a start refuses.

use std::fs::{self, Permissions};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;

use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;
use quorate_tests::ports::free_port;
use quorate_tests::program::{Finished, Program};

use crate::guarded::{Guarded, PROGRAM, RELOADED, Tokens, guess_of, secret_of, text};

#[test]
fn a_token_is_shown_once_and_kept_as_a_hash() {
    let tokens = Tokens::new();
    let token = tokens.make("ci", "write", &["ci/", "a \"b\""]);
    let file = tokens.file();
    assert!(token.starts_with("q1.") && token.split('.').count() == 3, "{token}");
    let kept = fs::read_to_string(&file).unwrap();
    assert!(kept.contains("$argon2id$") && !kept.contains(secret_of(&token)), "{kept}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_ne!(token, tokens.make("ci", "write", &[]));

    let printed = Program::new(PROGRAM, &["token", "new", "--name", "ci", "--role", "read"]).run();
    let (token, entry) = printed.stdout.split_once("\n\n").unwrap();
    assert!(token.starts_with("q1.") && entry.starts_with("[[token]]\n"), "{}", printed.stdout);
    fs::write(&file, entry).unwrap();
    let check = ["config", "check", "--data-dir", "d", "--tokens", text(&file)];
    assert_eq!(Program::new(PROGRAM, &check).run().code, Some(0));
    let json = Program::new(PROGRAM, &["token", "new", "--name", "ci", "--role", "read", "-o", "json"]).run();
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(json["token"].as_str().unwrap().starts_with("q1.") && json["entry"].is_string(), "{json}");
    for wrong in
        [&["--name", "ci", "--role", "root"][..], &["--name", "", "--role", "read"], &["--role", "read"]]
    {
        let refused = Program::new(PROGRAM, &[&["token", "new"][..], wrong].concat()).run();
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{}", refused.stderr);
    }
}

#[test]
fn files_that_can_not_be_used_are_refused_at_the_start() {
    let tokens = Tokens::new();
    let token = tokens.make("ci", "write", &[]);
    let (file, own) = (tokens.file(), tokens.keep("own.token", &token));
    let check = |flags: &[&str]| {
        Program::new(PROGRAM, &[&["config", "check", "--data-dir", "/nowhere"][..], flags].concat()).run()
    };
    let refused = |finished: &Finished, words: &[&str]| {
        assert_eq!(finished.code, Some(78), "{}", finished.stderr);
        for word in words {
            assert!(finished.stderr.contains(word), "{word} is not in {}", finished.stderr);
        }
        assert!(!finished.stderr.contains(secret_of(&token)), "{}", finished.stderr);
    };
    let good = check(&["--tokens", text(&file), "--node-token-file", text(&own)]);
    assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
    refused(&check(&["--tokens", "/nowhere/tokens"]), &["/nowhere/tokens", "can't be read"]);
    refused(&check(&["--tokens", text(&own)]), &["own.token"]);
    refused(&check(&["--node-token-file", text(&file)]), &["tokens.toml", "holds no token"]);
    refused(&check(&["--probes-need-token"]), &["--probes-need-token", "--tokens"]);
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    refused(&check(&["--tokens", text(&file)]), &["tokens.toml", "0644", "chmod 600"]);
    let data_dir = tokens.folder.path().join("data");
    let serve = ["serve", "--bootstrap", "--data-dir", text(&data_dir), "--tokens", text(&file)];
    refused(&Program::new(PROGRAM, &serve).run(), &["tokens.toml", "0644"]);
}

/// Tokens close the HTTP port as TLS does.
#[test]
fn a_port_with_tokens_may_be_on_every_interface() {
    let tokens = Tokens::new();
    let token = tokens.make("ci", "write", &[]);
    let (file, data_dir) = (tokens.file(), tokens.folder.path().join("data"));
    let (http, raft) = (free_port(), free_port());
    let (listen, raft_listen) = (format!("0.0.0.0:{http}"), format!("127.0.0.1:{raft}"));
    let url = format!("http://127.0.0.1:{http}");
    let arguments = [
        &["serve", "--bootstrap", "--data-dir", text(&data_dir), "--listen", &listen][..],
        &["--raft-listen", &raft_listen, "--advertise-url", &url, "--tokens", text(&file)],
    ]
    .concat();
    let node = Program::new(PROGRAM, &arguments).start_tied(tokens.folder.path(), "node");
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, http));
    wait_until("the node to serve", PATIENCE, || {
        let answer = Client::new(address).bearing(Some(&token)).request("GET", "/raft/status", b"").ok()?;
        (answer.status == 200).then_some(())
    });
    assert!(!node.stderr().contains("--insecure"), "{}", node.stderr());
    // Alone it needs nobody; it is told what it lacks to need somebody.
    assert!(node.stderr().contains("--node-token-file"), "{}", node.stderr());
}

#[test]
fn every_command_shows_the_token_it_is_given() {
    let mut guarded = Guarded::start(3, &[]);
    let token = guarded.tokens.make("ci", "write", &[]);
    guarded.reload(RELOADED);
    let urls: Vec<String> = guarded.cluster.nodes.iter().map(|node| node.url()).collect();
    let endpoints = urls.join(",");
    let token_file = guarded.tokens.keep("ci.token", &token);
    let run = |arguments: &[&str], shown: &[&str]| {
        Program::new(PROGRAM, &[arguments, &["--endpoints", &endpoints], shown].concat()).run()
    };
    let by_file = ["--token-file", text(&token_file)];
    let backup = guarded.tokens.folder.path().join("backup");
    let commands: [&[&str]; 9] = [
        &["put", "a", "b"],
        &["get", "a"],
        &["list"],
        &["status"],
        &["members"],
        &["export", "-"],
        &["backup", text(&backup)],
        &["bench", "--duration", "100ms", "--connections", "2", "--keys", "10"],
        &["delete", "a"],
    ];
    for command in commands {
        let refused = run(command, &[]);
        assert_ne!(refused.code, Some(0), "{command:?}");
        let done = run(command, &by_file);
        assert_eq!(done.code, Some(0), "{command:?}: {}", done.stderr);
    }
    let by_variable = Program::new(PROGRAM, &["put", "a", "c", "--endpoints", &endpoints]);
    let by_variable = by_variable.with_variable("QUORATE_TOKEN", &token).run();
    assert_eq!(by_variable.code, Some(0), "{}", by_variable.stderr);
    let guess = Program::new(PROGRAM, &["put", "a", "d", "--endpoints", &endpoints]);
    let guess = guess.with_variable("QUORATE_TOKEN", &guess_of(&token)).run();
    assert_eq!(guess.code, Some(1));
    assert!(
        guess.stderr.contains("unauthenticated") && !guess.stderr.contains(secret_of(&token)),
        "{}",
        guess.stderr
    );
    let promote = run(&["transfer"], &by_file);
    assert!(promote.code == Some(1) && promote.stderr.contains("forbidden"), "{}", promote.stderr);
    for (variable, shown) in [("two words", &[][..]), ("", &["--token-file", "/nowhere/token"])] {
        let command = Program::new(PROGRAM, &[&["get", "a"][..], shown].concat());
        let refused = command.with_variable("QUORATE_TOKEN", variable).run();
        assert_eq!(refused.code, Some(78), "{}", refused.stderr);
        assert!(!refused.stderr.contains("two words"), "{}", refused.stderr);
    }
    let value = guarded.ask(0, Some(&token), ("GET", "/key/a", "")).text();
    assert_eq!(value, "c");
}
