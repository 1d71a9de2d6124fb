//! TLS as a user meets it: who gets in, who does not and why, and how certificates change while a cluster works.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "tls/certificates.rs"]
mod certificates;
#[path = "tls/files.rs"]
mod files;
#[path = "tls/nodes.rs"]
mod nodes;
#[path = "tls/tokens.rs"]
mod tokens;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use certificates::{Authority, Certified, client, client_of};
use nodes::{NOT_RELOADED, PROGRAM, RELOADED, TlsCluster, give, request, text};
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::http::Client;
use quorate_tests::program::{Finished, Program};
use rustls::pki_types::ServerName;
use rustls::version::TLS12;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, ClientConnection, ProtocolVersion, StreamOwned,
};

/// What TLS said when a request was refused.
#[track_caller]
fn refusal(address: SocketAddr, tls: &Arc<ClientConfig>) -> rustls::Error {
    let error = request(address, tls, "PUT", "/key/a", b"stranger").unwrap_err();
    let said = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    said.unwrap_or_else(|| panic!("the reason was lost: {error}")).clone()
}

#[test]
fn only_those_with_a_certificate_of_the_ca_get_in() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let cluster = TlsCluster::start(1, &ours);
    let address = cluster.nodes[0].http();
    cluster.put(0, "a", "ours");

    let alert = rustls::Error::AlertReceived;
    let cases = [
        (client(&[&ours], None), alert(AlertDescription::CertificateRequired)),
        (client(&[&ours], Some(&foreign.certify())), alert(AlertDescription::UnknownCA)),
        (client(&[&ours], Some(&ours.certify_expired())), alert(AlertDescription::CertificateExpired)),
        (
            client(&[&foreign], Some(&ours.certify())),
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer),
        ),
    ];
    for (tls, expected) in cases {
        assert_eq!(refusal(address, &tls), expected);
    }
    assert_eq!(cluster.get(0, "a"), "ours");
}

#[test]
fn plain_http_is_told_what_to_write() {
    let cluster = TlsCluster::start(1, &Authority::new("ours"));
    let address = cluster.nodes[0].http();
    let body = vec![b'x'; 1 << 20];
    for (method, body) in [("GET", &b""[..]), ("PUT", &body[..])] {
        let answer = Client::new(address).must(method, "/key/a", body);
        assert_eq!((answer.status, answer.json()["code"].as_str()), (400, Some("malformed")), "{method}");
        assert!(answer.text().contains("https://"), "{}", answer.text());
    }
}

/// Neither those who say nothing nor those who begin and stop keep others from shaking hands.
#[test]
fn handshakes_that_hang_hold_up_nobody() {
    let cluster = TlsCluster::start(1, &Authority::new("ours"));
    let hanging: Vec<TcpStream> = (0..200)
        .map(|number| {
            let mut stream = TcpStream::connect(cluster.nodes[0].http()).unwrap();
            // The head of a record of the handshake, and nothing of what it announces.
            let begun: &[u8] = if number % 2 == 0 { b"" } else { &[22, 3, 1, 2, 0] };
            stream.write_all(begun).unwrap();
            stream
        })
        .collect();
    cluster.put(0, "a", "b");
    assert_eq!(cluster.get(0, "a"), "b");
    for stream in hanging {
        stream.set_nonblocking(true).unwrap();
        let seen = (&stream).read(&mut [0]).map_err(|error| error.kind());
        assert_eq!(seen, Err(io::ErrorKind::WouldBlock), "it was closed before its time was up");
    }
}

/// A handshake has a place among the connections, as a request has: there are no more of them.
#[test]
fn handshakes_that_hang_make_room_for_others() {
    let few = |flags: Vec<String>| [flags, ["--max-connections", "20"].map(str::to_owned).to_vec()].concat();
    let cluster = TlsCluster::start_with(1, &Authority::new("ours"), few, None);
    let hanging: Vec<TcpStream> = (0..60)
        .map(|_| {
            let stream = TcpStream::connect(cluster.nodes[0].http()).unwrap();
            stream.set_nonblocking(true).unwrap();
            stream
        })
        .collect();
    cluster.put(0, "a", "b");
    let is_open = |mut stream: &TcpStream| {
        stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    wait_until("all but twenty to be closed", PATIENCE, || {
        (hanging.iter().filter(|stream| is_open(stream)).count() <= 20).then_some(())
    });
    assert_eq!(cluster.get(0, "a"), "b");
}

#[test]
fn a_cluster_over_mutual_tls_writes_proxies_and_survives_its_leader() {
    let mut cluster = TlsCluster::start(3, &Authority::new("ours"));
    let leader = cluster.leader();
    for number in 0..3 {
        cluster.put(number, &format!("by-{number}"), "before");
    }
    cluster.nodes[leader].kill();
    let others: Vec<usize> = (0..3).filter(|&number| number != leader).collect();
    for &number in &others {
        cluster.put(number, &format!("by-{number}"), "after");
    }
    cluster.nodes[leader].start(&[]);
    for number in 0..3 {
        let expected = if number == leader { "before" } else { "after" };
        assert_eq!(cluster.get(leader, &format!("by-{number}")), expected);
    }
    cluster.put(leader, "again", "here");
}

/// Speaks as a peer does, and says what TLS said to that, if it said anything.
fn refusal_of_peer(address: SocketAddr, mut tls: ClientConfig) -> Option<rustls::Error> {
    tls.alpn_protocols = vec![b"quorate-peer/1".to_vec()];
    let connection = ClientConnection::new(Arc::new(tls), ServerName::from(address.ip())).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    // No hello of a peer is so long: the node closes, at once or when it has read the head.
    let spoken = stream.write_all(&[0xff; 64]).and_then(|()| stream.read(&mut [0]));
    let error = spoken.err()?;
    error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned()
}

/// Over HTTP it may ask, as everybody may there. Whoever of the two dials the other's port for peers, it gets no
/// further than the handshake.
#[test]
fn a_peer_of_a_foreign_ca_is_not_let_in() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let for_all = |mut flags: Vec<String>| {
        let at = flags.iter().position(|flag| flag == "--tls-client-ca").unwrap();
        flags.drain(at..at + 2);
        flags
    };
    let cluster = TlsCluster::start_with(1, &ours, for_all, None);
    let address = cluster.nodes[0].raft();
    let shown = |certified: Option<&Certified>| client_of(rustls::DEFAULT_VERSIONS, &[&ours], certified);
    assert_eq!(refusal_of_peer(address, shown(Some(&ours.certify()))), None, "a peer is believed");
    let alert = rustls::Error::AlertReceived;
    let refused = refusal_of_peer(address, shown(Some(&foreign.certify())));
    assert_eq!(refused, Some(alert(AlertDescription::UnknownCA)));
    assert_eq!(refusal_of_peer(address, shown(None)), Some(alert(AlertDescription::CertificateRequired)));

    let folder = cluster.folder.path();
    let mut flags = for_all(give(folder, "stranger", &ours.certify(), &ours.pem));
    let outside = give(folder, "outside", &foreign.certify(), &foreign.pem);
    flags.truncate(4);
    flags.extend(outside[6..].iter().cloned());
    flags.extend(["--tls-ca".to_owned(), text(&folder.join("stranger.ca"))]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let mut stranger = Node::new(PROGRAM, folder.to_owned(), "stranger", &flags);
    stranger.start(&["--join", &cluster.url(0)]);
    let log = wait_until("the stranger to be refused, or to end", PATIENCE, || {
        let log = stranger.process().stderr();
        (log.contains("could not join") || stranger.ended().is_some()).then_some(log)
    });
    assert!(log.contains("address_unreachable") && log.contains("no CA that is believed"), "{log}");
    assert_eq!(cluster.members().unwrap().len(), 1);
}

/// Of 1.2 what is safe: keys that are new for each connection, and ciphers that notice a change.
#[test]
fn clients_may_speak_tls_1_2_and_peers_may_not() {
    let ours = Authority::new("ours");
    let cluster = TlsCluster::start(1, &ours);
    let (address, shown) = (cluster.nodes[0].http(), ours.certify());
    let old = || client_of(&[&TLS12], &[&ours], Some(&shown));
    let put = request(address, &Arc::new(old()), "PUT", "/key/a", b"1").unwrap();
    assert_eq!(put.status, 200, "{}", put.text());

    let mut connection = ClientConnection::new(Arc::new(old()), ServerName::from(address.ip())).unwrap();
    connection.complete_io(&mut TcpStream::connect(address).unwrap()).unwrap();
    assert_eq!(connection.protocol_version(), Some(ProtocolVersion::TLSv1_2));
    let suite = format!("{:?}", connection.negotiated_cipher_suite().unwrap().suite());
    let is_safe =
        suite.starts_with("TLS_ECDHE_") && (suite.contains("_GCM_") || suite.contains("_POLY1305_"));
    assert!(is_safe, "{suite}");

    let refused = refusal_of_peer(cluster.nodes[0].raft(), old());
    assert_eq!(refused, Some(rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)));
}

#[test]
fn a_peer_without_tls_is_not_let_in() {
    let ours = Authority::new("ours");
    let mut cluster = TlsCluster::start(1, &ours);
    let folder = cluster.folder.path().to_owned();
    let flags = give(&folder, "plain", &ours.certify(), &ours.pem);
    let mut flags: Vec<&str> = flags[..6].iter().map(String::as_str).collect();
    let ca = text(&folder.join("plain.ca"));
    flags.extend(["--tls-ca", &ca]);
    let mut plain = Node::new(PROGRAM, folder, "plain", &flags);
    let url = cluster.url(0);
    plain.start(&["--join", &url]);
    wait_until("the plain node to be told why", PATIENCE, || {
        let log = plain.process().stderr();
        (log.contains("does it speak TLS on that port?") && log.contains("the other side speaks TLS"))
            .then_some(())
    });
    assert_eq!(cluster.members().unwrap().len(), 1);

    // The other way round: what comes to the port is no TLS.
    let mut stream = TcpStream::connect(cluster.nodes[0].raft()).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 64]).unwrap_or(0), 0, "peers are told nothing in plain text");
    wait_until("the reason in the log", PATIENCE, || {
        cluster.nodes[0].process().stderr().contains("does not speak TLS").then_some(())
    });
}

fn command(cluster: &TlsCluster, arguments: &[&str]) -> Finished {
    let url = cluster.url(0);
    Program::new(PROGRAM, &[arguments, &["--endpoints", &url, "--timeout", "3s"]].concat()).run()
}

#[test]
fn the_command_line_speaks_tls_and_says_what_is_missing() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let cluster = TlsCluster::start(1, &ours);
    let folder = cluster.folder.path();
    let (certificate, key) = ours.certify().write(folder, "client");
    let (expired, expired_key) = ours.certify_expired().write(folder, "expired");
    std::fs::write(folder.join("foreign.ca"), &foreign.pem).unwrap();
    let ca = text(&folder.join("node-0.ca"));
    let foreign_ca = text(&folder.join("foreign.ca"));
    let [certificate, key, expired, expired_key] =
        [certificate, key, expired, expired_key].map(|path| text(&path));
    let shown = ["--cert", &certificate, "--key", &key];

    let put = command(&cluster, &[&["put", "a", "b", "--cacert", &ca][..], &shown].concat());
    assert_eq!(put.code, Some(0), "{}", put.stderr);
    let variables = [("QUORATE_CACERT", &ca), ("QUORATE_CERT", &certificate), ("QUORATE_KEY", &key)];
    let url = cluster.url(0);
    let get = Program::new(PROGRAM, &["get", "a", "--endpoints", &url]);
    let get = variables.iter().fold(get, |get, (name, value)| get.with_variable(name, value)).run();
    assert_eq!((get.code, get.stdout.as_str()), (Some(0), "b"), "{}", get.stderr);

    let refused: [(&[&str], i32, &str); 7] = [
        (&["--cacert", &ca], 5, "wants a certificate"),
        (&["--cacert", &ca, "--cert", &expired, "--key", &expired_key], 5, "has expired"),
        (&["--cacert", &foreign_ca, "--cert", &certificate, "--key", &key], 5, "no CA that is believed"),
        (&[], 5, "--cacert"),
        (&["--cacert", &ca, "--cert", &certificate], 2, "--key is not"),
        (&["--cacert", &key], 78, "holds no certificate"),
        (&["--cacert", &ca, "--cert", &certificate, "--key", &expired_key], 78, "not the key of"),
    ];
    for (flags, code, said) in refused {
        // A write: that it was refused proves that it was not done.
        let put = command(&cluster, &[&["put", "a", "c"][..], flags].concat());
        assert_eq!(put.code, Some(code), "{flags:?}: {}", put.stderr);
        assert!(put.stderr.contains(said), "{flags:?}: {}", put.stderr);
    }
    assert_eq!(cluster.get(0, "a"), "b");
}

/// Nothing was sent, and that is known.
#[test]
fn whoever_does_not_shake_hands_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &Authority::new("ours").pem).unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let put = ["put", "a", "b", "--endpoints", &url, "--cacert", &text(&ca), "--timeout", "1s"];
    let put = Program::new(PROGRAM, &put).run();
    assert_eq!(put.code, Some(5), "{}", put.stderr);
    assert!(put.stderr.contains("the TLS handshake took too long"), "{}", put.stderr);
}

/// A node that answers and can't be asked may be one of a quorum.
#[test]
fn lost_quorum_is_not_believed_while_somebody_answers_by_tls() {
    let ours = Authority::new("ours");
    let mut cluster = TlsCluster::start(3, &ours);
    let status = cluster.ask(0, "GET", "/raft/status", b"").unwrap().json();
    let id = status["cluster"].as_str().unwrap();
    cluster.nodes[0].kill();
    let dir = text(&cluster.nodes[0].data_dir());
    let (certificate, key) = ours.certify().write(cluster.folder.path(), "operator");
    let [ca, certificate, key] =
        [&cluster.folder.path().join("node-0.ca"), &certificate, &key].map(|path| text(path));
    let apply = ["recover", "apply", &dir, "--confirm", id];
    let typo = text(&cluster.folder.path().join("typo"));
    let wrong = Program::new(PROGRAM, &[&apply[..], &["--cacert", &typo]].concat()).run();
    assert_eq!(wrong.code, Some(78), "flags that can't be used prove nothing: {}", wrong.stderr);
    for (flags, said) in [
        (&[][..], "can't be asked: "),
        (&["--cacert", &ca], "wants a certificate"),
        (&["--cacert", &ca, "--cert", &certificate, "--key", &key], "the cluster may still have a quorum"),
    ] {
        let refused = Program::new(PROGRAM, &[&apply[..], flags].concat()).run();
        assert_eq!(refused.code, Some(4), "{flags:?}: {}", refused.stderr);
        assert!(refused.stderr.contains(said), "{flags:?}: {}", refused.stderr);
    }
}

/// In three steps, as the documents say: the nodes believe both CAs, then they show the new one's certificates, then
/// they believe it alone.
#[test]
fn a_ca_is_changed_while_the_cluster_works() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut cluster = TlsCluster::start(3, &old);
    let both = client(&[&old, &new], Some(&old.certify()));
    let new_client = client(&[&new], Some(&new.certify()));
    cluster.tls = Arc::clone(&both);
    let addresses: Vec<SocketAddr> = cluster.nodes.iter().map(Node::http).collect();
    let (over, written) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let writer_tls = client(&[&old, &new], Some(&old.certify()));
        let (over, written, addresses) = (&over, &written, &addresses);
        scope.spawn(move || {
            for &address in addresses.iter().cycle() {
                let number = written.load(Ordering::Relaxed);
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let body = number.to_string();
                let answer = request(address, &writer_tls, "PUT", "/key/n?timeout=5s", body.as_bytes());
                assert_eq!(answer.unwrap().status, 200, "write {number} by {address}");
                written.store(number + 1, Ordering::Relaxed);
            }
        });
        let end = EndAtDrop(over);
        let go_on = || {
            let before = written.load(Ordering::Relaxed);
            let moved = || (written.load(Ordering::Relaxed) > before + 6).then_some(());
            wait_until("writes to go on", PATIENCE, moved);
        };
        let bundle = format!("{}{}", old.pem, new.pem);
        give_all(&cluster, &bundle, None);
        cluster.reload(RELOADED);
        go_on();
        give_all(&cluster, &bundle, Some(&new));
        cluster.reload(RELOADED);
        go_on();
        drop(end);
    });
    give_all(&cluster, &new.pem, None);
    cluster.reload(RELOADED);
    cluster.tls = new_client;
    let last = written.load(Ordering::Relaxed) - 1;
    assert_eq!(cluster.get(0, "n"), last.to_string());
    let refused = refusal(addresses[0], &both);
    assert_eq!(refused, rustls::Error::AlertReceived(AlertDescription::UnknownCA));

    // All links are made anew with what is in force now.
    let leader = cluster.leader();
    cluster.nodes[leader].kill();
    cluster.put((leader + 1) % 3, "n", "under the new CA");
    cluster.nodes[leader].start(&[]);
    assert_eq!(cluster.get(leader, "n"), "under the new CA");
}

/// Ends the writer also when the test fails.
struct EndAtDrop<'a>(&'a AtomicBool);

impl Drop for EndAtDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Writes each node's CA file, and its certificate when there is somebody to issue it.
fn give_all(cluster: &TlsCluster, authorities: &str, issuer: Option<&Authority>) {
    let folder = cluster.folder.path();
    for number in 0..cluster.nodes.len() {
        std::fs::write(folder.join(format!("node-{number}.ca")), authorities).unwrap();
        if let Some(issuer) = issuer {
            issuer.certify().write(folder, &format!("node-{number}"));
        }
    }
}

/// Node by node, while links between peers stay plain.
#[test]
fn a_plain_cluster_becomes_one_of_https() {
    let ours = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &ours.pem).unwrap();
    let ca = text(&ca);
    let mut plain = Cluster::start_with(PROGRAM, 3, &["--tls-ca", &ca]);
    let tls = client(&[&ours], None);
    for number in 0..3 {
        let (certificate, key) = ours.certify().write(folder.path(), &format!("node-{number}"));
        assert_eq!(plain.nodes[number].stop(), Some(0));
        plain.nodes[number].start(&["--tls-cert", &text(&certificate), "--tls-key", &text(&key)]);
        let address = plain.nodes[number].http();
        wait_until(&format!("node {number} to write by HTTPS"), PATIENCE, || {
            let put = request(address, &tls, "PUT", &format!("/key/{number}"), b"written").ok()?;
            (put.status == 200).then_some(())
        });
        // Those who are plain still, and those who are not any more, pass on to each other.
        for other in number + 1..3 {
            let put = plain.nodes[other].client().must("PUT", &format!("/key/{number}-{other}"), b"written");
            assert_eq!(put.status, 200, "by node {other}: {}", put.text());
        }
        wait_until("the new URL to be known", PATIENCE, || {
            let members = request(address, &tls, "GET", "/raft/members", b"").ok()?.text();
            members.contains(&format!("https://{address}")).then_some(())
        });
    }

    // From now on all can show one, so it may be asked for.
    let known = client(&[&ours], Some(&ours.certify()));
    for number in 0..3 {
        assert_eq!(plain.nodes[number].stop(), Some(0));
        let [certificate, key] =
            ["pem", "key"].map(|end| text(&folder.path().join(format!("node-{number}.{end}"))));
        let flags = ["--tls-cert", &certificate, "--tls-key", &key, "--tls-client-ca", &ca];
        plain.nodes[number].start(&flags);
        for at in 0..3 {
            let address = plain.nodes[at].http();
            wait_until(&format!("node {at} to write, {number} the last to have changed"), PATIENCE, || {
                let put = request(address, &known, "PUT", &format!("/key/{number}-{at}"), b"again").ok()?;
                (put.status == 200).then_some(())
            });
        }
        let refused = refusal(plain.nodes[number].http(), &tls);
        assert_eq!(refused, rustls::Error::AlertReceived(AlertDescription::CertificateRequired));
    }
}

/// A node that missed how the others changed to HTTPS holds URLs by which nobody can be asked any more.
#[test]
fn an_old_url_does_not_make_a_live_quorum_look_lost() {
    let ours = Authority::new("ours");
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &ours.pem).unwrap();
    let mut plain = Cluster::start_with(PROGRAM, 3, &["--tls-ca", &text(&ca)]);
    let status = plain.nodes[0].client().must("GET", "/raft/status", b"").json();
    let id = status["cluster"].as_str().unwrap();
    plain.nodes[0].kill();
    let tls = client(&[&ours], None);
    for number in 1..3 {
        let (certificate, key) = ours.certify().write(folder.path(), &format!("node-{number}"));
        assert_eq!(plain.nodes[number].stop(), Some(0));
        plain.nodes[number].start(&["--tls-cert", &text(&certificate), "--tls-key", &text(&key)]);
    }
    let address = plain.nodes[2].http();
    wait_until("two of three to write by HTTPS", PATIENCE, || {
        let put = request(address, &tls, "PUT", "/key/a", b"written").ok()?;
        (put.status == 200).then_some(())
    });
    let dir = text(&plain.nodes[0].data_dir());
    let refused = Program::new(PROGRAM, &["recover", "apply", &dir, "--confirm", id]).run();
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains("can't be asked"), "{}", refused.stderr);
}

#[test]
fn a_bad_new_file_is_logged_and_the_old_one_stays() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let mut cluster = TlsCluster::start(1, &ours);
    let folder = cluster.folder.path().to_owned();
    let torn = Certified { key: "-----BEGIN PRIVATE KEY-----\nMIG".to_owned(), ..ours.certify() };
    let half = Certified { key: ours.certify().key, ..ours.certify() };
    for (bad, reason) in [
        (torn, "PEM"),
        (half, "not the key of"),
        (ours.certify_expired(), "expired"),
        (ours.certify_as("elsewhere.example"), "does not name 127.0.0.1"),
        (foreign.certify(), "no CA that is believed"),
    ] {
        bad.write(&folder, "node-0");
        cluster.reload(NOT_RELOADED);
        let log = cluster.nodes[0].process().stderr();
        let line = log.lines().rfind(|line| line.contains(NOT_RELOADED)).unwrap_or_default();
        assert!(line.contains(reason), "{reason} is not in {line}");
        cluster.put(0, "a", reason);
    }
    ours.certify().write(&folder, "node-0");
    cluster.reload(RELOADED);
    cluster.put(0, "a", "good again");
}
