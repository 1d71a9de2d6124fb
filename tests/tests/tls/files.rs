//! The files of TLS: what a start refuses, and what `quorate certs dev` makes.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use quorate_tests::program::{Finished, Program};

use crate::certificates::Authority;
use crate::nodes::{PROGRAM, text};

/// `config check` and `serve` refuse the same; the first never listens.
fn check(flags: &[(&str, &str)]) -> Finished {
    let mut arguments = vec!["config", "check", "--data-dir", "/nowhere"];
    arguments.extend(flags.iter().flat_map(|(flag, value)| [*flag, *value]));
    Program::new(PROGRAM, &arguments).run()
}

#[test]
fn what_can_t_be_used_is_refused_at_the_start_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let write = |name: &str, text_of: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text_of).unwrap();
        text(&path)
    };
    let pair = |authority: &Authority, name: &str| {
        let (certificate, key) = authority.certify().write(folder.path(), name);
        (text(&certificate), text(&key))
    };
    let (ca, foreign_ca) = (write("ca.pem", &ours.pem), write("foreign-ca.pem", &foreign.pem));
    let (cert, key) = pair(&ours, "good");
    let (_, other_key) = pair(&ours, "other");
    let (foreign_cert, foreign_key) = pair(&foreign, "foreign");
    let (expired, expired_key) = ours.certify_expired().write(folder.path(), "expired");
    let (named, named_key) = ours.certify_as("node-1.example").write(folder.path(), "named");
    let [expired, expired_key, named, named_key] =
        [expired, expired_key, named, named_key].map(|path| text(&path));
    let garbage = write("garbage", "neither certificate nor key");
    let encrypted = write(
        "encrypted",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let missing = text(&folder.path().join("missing.pem"));

    let https = |cert: &str, key: &str, ca: &str| {
        check(&[("--tls-cert", cert), ("--tls-key", key), ("--tls-ca", ca)])
    };
    let peers = |cert: &str, key: &str, ca: &str| {
        check(&[("--peer-tls-cert", cert), ("--peer-tls-key", key), ("--peer-tls-ca", ca)])
    };
    for good in [https(&cert, &key, &ca), peers(&cert, &key, &ca)] {
        assert_eq!((good.code, good.stderr.as_str()), (Some(0), ""));
    }
    let refused = [
        (https(&missing, &key, &ca), "missing.pem: it can't be read"),
        (https(&cert, &missing, &ca), "missing.pem: it can't be read"),
        (https(&garbage, &key, &ca), "garbage: it holds no certificate"),
        (https(&cert, &garbage, &ca), "garbage: it holds no private key"),
        (https(&cert, &encrypted, &ca), "encrypted: its key is encrypted"),
        (https(&cert, &other_key, &ca), "other.key: it is not the key of"),
        (https(&expired, &expired_key, &ca), "expired.pem: those who dial 127.0.0.1"),
        (https(&expired, &expired_key, &ca), "expired 60 min ago"),
        (https(&named, &named_key, &ca), "does not name 127.0.0.1; it names"),
        (https(&foreign_cert, &foreign_key, &ca), "no CA that is believed"),
        (peers(&expired, &expired_key, &ca), "expired 60 min ago"),
        (peers(&named, &named_key, &ca), "does not name 127.0.0.1"),
        (peers(&cert, &key, &foreign_ca), "no CA that is believed"),
        (check(&[("--tls-cert", &cert)]), "--tls-cert is given and --tls-key is not"),
        (check(&[("--tls-client-ca", &ca)]), "--tls-client-ca is given and --tls-cert is not"),
        (check(&[("--tls-cert", &cert), ("--tls-key", &key)]), "--tls-ca"),
        (check(&[("--peer-tls-cert", &cert), ("--peer-tls-key", &key)]), "--peer-tls-ca is not"),
        (check(&[("--advertise-url", "https://127.0.0.1:8080")]), "serves plain HTTP"),
        (check(&[("--join", "https://127.0.0.1:8080")]), "--tls-ca"),
    ];
    for (number, (finished, said)) in refused.iter().enumerate() {
        assert_eq!(finished.code, Some(78), "{number}: {}", finished.stderr);
        assert!(finished.stderr.contains(said), "{number}: {said} is not in {}", finished.stderr);
    }
}

fn certs(dir: &Path, arguments: &[&str]) -> Finished {
    Program::new(PROGRAM, &[&["certs", "dev", &text(dir)][..], arguments].concat()).run()
}

#[test]
fn certs_dev_makes_what_a_node_needs_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("pki");
    let first = certs(&dir, &["--node", "n1", "--host", "10.1.2.3", "--host", "n1.example"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let (ca, n1) = (read("ca.pem"), read("n1.pem"));
    assert_eq!(certs(&dir, &["--node", "n2", "--client", "alice"]).code, Some(0));
    assert_eq!(read("ca.pem"), ca, "the CA is kept");
    for name in ["ca", "n1", "n2", "alice"] {
        let mode =
            |end: &str| dir.join(format!("{name}.{end}")).metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("key"), mode("pem") & 0o600), (0o600, 0o600), "{name}");
    }

    let path = |name: &str| text(&dir.join(name));
    let use_as = |name: &str, host: &str| {
        let (cert, key) = (path(&format!("{name}.pem")), path(&format!("{name}.key")));
        let [http, raft] = ["8080", "9080"].map(|port| format!("{host}:{port}"));
        check(&[
            ("--tls-cert", &cert),
            ("--tls-key", &key),
            ("--peer-tls-cert", &cert),
            ("--peer-tls-key", &key),
            ("--peer-tls-ca", &path("ca.pem")),
            ("--tls-client-ca", &path("ca.pem")),
            ("--listen", &http),
            ("--raft-listen", &raft),
        ])
    };
    for (name, host) in [("n1", "10.1.2.3"), ("n1", "n1.example"), ("n2", "localhost"), ("n2", "[::1]")] {
        let checked = use_as(name, host);
        assert_eq!(checked.code, Some(0), "{name} as {host}: {}", checked.stderr);
    }
    assert_eq!(use_as("n1", "127.0.0.1").code, Some(78), "it names only what was asked for");
    assert!(use_as("alice", "127.0.0.1").stderr.contains("alice.pem"), "a client is no server");

    for again in [&["--node", "n1"][..], &["--node", "n3", "--client", "n1"]] {
        let refused = certs(&dir, again);
        assert_eq!(refused.code, Some(4), "{}", refused.stderr);
        assert!(refused.stderr.contains("n1.pem is there already"), "{}", refused.stderr);
    }
    assert_eq!(read("n1.pem"), n1);
    assert!(!dir.join("n3.pem").exists(), "nothing is written when not all can be");
    for bad in [["--node", "../n4"], ["--node", "ca"], ["--client", ""]] {
        assert_eq!(certs(&dir, &bad).code, Some(2), "{bad:?}");
    }
    std::fs::remove_file(dir.join("ca.pem")).unwrap();
    assert_eq!(
        certs(&dir, &["--node", "n5"]).code,
        Some(1),
        "a key without its certificate is no CA to go on with"
    );
}
