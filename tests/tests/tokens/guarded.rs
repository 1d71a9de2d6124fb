//! Clusters that ask for tokens.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::{Client, Response};
use quorate_tests::program::{Program, signal};
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// What a node says when it has read its tokens again, and when it could not.
pub(crate) const RELOADED: &str = "the file of tokens was read again\"";
pub(crate) const NOT_RELOADED: &str = "the file of tokens was read again and can't be used";

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have UTF-8 names")
}

/// A file of tokens, and the folder that it is in.
pub(crate) struct Tokens {
    pub(crate) folder: TempDir,
}

impl Tokens {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("tokens.toml")
    }

    /// Makes a token with the program itself.
    #[track_caller]
    pub(crate) fn make(&self, name: &str, role: &str, prefixes: &[&str]) -> String {
        let file = self.file();
        let mut arguments = vec!["token", "new", "--name", name, "--role", role, "--file", text(&file)];
        arguments.extend(prefixes.iter().flat_map(|prefix| ["--prefix", *prefix]));
        let made = Program::new(PROGRAM, &arguments).run();
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        made.stdout.trim().to_owned()
    }

    /// Takes all tokens of a name out of the file.
    pub(crate) fn remove(&self, name: &str) {
        let before = fs::read_to_string(self.file()).unwrap();
        let named = format!("name = \"{name}\"\n");
        let entries = before.split("[[token]]\n").filter(|entry| !entry.trim().is_empty());
        let left: String = entries
            .filter(|entry| !entry.contains(&named))
            .map(|entry| format!("[[token]]\n{entry}"))
            .collect();
        assert_ne!(left.len(), before.len(), "{name} has no token");
        fs::write(self.file(), left).unwrap();
    }

    /// Writes a token to a file of its own, as a node or a client reads it.
    pub(crate) fn keep(&self, name: &str, token: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        fs::write(&file, format!("{token}\n")).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        file
    }
}

/// A cluster whose nodes speak plain HTTP and ask for tokens. Each of them has the admin's.
pub(crate) struct Guarded {
    pub(crate) cluster: Cluster,
    pub(crate) tokens: Tokens,
    pub(crate) admin: String,
}

impl Guarded {
    #[track_caller]
    pub(crate) fn start(size: usize, more_flags: &[&str]) -> Self {
        let tokens = Tokens::new();
        let admin = tokens.make("admin", "admin", &[]);
        let (file, own) = (tokens.file(), tokens.keep("own.token", &admin));
        let flags = ["--tokens", text(&file), "--node-token-file", text(&own)];
        let cluster = Cluster::start_asked_with(PROGRAM, size, &[&flags[..], more_flags].concat(), &admin);
        Self { cluster, tokens, admin }
    }

    pub(crate) fn address(&self, number: usize) -> SocketAddr {
        self.cluster.nodes[number].http()
    }

    /// A request with a token, or with none.
    #[track_caller]
    pub(crate) fn ask(
        &self,
        number: usize,
        token: Option<&str>,
        (method, target, body): Request<'_>,
    ) -> Response {
        Client::new(self.address(number)).bearing(token).must(method, target, body.as_bytes())
    }

    /// Tells all nodes to read their tokens again, and waits until each has said `outcome`.
    #[track_caller]
    pub(crate) fn reload(&mut self, outcome: &str) {
        for number in 0..self.cluster.nodes.len() {
            let process = self.cluster.nodes[number].process();
            let before = process.stderr().matches(outcome).count();
            signal("HUP", process.pid());
            let what = format!("node {number} to say: {outcome}");
            wait_until(&what, PATIENCE, || {
                (process.stderr().matches(outcome).count() > before).then_some(())
            });
        }
    }

    /// What all nodes have logged.
    pub(crate) fn logs(&mut self) -> String {
        self.cluster.nodes.iter_mut().map(|node| node.process().stderr()).collect()
    }
}

/// Method, target and body.
pub(crate) type Request<'a> = (&'a str, &'a str, &'a str);

/// The status of an answer, and the code of its error.
pub(crate) fn outcome(answer: &Response) -> (u16, String) {
    (answer.status, answer.header("quorate-error").unwrap_or_default().to_owned())
}

/// The part of a token that nobody but its holder may see.
pub(crate) fn secret_of(token: &str) -> &str {
    token.rsplit('.').next().unwrap()
}

/// The same token with another secret.
pub(crate) fn guess_of(token: &str) -> String {
    let (head, secret) = token.rsplit_once('.').unwrap();
    let other = if secret.starts_with('A') { "B" } else { "A" };
    format!("{head}.{other}{}", &secret[1..])
}
