//! Properties of everything that is decoded: what was written comes back, and what was not is refused.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use quorate_kv::{
    Action, ClusterTime, Command, Compare, Expiry, LeaseId, Once, Op, Operand, Order, Put, Relation, Txn,
};
use quorate_raft::{
    Chunk, Contact, Digest, Entry, Envelope, HardState, Held, Index, JoinToken, Learner, LogId, Members,
    Message, NodeId, Payload, Report, SnapshotMeta, Term, TokenHash,
};
use quorate_wire::entry::{decode_command, decode_payload, encode_command, encode_entry};
use quorate_wire::frame::{encode_envelope, encode_frame};
use quorate_wire::{Answer, ClusterId, FrameDecoder, FrameKind, Hello, HistoryId, Purpose, Verdict, codec};

/// A fixed sample by default; `QUORATE_TRIALS` multiplies it.
#[expect(clippy::disallowed_methods, reason = "the size of a campaign, not a setting of the engine")]
fn cases(count: u32) -> ProptestConfig {
    let factor = std::env::var("QUORATE_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(count * factor) }
}

fn bytes() -> impl Strategy<Value = Arc<[u8]>> {
    vec(any::<u8>(), 0..60).prop_map(Arc::from)
}

fn node() -> impl Strategy<Value = NodeId> {
    any::<u128>().prop_map(NodeId)
}

fn log_id() -> impl Strategy<Value = LogId> {
    any::<(u64, u64)>().prop_map(|(term, index)| LogId::new(term, index))
}

fn index() -> impl Strategy<Value = Index> {
    any::<u64>().prop_map(Index)
}

fn contact() -> impl Strategy<Value = Contact> {
    (".{0,8}", ".{0,8}", ".{0,8}").prop_map(|(address, url, name)| Contact { address, url, name })
}

fn learner() -> impl Strategy<Value = Learner> {
    prop_oneof![Just(Learner::Joining), Just(Learner::Standing)]
}

// The codec carries what the core would refuse, so the invariants of a configuration aren't kept here.
fn members() -> impl Strategy<Value = Members> {
    (
        btree_set(node(), 0..4),
        btree_set(node(), 0..4),
        btree_map(node(), learner(), 0..4),
        btree_map(node(), contact(), 0..4),
        btree_map(any::<[u8; 32]>().prop_map(TokenHash), token(), 0..3),
    )
        .prop_map(|(voters, outgoing, learners, contacts, tokens)| Members {
            voters,
            outgoing,
            learners,
            contacts,
            tokens,
        })
}

fn token() -> impl Strategy<Value = JoinToken> {
    (any::<u64>(), proptest::option::of(node()))
        .prop_map(|(ends_ms, spent_by)| JoinToken { ends_ms, spent_by })
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        Just(Payload::Noop),
        bytes().prop_map(Payload::Command),
        members().prop_map(|members| Payload::Members(members.into()))
    ]
}

fn entry() -> impl Strategy<Value = Entry> {
    (log_id(), payload()).prop_map(|(id, payload)| Entry { id, payload })
}

fn meta() -> impl Strategy<Value = SnapshotMeta> {
    (log_id(), members(), log_id(), any::<u64>(), any::<[u8; 32]>(), any::<u64>()).prop_map(
        |(last, members, members_at, bytes, digest, state_hash)| SnapshotMeta {
            last,
            members,
            members_at,
            bytes,
            digest: Digest(digest),
            state_hash,
        },
    )
}

fn chunk() -> impl Strategy<Value = Chunk> {
    (any::<u64>(), bytes(), any::<bool>()).prop_map(|(offset, data, done)| Chunk { offset, data, done })
}

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        log_id().prop_map(|last| Message::PreVote { last }),
        any::<bool>().prop_map(|granted| Message::PreVoteReply { granted }),
        (log_id(), any::<bool>()).prop_map(|(last, transfer)| Message::Vote { last, transfer }),
        Just(Message::TimeoutNow),
        any::<bool>().prop_map(|granted| Message::VoteReply { granted }),
        (log_id(), vec(entry(), 0..4), index()).prop_map(|(prev, entries, commit)| Message::Append {
            prev,
            entries,
            commit
        }),
        index().prop_map(|matched| Message::Appended { matched }),
        (log_id(), log_id()).prop_map(|(prev, hint)| Message::Conflict { prev, hint }),
        (any::<u64>(), index()).prop_map(|(round, commit)| Message::Heartbeat { round, commit }),
        (any::<u64>(), index(), index(), any::<bool>()).prop_map(|(round, matched, verified, full)| {
            Message::HeartbeatReply { round, matched, verified, full }
        }),
        (any::<u64>(), any::<bool>()).prop_map(|(batch, lease)| Message::ReadIndex { batch, lease }),
        (any::<u64>(), index()).prop_map(|(batch, index)| Message::ReadIndexReply { batch, index }),
        (meta(), chunk()).prop_map(|(meta, chunk)| Message::Snapshot { meta: Box::new(meta), chunk }),
        (log_id(), any::<u64>()).prop_map(|(last, next)| Message::SnapshotReply { last, next }),
        (any::<u64>(), index(), index(), index(), proptest::option::of(log_id()))
            .prop_map(|(nonce, first, last, sound, doubt)| Message::Ask { nonce, first, last, sound, doubt }),
        (
            any::<u64>(),
            vec(entry(), 0..4),
            proptest::option::of(log_id()),
            log_id(),
            proptest::option::of(report())
        )
            .prop_map(|(nonce, entries, leads_to, committed, report)| Message::Tell {
                nonce,
                entries,
                leads_to,
                committed,
                report
            }),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    let held = proptest::sample::select(vec![
        Held::Intact,
        Held::Damaged,
        Held::Never,
        Held::InSnapshot,
        Held::Unknown,
    ]);
    (log_id(), held, any::<bool>()).prop_map(|(slot, held, bound)| Report { slot, held, bound })
}

fn envelope() -> impl Strategy<Value = Envelope> {
    (node(), node(), any::<u64>(), message()).prop_map(|(from, to, term, message)| Envelope {
        from,
        to,
        term: Term(term),
        message,
    })
}

fn op() -> impl Strategy<Value = Op> {
    let expiry = prop_oneof![
        Just(Expiry::Never),
        any::<u64>().prop_map(|ttl_ms| Expiry::After { ttl_ms }),
        any::<u64>().prop_map(|lease| Expiry::With(LeaseId(lease))),
    ];
    prop_oneof![
        (bytes(), bytes(), expiry).prop_map(|(key, value, expiry)| Op::Put(Put { key, value, expiry })),
        bytes().prop_map(|key| Op::Get { key }),
        bytes().prop_map(|key| Op::Delete { key }),
        bytes().prop_map(|name| Op::Holder { name }),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    let compare = (bytes(), any::<u64>()).prop_map(|(key, version)| Compare {
        key,
        relation: Relation::Less,
        operand: Operand::Version(version),
    });
    let txn = (vec(compare, 0..3), vec(op(), 0..4), vec(op(), 0..4))
        .prop_map(|(compare, success, failure)| Action::Txn(Txn { compare, success, failure }));
    let action = prop_oneof![
        txn,
        (bytes(), proptest::option::of(bytes())).prop_map(|(name, holder)| Action::Unlock { name, holder }),
        Just(Action::Tick),
    ];
    let once = (bytes(), bytes(), any::<[u8; 32]>()).prop_map(|(principal, key, request)| Once {
        principal,
        key,
        request,
    });
    (any::<u64>(), proptest::option::of(once), action).prop_map(|(time, once, action)| Order {
        time: ClusterTime(time),
        once,
        forgets_past: false,
        action,
    })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        (bytes(), bytes()).prop_map(|(key, value)| Command::Put { key, value }),
        bytes().prop_map(|key| Command::Delete { key }),
        vec((bytes(), bytes()), 0..5).prop_map(|entries| Command::Import { entries }),
        order().prop_map(Command::Order),
    ]
}

fn hello() -> impl Strategy<Value = Hello> {
    let purpose = prop_oneof![Just(Purpose::Peer), Just(Purpose::Probe)];
    let ids = (any::<u128>(), any::<u128>());
    (purpose, ids, node(), node()).prop_map(|(purpose, (cluster, history), from, to)| Hello {
        purpose,
        cluster: ClusterId(cluster),
        history: HistoryId(history),
        from,
        to,
    })
}

fn answer() -> impl Strategy<Value = Answer> {
    let verdicts = [
        Verdict::Accepted,
        Verdict::Version,
        Verdict::Cluster,
        Verdict::Node,
        Verdict::Dialer,
        Verdict::Malformed,
        Verdict::History,
    ];
    let cluster = proptest::option::of((1..u128::MAX).prop_map(ClusterId));
    let history = proptest::option::of((1..u128::MAX).prop_map(HistoryId));
    (proptest::sample::select(verdicts.to_vec()), cluster, history, node())
        .prop_map(|(verdict, cluster, history, node)| Answer { verdict, cluster, history, node })
}

/// All frames that come out of a stream, and whether it broke.
fn frames(pieces: &[&[u8]]) -> (Vec<(FrameKind, Vec<u8>)>, bool) {
    let mut decoder = FrameDecoder::new();
    let mut found = Vec::new();
    for piece in pieces {
        decoder.push(piece);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => found.push((frame.kind, frame.payload.to_vec())),
                Ok(None) => break,
                Err(_) => return (found, true),
            }
        }
    }
    (found, false)
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn envelopes_come_back(envelopes in vec(envelope(), 1..4)) {
        let mut stream = Vec::new();
        for envelope in &envelopes {
            encode_envelope(envelope, &mut stream);
        }
        let (found, broken) = frames(&[&stream]);
        prop_assert!(!broken);
        let found: Vec<Envelope> = found.iter().map(|(_, payload)| codec::decode(payload).unwrap()).collect();
        prop_assert_eq!(found, envelopes);
    }

    #[test]
    fn payloads_and_commands_come_back(entry in entry(), command in command()) {
        prop_assert_eq!(decode_payload(&encode_entry(&entry)), Ok(entry.payload));
        let bytes = encode_command(&command).unwrap();
        prop_assert_eq!(decode_command(&bytes), Ok(command));
    }

    #[test]
    fn handshakes_and_stored_values_come_back(
        hello in hello(),
        answer in answer(),
        meta in meta(),
        term in any::<u64>(),
        vote in proptest::option::of(node()),
    ) {
        prop_assert_eq!(Hello::decode(&hello.encode()), Ok(hello));
        prop_assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        prop_assert_eq!(codec::decode(&codec::encode(&meta)), Ok(meta));
        let hard = HardState { term: Term(term), vote };
        prop_assert_eq!(codec::decode(&codec::encode(&hard)), Ok(hard));
    }

    #[test]
    fn an_envelope_cut_short_is_refused(envelope in envelope()) {
        let bytes = codec::encode(&envelope);
        for length in 0..bytes.len() {
            let cut = codec::decode::<Envelope>(&bytes[..length]);
            prop_assert!(cut.is_err(), "{} of {}", length, bytes.len());
        }
    }

    /// Whatever is cut off, what comes out before is what went in.
    #[test]
    fn a_stream_cut_short_gives_no_wrong_frame(payloads in vec(bytes(), 1..4), cut in any::<usize>()) {
        let mut stream = Vec::new();
        for payload in &payloads {
            encode_frame(FrameKind::Envelope, payload, &mut stream);
        }
        let (found, broken) = frames(&[&stream[..cut % stream.len()]]);
        prop_assert!(!broken);
        prop_assert!(found.len() < payloads.len());
        for ((_, found), sent) in found.iter().zip(&payloads) {
            prop_assert_eq!(&found[..], &sent[..]);
        }
    }

    #[test]
    fn a_damaged_stream_gives_no_wrong_frame(
        payloads in vec(bytes(), 1..4),
        place in any::<usize>(),
        flip in 1..=255_u8,
        piece in 1..50_usize,
    ) {
        let mut stream = Vec::new();
        let mut ends = Vec::new();
        for payload in &payloads {
            encode_frame(FrameKind::Envelope, payload, &mut stream);
            ends.push(stream.len());
        }
        let place = place % stream.len();
        stream[place] ^= flip;
        let (found, broken) = frames(&stream.chunks(piece).collect::<Vec<_>>());
        prop_assert!(broken);
        prop_assert_eq!(found.len(), ends.iter().filter(|end| **end <= place).count());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        noise in vec(any::<u8>(), 0..200),
        envelope in envelope(),
        keep in any::<usize>(),
    ) {
        // A good beginning leads deeper into the decoders than noise alone.
        let mut bytes = codec::encode(&envelope);
        bytes.truncate(keep % (bytes.len() + 1));
        bytes.extend_from_slice(&noise);
        for bytes in [&noise, &bytes] {
            if let Ok(envelope) = codec::decode::<Envelope>(bytes) {
                prop_assert_eq!(codec::decode(&codec::encode(&envelope)), Ok(envelope));
            }
            if let Ok(payload) = decode_payload(bytes) {
                let entry = Entry { id: LogId::ZERO, payload };
                prop_assert_eq!(decode_payload(&encode_entry(&entry)), Ok(entry.payload));
            }
            let _ = decode_command(bytes).is_ok();
            let _ = codec::decode::<SnapshotMeta>(bytes).is_ok();
            let _ = (Hello::decode(bytes).is_ok(), Answer::decode(bytes).is_ok());
            let _ = frames(&[bytes]);
        }
    }
}
