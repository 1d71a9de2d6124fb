//! The bytes that other releases wrote, and will read.
//!
//! Every file in `golden/` holds one value as bytes. Each test value must encode to exactly these bytes, and
//! the bytes must decode to the value. A difference means that nodes of two releases no longer understand
//! each other, or that a node can't read its own log: that takes a new format version, never a new golden
//! file. Only for a format that was never released, write the files anew with `QUORATE_BLESS=1 cargo test -p
//! quorate-wire --test golden`, and review the difference byte by byte.
#![allow(missing_docs, clippy::unwrap_used)]

use std::fmt::Write;
use std::path::PathBuf;

use quorate_kv::{
    Action, Boundary, ClusterTime, Command, Compare, Expiry, Kv, LeaseId, Manifest, Once, Op, Operand, Order,
    Put, Relation, Restore, Revision, RunRef, Settings, Txn,
};
use quorate_raft::{
    Chunk, Contact, Digest, Entry, Envelope, HardState, Held, Index, JoinToken, Learner, LogId, Members,
    Message, NodeId, Payload, Report, SnapshotMeta, Term, TokenHash,
};
use quorate_wire::entry::{decode_payload, encode_command, encode_entry};
use quorate_wire::frame::{encode_envelope, encode_frame};
use quorate_wire::{
    Answer, ClusterId, Encoded, FrameDecoder, FrameKind, Hello, HistoryId, Purpose, Verdict, codec,
};

const ALICE: NodeId = NodeId(0xA11C_E000_0000_0000_0000_0000_0000_0001);
const BOB: NodeId = NodeId(0xB0B0_0000_0000_0000_0000_0000_0000_0002);
const CAROL: NodeId = NodeId(0xCA01_0000_0000_0000_0000_0000_0000_0003);

/// Compares with the golden file, and returns the bytes that the file holds.
#[expect(clippy::disallowed_methods, reason = "the switch of a test, not a setting of the engine")]
fn golden(name: &str, what: &str, bytes: &[u8]) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.hex"));
    let text = hex(what, bytes);
    if std::env::var("QUORATE_BLESS").is_ok_and(|bless| bless == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(known, text, "{name}: the format has changed; see the top of this test");
    unhex(&known)
}

/// Sixteen bytes a line, their offset before, and their text behind.
fn hex(what: &str, bytes: &[u8]) -> String {
    let mut text = format!("# {what}\n");
    for (number, line) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let readable = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
        let readable: String = line.iter().map(readable).collect();
        writeln!(text, "{:04x}: {:47} # {readable}", number * 16, digits.join(" ")).unwrap();
    }
    text
}

fn unhex(text: &str) -> Vec<u8> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let digits = lines.map(|line| line.split_once(": ").unwrap().1.split_once(" # ").unwrap().0);
    let digits = digits.flat_map(str::split_whitespace);
    digits.map(|digits| u8::from_str_radix(digits, 16).unwrap()).collect()
}

fn golden_value<T: Encoded + PartialEq + std::fmt::Debug>(name: &str, value: &T) {
    let bytes = golden(name, &format!("{value:?}"), &codec::encode(value));
    assert_eq!(codec::decode::<T>(&bytes).as_ref(), Ok(value), "{name}");
}

fn members() -> Members {
    let contact = |number: u16| Contact {
        address: format!("127.0.0.1:{}", 9080 + number),
        url: format!("http://127.0.0.1:{}", 8080 + number),
        name: if number == 0 { "alice".into() } else { String::new() },
    };
    Members {
        voters: [ALICE, BOB].into(),
        outgoing: [ALICE].into(),
        learners: [(CAROL, Learner::Joining)].into(),
        contacts: [(ALICE, contact(0)), (BOB, contact(1)), (CAROL, contact(2))].into(),
        tokens: [].into(),
    }
}

/// One that nobody has used, and one that has let Carol in.
fn members_with_tokens() -> Members {
    let token = |ends_ms, spent_by| JoinToken { ends_ms, spent_by };
    let tokens =
        [(TokenHash([0x10; 32]), token(1_000, None)), (TokenHash([0x20; 32]), token(2_000, Some(CAROL)))];
    Members { tokens: tokens.into(), ..members() }
}

fn meta() -> SnapshotMeta {
    SnapshotMeta {
        last: LogId::new(3, 1000),
        members: members(),
        members_at: LogId::new(2, 900),
        bytes: 65_536,
        digest: Digest([0xD1; 32]),
        state_hash: 0x5A5A_0002,
    }
}

fn put() -> Command {
    Command::Put { key: b"key".as_slice().into(), value: b"value".as_slice().into() }
}

fn entries() -> Vec<Entry> {
    let command = encode_command(&put()).unwrap().into();
    let payloads = [Payload::Noop, Payload::Command(command), Payload::Members(Box::new(members()))];
    (1..).zip(payloads).map(|(index, payload)| Entry { id: LogId::new(2, index), payload }).collect()
}

/// The golden file of each message. Whoever adds a message is sent here by the compiler.
fn name(message: &Message) -> &'static str {
    match message {
        Message::PreVote { .. } => "message_pre_vote",
        Message::PreVoteReply { .. } => "message_pre_vote_reply",
        Message::Vote { .. } => "message_vote",
        Message::VoteReply { .. } => "message_vote_reply",
        Message::Append { .. } => "message_append",
        Message::Appended { .. } => "message_appended",
        Message::Conflict { .. } => "message_conflict",
        Message::Heartbeat { .. } => "message_heartbeat",
        Message::HeartbeatReply { .. } => "message_heartbeat_reply",
        Message::ReadIndex { .. } => "message_read_index",
        Message::ReadIndexReply { .. } => "message_read_index_reply",
        Message::Snapshot { .. } => "message_snapshot",
        Message::SnapshotReply { .. } => "message_snapshot_reply",
        Message::Ask { .. } => "message_ask",
        Message::Tell { .. } => "message_tell",
        Message::TimeoutNow => "message_timeout_now",
    }
}

const MESSAGE_KINDS: usize = 16;

fn messages() -> Vec<Message> {
    let chunk = Chunk { offset: 65_536, data: b"the last bytes".as_slice().into(), done: true };
    vec![
        Message::PreVote { last: LogId::new(1, 2) },
        Message::PreVoteReply { granted: true },
        Message::Vote { last: LogId::new(1, 2), transfer: true },
        Message::VoteReply { granted: false },
        Message::Append { prev: LogId::new(1, 2), entries: entries(), commit: Index(1) },
        Message::Appended { matched: Index(5) },
        Message::Conflict { prev: LogId::new(4, 9), hint: LogId::new(3, 7) },
        Message::Heartbeat { round: 17, commit: Index(5) },
        Message::HeartbeatReply { round: 17, matched: Index(4), verified: Index(6), full: true },
        Message::ReadIndex { batch: 3, lease: true },
        Message::ReadIndexReply { batch: 3, index: Index(5) },
        Message::Snapshot { meta: Box::new(meta()), chunk },
        Message::SnapshotReply { last: LogId::new(3, 1000), next: 131_072 },
        Message::Ask {
            nonce: 99,
            first: Index(4),
            last: Index(6),
            sound: Index(3),
            doubt: Some(LogId::new(2, 5)),
        },
        Message::Tell {
            nonce: 99,
            entries: entries(),
            leads_to: Some(LogId::new(3, 1001)),
            committed: LogId::new(3, 1000),
            report: Some(Report { slot: LogId::new(2, 5), held: Held::Never, bound: true }),
        },
        Message::TimeoutNow,
    ]
}

fn envelope(message: Message) -> Envelope {
    Envelope { from: ALICE, to: BOB, term: Term(3), message }
}

#[test]
fn messages_of_every_kind() {
    let mut names = std::collections::BTreeSet::new();
    for message in messages() {
        let name = name(&message);
        golden_value(name, &envelope(message));
        names.insert(name);
    }
    assert_eq!(names.len(), MESSAGE_KINDS, "one sample of each kind: {names:?}");
}

#[test]
fn commands() {
    let entries = vec![(b"a".as_slice().into(), b"1".as_slice().into()), (b"b".as_slice().into(), [].into())];
    golden_value("command_put", &put());
    golden_value("command_delete", &Command::Delete { key: b"key".as_slice().into() });
    golden_value("command_import", &Command::Import { entries });
}

fn actions() -> Vec<(&'static str, Action)> {
    let bytes = |text: &str| std::sync::Arc::<[u8]>::from(text.as_bytes());
    let (key, lease) = (bytes("key"), LeaseId(0x1EA5E));
    let compare = |relation, operand| Compare { key: bytes("key"), relation, operand };
    let operands = vec![
        compare(Relation::Equal, Operand::Value(bytes("value"))),
        compare(Relation::NotEqual, Operand::Version(3)),
        compare(Relation::Less, Operand::CreateRevision(Revision(4))),
        compare(Relation::Greater, Operand::ModRevision(Revision(5))),
        compare(Relation::Equal, Operand::ModRevisionIn(vec![Revision(6), Revision(7)])),
        compare(Relation::Equal, Operand::Holder(bytes("me"))),
    ];
    let with_lease = Put { key: key.clone(), value: bytes("value"), expiry: Expiry::With(lease) };
    let failure = vec![
        Op::Get { key: key.clone() },
        Op::Delete { key: key.clone() },
        Op::Holder { name: bytes("lock") },
    ];
    let with_ttl = Put { key: key.clone(), value: bytes("value"), expiry: Expiry::After { ttl_ms: 30_000 } };
    let name = bytes("lock");
    vec![
        ("tick", Action::Tick),
        ("put", Action::Put(with_ttl)),
        ("delete", Action::Delete { key: key.clone() }),
        ("txn", Action::Txn(Txn { compare: operands, success: vec![Op::Put(with_lease)], failure })),
        ("import", Action::Import { entries: vec![(key, bytes("value"))] }),
        ("grant", Action::Grant { lease, ttl_ms: 30_000 }),
        ("keep_alive", Action::KeepAlive { lease }),
        ("revoke", Action::Revoke { lease }),
        ("configure", Action::Configure(Settings::default())),
        ("lock", Action::Lock { name: name.clone(), holder: bytes("me"), info: bytes("{}") }),
        ("unlock", Action::Unlock { name, holder: Some(bytes("me")) }),
    ]
}

#[test]
fn orders() {
    for (name, action) in actions() {
        let once =
            Once { principal: b"".as_slice().into(), key: b"once".as_slice().into(), request: [7; 32] };
        let once = (name == "put").then_some(once);
        let order = Order { time: ClusterTime(1_234), once, forgets_past: name == "tick", action };
        golden_value(&format!("order_{name}"), &Command::Order(order));
    }
}

#[test]
fn payloads_of_every_kind() {
    for (name, entry) in ["entry_noop", "entry_command", "entry_members"].into_iter().zip(entries()) {
        let bytes = golden(name, &format!("{:?}", entry.payload), &encode_entry(&entry));
        assert_eq!(decode_payload(&bytes), Ok(entry.payload), "{name}");
    }
}

/// Without join tokens a configuration is what it was before there were any; with some it is another one, which an
/// older release refuses.
#[test]
fn a_configuration_with_join_tokens() {
    golden_value("members_with_tokens", &members_with_tokens());
    let meta = SnapshotMeta { members: members_with_tokens(), ..meta() };
    golden_value("snapshot_meta_with_tokens", &meta);
    let plain = codec::encode(&members());
    let with = codec::encode(&members_with_tokens());
    assert_eq!(with[..8], [0xff; 8]);
    assert_eq!(with[8..8 + plain.len()], plain);
    for length in 0..with.len() {
        assert!(codec::decode::<Members>(&with[..length]).is_err(), "{length} bytes");
    }
    let without_any = [&[0xff; 8], &*plain, &[0; 8]].concat();
    assert!(codec::decode::<Members>(&without_any).is_err(), "tokens are announced, and there are none");
}

#[test]
fn what_storage_keeps() {
    golden_value("hard_state", &HardState { term: Term(3), vote: Some(BOB) });
    golden_value("snapshot_meta", &meta());
}

#[test]
fn the_handshake() {
    let (cluster, history) = (ClusterId(0xC1), HistoryId(0xD1));
    let hello = Hello { purpose: Purpose::Probe, cluster, history, from: ALICE, to: CAROL };
    let bytes = golden("hello", &format!("{hello:?}"), &hello.encode());
    assert_eq!(Hello::decode(&bytes), Ok(hello));
    let (cluster, history) = (Some(ClusterId(0xC2)), Some(HistoryId(0xD2)));
    let answer = Answer { verdict: Verdict::Cluster, cluster, history, node: CAROL };
    let bytes = golden("answer", &format!("{answer:?}"), &answer.encode());
    assert_eq!(Answer::decode(&bytes), Ok(answer));
}

#[test]
fn frames() {
    let vote = envelope(Message::Vote { last: LogId::new(1, 2), transfer: true });
    let mut bytes = Vec::new();
    encode_frame(FrameKind::Hello, b"payload", &mut bytes);
    encode_envelope(&vote, &mut bytes);
    let bytes = golden("frames", "two frames: a hello with the payload \"payload\", and an envelope", &bytes);
    let mut decoder = FrameDecoder::new();
    decoder.push(&bytes);
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!((frame.kind, frame.payload), (FrameKind::Hello, b"payload".as_slice()));
    let frame = decoder.next_frame().unwrap().unwrap();
    assert_eq!((frame.kind, codec::decode(frame.payload)), (FrameKind::Envelope, Ok(vote)));
    assert_eq!(decoder.next_frame(), Ok(None));
}

#[test]
fn a_checkpoint_of_the_store() {
    let mut kv = Kv::new();
    kv.apply(&put());
    kv.apply(&Command::Put { key: b"other".as_slice().into(), value: [].into() });
    let first: Vec<u8> = kv.seal().rows.flatten().collect();
    kv.apply(&put());
    kv.apply(&Command::Delete { key: b"other".as_slice().into() });
    let tail: Vec<u8> = kv.tail().rows.flatten().collect();
    let name = |digest, run: &Vec<u8>| RunRef { digest: [digest; 32], bytes: run.len() as u64 };
    let manifest = Manifest {
        totals: kv.totals(),
        boundary: Boundary { term: 2, index: 1000, command_bytes: 77 },
        has_tail: true,
        runs: vec![name(0xA1, &first), name(0xB2, &tail)],
    };
    let content = [manifest.encode(), first, tail].concat();
    let bytes =
        golden("kv_checkpoint_2", "a store with one key at revision 4: manifest, run and tail", &content);
    let mut restore = Restore::new();
    restore.feed(&bytes).unwrap();
    assert_eq!(restore.finish().unwrap().kv, kv);
}

/// Version 1 had no past.
#[test]
fn a_checkpoint_of_version_1_is_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/kv_checkpoint.hex");
    let mut restore = Restore::new();
    restore.feed(&unhex(&std::fs::read_to_string(path).unwrap())).unwrap();
    let kv = restore.finish().unwrap().kv;
    assert_eq!((kv.revision(), kv.len(), kv.oldest_revision()), (Revision(4), 1, Revision(4)));
    assert_eq!(kv.get(b"key").map(|entry| entry.mod_revision), Some(Revision(3)));
}
