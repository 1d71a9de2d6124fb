//! Clients that take up what is not theirs: a thousand connections that never end their request, and more of them than
//! the node may have open. Others are served as ever.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use quorate_tests::cluster::Cluster;
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::program::{Program, signal};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

const ATTACKERS: usize = 1_000;

/// Connections that have each begun a request.
fn half_heads(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files }).unwrap();
    let begin = |_| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"GET /key/a HTTP/1.1\r\nhost: localhost\r\nx-padding: ").unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    (0..count).map(begin).collect()
}

/// Sends another byte of the head on each that is open; how many still are.
fn drip(streams: &mut [TcpStream]) -> usize {
    let is_open = |stream: &mut TcpStream| {
        let sent = stream.write(b"x").is_ok();
        let silent = matches!(stream.read(&mut [0; 64]), Err(error) if error.kind() == ErrorKind::WouldBlock);
        sent && silent
    };
    streams.iter_mut().map(is_open).filter(|is_open| *is_open).count()
}

/// Slow-loris: no head ever ends, and each byte comes before anybody could call the line dead.
#[test]
fn a_thousand_heads_that_never_end_disturb_nobody_and_are_cut_off() {
    let cluster = Cluster::start(QUORATE, 1);
    let mut client = cluster.nodes[0].client();
    let mut attackers = half_heads(cluster.nodes[0].http(), ATTACKERS);
    assert_eq!(drip(&mut attackers), ATTACKERS, "there is room for all of them");
    let began = Instant::now();
    let mut served = 0;
    wait_until("the heads are cut off", PATIENCE, || {
        client.must("PUT", "/key/a", served.to_string().as_bytes());
        served += 1;
        (drip(&mut attackers) == 0).then_some(())
    });
    assert!(began.elapsed() >= Duration::from_secs(8), "a head has its ten seconds");
    assert_eq!(client.get("/key/a").text(), (served - 1).to_string());
}

/// With room for far fewer: whoever comes takes the place of the one that has waited longest.
#[test]
fn more_idle_connections_than_may_be_keep_nobody_out() {
    let cluster = Cluster::start_with(QUORATE, 1, &["--max-connections", "50"]);
    let mut attackers = half_heads(cluster.nodes[0].http(), ATTACKERS);
    for number in 0..20 {
        cluster.nodes[0].client().must("PUT", "/key/a", number.to_string().as_bytes());
    }
    let left =
        wait_until("most are closed", PATIENCE, || Some(drip(&mut attackers)).filter(|left| *left < 50));
    assert!(left > 0, "those that came last have their time");
}

/// A process that may open few files takes few connections, and goes on.
#[test]
fn few_open_files_are_few_connections() {
    let folder = tempfile::tempdir().unwrap();
    let serve = format!(
        "ulimit -n 1100 && exec {QUORATE} serve --bootstrap --data-dir {} --listen 127.0.0.1:0 \
         --raft-listen 127.0.0.1:0",
        folder.path().join("data").display()
    );
    let node = Program::new("/bin/sh", &["-c", &serve]).start(folder.path(), "few files");
    wait_until("the log says so", PATIENCE, || node.stderr().contains("LimitNOFILE=").then_some(()));
    let log = node.stderr();
    assert!(log.contains("\"connections\":550") && log.contains("\"wanted\":10000"), "{log}");
}

/// SIGHUP reads files again. Where there are none it must not end the node, as it does a process that expects none.
#[test]
fn a_hangup_ends_no_node() {
    let mut cluster = Cluster::start(QUORATE, 1);
    let pid = cluster.nodes[0].process().pid();
    for _ in 0..3 {
        signal("HUP", pid);
        cluster.nodes[0].client().must("PUT", "/key/a", b"v");
    }
    assert!(cluster.nodes[0].ended().is_none());
}
