//! Tokens for clients where nodes know each other by their certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use quorate_tests::cluster::Node;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::program::Program;
use rustls::ClientConfig;

use crate::certificates::{Authority, Certified, client};
use crate::nodes::{PROGRAM, TlsCluster, give, request_showing, text};

/// Without `--tls-client-ca`: clients show a token and no certificate. Nodes join, and pass on, by the peers' own.
#[test]
fn nodes_need_no_token_of_their_own() {
    let ours = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    let file = text(&folder.path().join("tokens.toml"));
    let make = |role: &str| {
        let arguments = ["token", "new", "--name", role, "--role", role, "--file", &file];
        Program::new(PROGRAM, &arguments).run().stdout.trim().to_owned()
    };
    let (admin, reader) = (make("admin"), make("read"));
    let guarded = |mut flags: Vec<String>| {
        let client_ca = flags.iter().position(|flag| flag == "--tls-client-ca").unwrap();
        flags.drain(client_ca..client_ca + 2);
        flags.extend(["--tokens".to_owned(), file.clone()]);
        flags
    };
    let mut cluster = TlsCluster::start_with(3, &ours, guarded, Some(&admin));
    let leader = cluster.leader();
    for number in 0..3 {
        cluster.put(number, &format!("by-{number}"), "written");
        assert!(!cluster.nodes[number].process().stderr().contains("--node-token-file"));
    }
    let anybody = client(&[&ours], None);
    let peer = client(&[&ours], Some(&ours.certify()));
    let ask = |number: usize, tls: &Arc<ClientConfig>, token: Option<&str>, method: &str, target: &str| {
        let address: SocketAddr = cluster.nodes[number].http();
        request_showing(token, (address, tls), method, target, b"").unwrap().status
    };
    for number in [leader, (leader + 1) % 3] {
        assert_eq!(ask(number, &anybody, None, "GET", "/raft/status"), 401);
        assert_eq!(ask(number, &anybody, Some(&reader), "GET", "/raft/status"), 200);
        assert_eq!(ask(number, &anybody, Some(&reader), "PUT", "/key/a"), 403);
        assert_eq!(ask(number, &anybody, None, "PUT", "/key/a"), 401);
        // What nodes ask each other, a peer's certificate is good for, and for nothing else.
        assert_eq!(ask(number, &peer, None, "GET", "/raft/status"), 200);
        assert_eq!(ask(number, &peer, None, "GET", "/raft/checkpoints"), 200);
        assert_eq!(ask(number, &peer, None, "PUT", "/key/a"), 401);
        assert_eq!(ask(number, &peer, None, "GET", "/debug/recording"), 401);
        assert_eq!(ask(number, &peer, Some(&reader), "GET", "/raft/checkpoints"), 403);
    }
    // Through a follower, which passes on that it is a node that asks.
    let folder = cluster.folder.path().to_owned();
    let flags = guarded(give(&folder, "late", &ours.certify(), &ours.pem));
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut late = Node::new(PROGRAM, folder, "late", &flags);
    late.start(&["--join", &cluster.url((leader + 1) % 3)]);
    wait_until("the late node to be a member", PATIENCE, || (cluster.members()?.len() == 4).then_some(()));
}

/// Who has a certificate of the clients' CA has none of the peers', and who has one of the peers' that is for clients
/// alone is no peer either.
#[test]
fn a_client_certificate_is_no_peers() {
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let folder = tempfile::tempdir().unwrap();
    let file = text(&folder.path().join("tokens.toml"));
    let arguments = ["token", "new", "--name", "admin", "--role", "admin", "--file", &file];
    let admin = Program::new(PROGRAM, &arguments).run().stdout.trim().to_owned();
    let clients_ca = folder.path().join("clients.pem");
    std::fs::write(&clients_ca, &clients.pem).unwrap();
    let guarded = |mut flags: Vec<String>| {
        let client_ca = flags.iter().position(|flag| flag == "--tls-client-ca").unwrap();
        flags[client_ca + 1] = text(&clients_ca);
        flags.extend(["--tokens".to_owned(), file.clone()]);
        flags
    };
    let cluster = TlsCluster::start_with(1, &ours, guarded, Some(&admin));
    let ask = |shown: &Certified, token: Option<&str>| {
        let (address, tls) = (cluster.nodes[0].http(), client(&[&ours], Some(shown)));
        request_showing(token, (address, &tls), "GET", "/raft/checkpoints", b"").unwrap().status
    };
    for of_client in [clients.certify(), ours.certify_client()] {
        assert_eq!(ask(&of_client, None), 401);
        assert_eq!(ask(&of_client, Some(&admin)), 200);
    }
    assert_eq!(ask(&ours.certify(), None), 200);
}
