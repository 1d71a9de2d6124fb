//! What arrives on the raft port and is no peer's: each is refused, and the cluster serves on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use quorate_sim::random::Random;
use quorate_sim::trials::scaled;
use quorate_tests::cluster::Cluster;
use quorate_wire::frame::encode_frame;
use quorate_wire::{Answer, ClusterId, FrameDecoder, FrameKind, Hello, HistoryId, Purpose, Verdict};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// A node that is asked, and what a true peer of it would say.
struct Target<'c> {
    cluster: &'c Cluster,
    node: usize,
    hello: Hello,
}

impl<'c> Target<'c> {
    fn new(cluster: &'c Cluster, node: usize) -> Self {
        let id = |number: usize| {
            let status = cluster.nodes[number].status().unwrap();
            status["id"].as_str().unwrap().parse().unwrap()
        };
        let status = cluster.nodes[node].status().unwrap();
        let own_cluster: ClusterId = status["cluster"].as_str().unwrap().parse().unwrap();
        let history: HistoryId = status["history"].as_str().unwrap().parse().unwrap();
        let other = (node + 1) % cluster.nodes.len();
        let purpose = Purpose::Peer;
        let hello = Hello { purpose, cluster: own_cluster, history, from: id(other), to: id(node) };
        Self { cluster, node, hello }
    }

    /// Sends bytes, closes the sending half, and returns all that comes back.
    fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let mut stream = TcpStream::connect(self.cluster.nodes[self.node].raft()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // The node may close as soon as it has seen enough: then the rest can't be sent, and need not.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        answer
    }

    /// What the node answers to a handshake.
    fn verdict(&self, hello: &[u8]) -> Option<Verdict> {
        let answer = self.send(&frame(FrameKind::Hello, hello));
        let mut decoder = FrameDecoder::with_limit(1 << 10);
        decoder.push(&answer);
        let frame = decoder.next_frame().unwrap()?;
        assert_eq!(frame.kind, FrameKind::Answer);
        Some(Answer::decode(frame.payload).unwrap().verdict)
    }

    #[track_caller]
    fn still_serves(&self, after: &str) {
        let mut client = self.cluster.nodes[self.node].client();
        assert_eq!(client.get("/key/kept").text(), "value", "after {after}");
        assert_eq!(client.post("/key/after", after.as_bytes()).status, 200, "after {after}");
        assert_eq!(client.get("/key/after").text(), after);
    }
}

fn frame(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_frame(kind, payload, &mut bytes);
    bytes
}

fn cluster() -> Cluster {
    let cluster = Cluster::start(QUORATE, 3);
    assert_eq!(cluster.nodes[0].client().post("/key/kept", b"value").status, 200);
    cluster
}

#[test]
fn a_handshake_for_another_cluster_history_node_or_version_is_refused_by_name() {
    let cluster = cluster();
    let target = Target::new(&cluster, cluster.follower());
    let hello = target.hello;
    assert_eq!(target.verdict(&hello.encode()), Some(Verdict::Accepted), "the rest would prove nothing");

    let other_cluster = Hello { cluster: ClusterId(hello.cluster.0 ^ 1), ..hello };
    assert_eq!(target.verdict(&other_cluster.encode()), Some(Verdict::Cluster));
    let other_history = Hello { history: HistoryId(hello.history.0 ^ 1), ..hello };
    assert_eq!(target.verdict(&other_history.encode()), Some(Verdict::History));
    let other_node = Hello { to: hello.from, from: hello.to, ..hello };
    assert_eq!(target.verdict(&other_node.encode()), Some(Verdict::Node));
    let itself = Hello { from: hello.to, ..hello };
    assert_eq!(target.verdict(&itself.encode()), Some(Verdict::Dialer));
    let mut newer = hello.encode().to_vec();
    newer[0] = 0xee;
    assert_eq!(target.verdict(&newer), Some(Verdict::Version));
    let whole = hello.encode();
    assert_eq!(target.verdict(&whole[..whole.len() - 1]), Some(Verdict::Malformed));
    target.still_serves("bad handshakes");
}

#[test]
fn bytes_that_are_no_frames_close_the_connection() {
    let cluster = cluster();
    let target = Target::new(&cluster, cluster.leader());
    let good = frame(FrameKind::Hello, &target.hello.encode());
    let with_byte = |position: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[position] ^= value;
        bytes
    };
    let envelope = |payload: &[u8]| [good.clone(), frame(FrameKind::Envelope, payload)].concat();
    let cases = [
        ("nothing", Vec::new()),
        ("HTTP", b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
        ("half a header", good[..7].to_vec()),
        ("half a payload", good[..good.len() - 3].to_vec()),
        ("a wrong magic", with_byte(0, 0xff)),
        ("a wrong frame version", with_byte(2, 0xff)),
        ("an unknown kind", with_byte(3, 0xff)),
        ("a wrong length", with_byte(5, 0xff)),
        ("a damaged payload", with_byte(good.len() - 1, 1)),
        ("an envelope before the handshake", frame(FrameKind::Envelope, b"x")),
        ("an answer in place of a hello", frame(FrameKind::Answer, b"x")),
        ("two handshakes", [good.clone(), good.clone()].concat()),
        ("an empty envelope", envelope(b"")),
        ("an envelope of garbage", envelope(&[0xff; 100])),
        ("an envelope of zeros", envelope(&[0; 10_000])),
        ("a truncated envelope", envelope(&[1; 50])[..good.len() + 30].to_vec()),
    ];
    for (what, bytes) in cases {
        target.send(&bytes);
        target.still_serves(what);
    }
}

#[test]
fn random_bytes_hurt_nobody() {
    let cluster = cluster();
    let target = Target::new(&cluster, cluster.leader());
    let good = frame(FrameKind::Hello, &target.hello.encode());
    let mut random = Random::new(4);
    for trial in 0..scaled(200) {
        let noise: Vec<u8> =
            (0..random.below(300)).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        // Half of them get past the handshake first.
        let bytes = if trial % 2 == 0 { [good.clone(), noise].concat() } else { noise };
        target.send(&bytes);
    }
    target.still_serves("random bytes");
    let leader = cluster.leader();
    assert!(cluster.nodes[leader].status().is_some());
}
