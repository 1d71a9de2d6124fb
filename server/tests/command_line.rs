//! The `quorate` program as its users meet it: arguments in; stdout, stderr and exit code out. The server on the other
//! side is a small one that answers as told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

/// Gives every request of one method and path prefix the same answer; the first that fits wins.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

/// Method, path prefix, status, body. Status 0 hangs up instead.
type Rule = (&'static str, &'static str, u16, &'static str);

impl Server {
    fn start(rules: &'static [Rule]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || serve(&stream.unwrap(), rules, address, &log));
            }
        });
        Self { address, seen }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far: method, path without query, body.
    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, rules: &[Rule], address: SocketAddr, log: &Mutex<Vec<String>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            (reader.read_line(&mut head).ok()? > 0).then_some(())?;
        }
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).map_or("0", |rest| rest.lines().next().unwrap());
        let mut body = vec![0; length.parse().unwrap()];
        reader.read_exact(&mut body).ok()?;
        let mut words = head.split([' ', '?']);
        let (method, path) = (words.next()?, words.next()?);
        let line = format!("{method} {path} {}", String::from_utf8_lossy(&body));
        log.lock().unwrap().push(line.trim_end().to_owned());
        let fits = |rule: &&Rule| rule.0 == method && path.starts_with(rule.1);
        let (_, _, status, body) = rules.iter().find(fits).unwrap_or(&("", "", 500, ""));
        if *status == 0 {
            return None;
        }
        let body = body.replace("{self}", &format!("http://{address}"));
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let mut writer = stream;
        writer.write_all(answer.as_bytes()).ok()?;
    }
}

/// An endpoint where nothing listens.
fn closed() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

fn quorate(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let seed = ["HOST", "PORT", "RAFT_PORT", "RAFT_LEADER", "STORAGE_PATH"];
        if text.starts_with("QUORATE_") || seed.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a client command against one endpoint.
fn at(endpoint: &str, arguments: &[&str]) -> Output {
    quorate(arguments).env("QUORATE_ENDPOINTS", endpoint).output().unwrap()
}

#[track_caller]
fn assert_ended(output: &Output, code: i32, stdout: &str, stderr_parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "stderr: {stderr}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), stdout, "stderr: {stderr}");
    for part in stderr_parts {
        assert!(stderr.contains(part), "{stderr:?} lacks {part:?}");
    }
    if stderr_parts.is_empty() {
        assert_eq!(stderr, "");
    }
}

#[test]
fn get_writes_the_raw_value_and_nothing_else() {
    let server = Server::start(&[("GET", "/key/", 200, "a\tb\u{0}c")]);
    assert_ended(&at(&server.url(), &["get", "a/b"]), 0, "a\tb\u{0}c", &[]);
    assert_eq!(server.seen(), ["GET /key/a%2Fb"]);
}

#[test]
fn put_takes_the_value_from_the_arguments_or_from_stdin() {
    let server = Server::start(&[("PUT", "/key/", 200, r#"{"status":"success"}"#)]);
    assert_ended(&at(&server.url(), &["put", "k", "from arguments"]), 0, "", &[]);
    let mut child =
        quorate(&["put", "k", "-", "--endpoints", &server.url()]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from stdin\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(server.seen(), ["PUT /key/k from arguments", "PUT /key/k from stdin"]);
}

#[test]
fn each_failure_has_its_exit_code() {
    let server = Server::start(&[
        ("GET", "/key/missing", 404, ""),
        ("PUT", "/key/large", 413, r#"{"error":"the value is too large","code":"value_too_large"}"#),
        ("PUT", "/key/held", 412, r#"{"error":"it was changed","code":"precondition_failed"}"#),
        ("PUT", "/key/lost", 0, ""),
        ("PUT", "/key/nobody", 503, r#"{"error":"nobody leads","code":"no_leader"}"#),
    ]);
    assert_ended(&at(&server.url(), &["get", "missing"]), 3, "", &["there is no key \"missing\""]);
    assert_ended(&at(&server.url(), &["put", "large", "v"]), 1, "", &["too large", "value_too_large"]);
    assert_ended(&at(&server.url(), &["put", "held", "v"]), 4, "", &["it was changed"]);
    assert_ended(&at(&server.url(), &["put", "lost", "v"]), 6, "", &["may or may not have been done"]);
    assert_ended(&at(&server.url(), &["put", "nobody", "v"]), 5, "", &["nobody leads"]);
    assert_ended(&at(&closed(), &["delete", "k"]), 5, "", &["refused"]);
    assert_ended(&at("localhost", &["delete", "k"]), 78, "", &["QUORATE_ENDPOINTS", "http://localhost"]);
    assert_ended(
        &quorate(&["get", "k", "--endpoints", "localhost"]).output().unwrap(),
        2,
        "",
        &["--endpoints", "write for example http://localhost"],
    );
}

const STATUS: &str = r#"{"id":"ab","name":null,"role":"leader","term":3,"leader":{"id":"ab","url":"{self}"},"commit":9,
    "applied":9,"last":9,"snapshot":0,"revision":7,"cluster":"cc","history":"dd","peers":[]}"#;

#[test]
fn status_shows_who_answers_and_fails_when_somebody_does_not() {
    let server = Server::start(&[("GET", "/raft/status", 200, STATUS)]);
    let (here, nowhere) = (server.url(), closed());
    let output = at(&format!("{nowhere},{here}"), &["status"]);
    let lines = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Vec<&str>> = lines.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows[0],
        ["ENDPOINT", "ID", "NAME", "ROLE", "TERM", "LEADER", "COMMIT", "APPLIED", "REVISION"]
    );
    assert_eq!(rows[1], [&here, "ab", "-", "leader", "3", "ab", "9", "9", "7"]);
    assert_eq!((rows.len(), output.status.code()), (2, Some(5)));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&nowhere));

    let output = at(&here, &["status", "-o", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json[0]["endpoint"], &json[0]["term"]), (&here.into(), &3.into()));
}

#[test]
fn members_are_listed() {
    const MEMBERS: &str = r#"{"cluster":"cc","index":1,"members":[{"id":"ab","name":"one","address":"h:1","url":"http://h:2",
        "role":"voter","leader":true},{"id":"cd","name":null,"address":"h:3","url":null,"role":"learner","leader":false}],
        "joint":null}"#;
    let server = Server::start(&[("GET", "/raft/members", 200, MEMBERS)]);
    let expected = "\
ID  NAME  ADDRESS  URL         ROLE     LEADER
ab  one   h:1      http://h:2  voter    yes
cd  -     h:3      -           learner  no
";
    assert_ended(&at(&server.url(), &["members"]), 0, expected, &[]);
}

#[test]
fn export_and_import_carry_the_bytes() {
    let server = Server::start(&[
        ("GET", "/data.json", 200, r#"{"a2V5":"dmFsdWU="}"#),
        ("POST", "/data.json", 200, "{}"),
    ]);
    assert_ended(&at(&server.url(), &["export"]), 0, r#"{"a2V5":"dmFsdWU="}"#, &[]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("data.json");
    assert_ended(&at(&server.url(), &["export", file.to_str().unwrap()]), 0, "", &[]);
    assert_ended(&at(&server.url(), &["import", file.to_str().unwrap()]), 0, "", &[]);
    assert_eq!(server.seen().pop().unwrap(), r#"POST /data.json {"a2V5":"dmFsdWU="}"#);
    assert_ended(&at(&server.url(), &["import", "/no/such/file"]), 1, "", &["/no/such/file"]);
}

#[test]
fn bench_finds_the_leader_and_reports() {
    let leader = Server::start(&[
        ("GET", "/raft/status", 200, STATUS),
        ("POST", "/key/bench-", 200, "{}"),
        ("GET", "/key/bench-", 200, "v"),
    ]);
    let arguments =
        ["bench", "--duration", "200ms", "--connections", "4", "--keys", "10", "--reads", "50", "-o", "json"];
    let output = at(&leader.url(), &arguments);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&json["errors"], &json["targets"][0]), (&0.into(), &leader.url().into()));
    let count = |operation: &str| json[operation]["count"].as_u64().unwrap();
    assert!(count("put") > 0 && count("get") > 0);
    assert_eq!(count("put") + count("get"), count("all"));
    let written = leader.seen().iter().filter(|line| line.starts_with("POST")).count() as u64;
    assert_eq!(written, count("put") + 10, "each key is written once before it is read");
}

#[test]
fn bench_fails_loudly_on_errors() {
    let server = Server::start(&[("POST", "/key/", 503, "{}")]);
    let arguments = ["bench", "--any-endpoint", "--duration", "50ms", "--connections", "2"];
    let output = at(&server.url(), &arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr.contains("ERRORS") && stderr.contains("put answered 503"), "{stderr}");
}

#[test]
fn who_does_not_answer_a_bundle_is_asked_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("help.tar");
    let bundle = |server: &Server, code, said: &str| {
        let arguments = ["debug", "bundle", "--overwrite", file.to_str().unwrap()];
        let file = format!("{}\n", file.display());
        assert_ended(&at(&server.url(), &arguments), code, &file, &[said]);
    };
    let archive = || String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
    let all = ["/version", "/raft/status", "/raft/members", "/readyz", "/metrics"]
        .map(|path| format!("GET {path}"));

    let dead = Server::start(&[("GET", "/", 0, "")]);
    bundle(&dead, 5, "no node answered");
    assert_eq!(dead.seen(), all[..1]);
    assert!(archive().contains("no-answer.txt") && archive().contains("was asked nothing but /version"));

    // One that can't say how it stands may still have something to say.
    let ill = Server::start(&[("GET", "/raft/status", 0, ""), ("GET", "/", 200, "an answer")]);
    bundle(&ill, 0, "/raft/status");
    assert_eq!(ill.seen(), all);
    assert!(archive().contains("metrics.txt") && !archive().contains("no-answer.txt"));
}

#[test]
fn configuration_is_checked_and_printed() {
    assert_ended(&quorate(&["config", "check", "--data-dir", "d"]).output().unwrap(), 0, "", &[]);
    assert_ended(&quorate(&["config", "check"]).output().unwrap(), 2, "", &["--data-dir"]);
    let bad =
        quorate(&["config", "check", "--data-dir", "d"]).env("QUORATE_LISTEN", "8080").output().unwrap();
    assert_ended(&bad, 78, "", &["QUORATE_LISTEN", "\"8080\"", "127.0.0.1:8080"]);

    let output =
        quorate(&["config", "print", "-o", "json", "--data-dir", "d"]).env("PORT", "99").output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let line =
        |name: &str| json.as_array().unwrap().iter().find(|line| line["setting"] == name).unwrap().clone();
    assert_eq!(line("listen")["value"], "127.0.0.1:99");
    assert_eq!(line("listen")["origin"], "environment PORT");
    assert_eq!(line("data-dir")["origin"], "flag");
    assert_eq!(line("raft-listen")["value"], "127.0.0.1:1099");
    assert_eq!(line("election-timeout")["value"], "500ms");
}

#[test]
fn what_can_not_be_served_is_refused_before_anything_is_touched() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let serve = |more: &[&str]| {
        let mut command = quorate(&["serve", "--data-dir", data_dir.to_str().unwrap()]);
        command.args(more).output().unwrap()
    };
    assert_ended(&serve(&["--listen", "0.0.0.0:0"]), 78, "", &["--advertise-url http://"]);
    assert_ended(&serve(&["--advertise-raft", "0.0.0.0:1"]), 78, "", &["--advertise-raft"]);
    let open = ["--listen", "0.0.0.0:1", "--advertise-url", "http://127.0.0.1:1"];
    let peers_open = ["--raft-listen", "0.0.0.0:1"];
    for (flags, flag) in [(&open[..], "--listen is 0.0.0.0:1"), (&peers_open, "--raft-listen is 0.0.0.0:1")] {
        assert_ended(&serve(&[&["--bootstrap"][..], flags].concat()), 78, "", &[flag, "--insecure"]);
        let check = [&["config", "check", "--data-dir", "d"][..], flags].concat();
        assert_ended(&quorate(&check).output().unwrap(), 78, "", &[flag, "--insecure"]);
        assert_ended(&quorate(&[&check[..], &["--insecure"]].concat()).output().unwrap(), 0, "", &[]);
    }
    assert_ended(&serve(&["--frobnicate"]), 2, "", &["--frobnicate"]);
    assert_ended(&serve(&["--config", "/no/such/file"]), 78, "", &["/no/such/file"]);
    assert!(!data_dir.exists());
}

#[test]
fn dev_names_the_port_that_is_in_use() {
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let output = quorate(&["dev", "--nodes", "1", "--port", &port.to_string()]).output().unwrap();
    assert_ended(&output, 1, "", &[&format!("port {port}, the HTTP port of node 1"), "--port"]);
}

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in
        [&["--help"][..], &["serve", "--help"], &["--version"], &["version"], &["completions", "bash"]]
    {
        let output = quorate(arguments).output().unwrap();
        assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]), "{arguments:?}");
        assert!(!output.stdout.is_empty());
    }
    let version = quorate(&["version"]).output().unwrap();
    let expected = format!("quorate {}\ndata dir format 1\npeer protocol 1\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(String::from_utf8_lossy(&version.stdout), expected);
    let json = quorate(&["version", "-o", "json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&json["version"], &json["peer_protocol"]), (&env!("CARGO_PKG_VERSION").into(), &1.into()));
}
