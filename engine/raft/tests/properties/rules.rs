//! What a core does at the edge of what is allowed: the last answer that counts, the last byte that fits, the last peer
//! that may be believed.

use crate::host::{Host, ME, found, members};
use quorate_raft::{
    ChangeError, Chunk, Config, Contact, Digest, Done, Entry, Index, Input, Job, Learner, Load, LogId,
    Members, Message, NodeId, OpenError, Output, Payload, Raft, ReadId, ReadMode, Reader, Role, SnapshotMeta,
    Term, TermRuns, Time, TokenHash,
};

fn config() -> Config {
    Config::new(ME, 1)
}

fn noop(term: u64, index: u64) -> Entry {
    Entry { id: LogId::new(term, index), payload: Payload::Noop }
}

#[test]
fn entries_that_no_leader_of_the_term_can_have_sent_are_refused() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3])]));
    let mut refused = |what: &str, entries: Vec<Entry>| {
        host.hear_in(2, 2, Message::Append { prev: LogId::new(1, 1), entries, commit: Index(0) });
        assert_eq!(host.complaints(), 1, "{what}");
        host.core.status().last
    };
    let first = LogId::new(1, 1);
    assert_eq!(refused("a gap", vec![noop(2, 3)]), first);
    assert_eq!(refused("a gap in the middle", vec![noop(2, 2), noop(2, 4)]), first);
    assert_eq!(refused("of a later term", vec![noop(3, 2)]), first);
    assert_eq!(refused("goes back in term", vec![noop(2, 2), noop(1, 3)]), first);
    host.hear_in(2, 2, Message::Append { prev: first, entries: vec![noop(2, 2)], commit: Index(0) });
    assert_eq!((host.complaints(), host.core.status().last), (0, LogId::new(2, 2)));
}

#[test]
fn an_answer_to_a_heartbeat_that_says_too_much_is_refused() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    let last = host.core.status().last.index;
    let beyond = last.next();
    let answer = |round, verified, matched| Message::HeartbeatReply { round, verified, matched, full: false };
    for (answer, complaints) in [
        (answer(1, last, last), 0),
        (answer(1000, last, last), 1),
        (answer(1, beyond, last), 1),
        (answer(1, last.previous(), last), 1),
        (answer(1, beyond, beyond), 1),
    ] {
        host.hear(2, answer.clone());
        assert_eq!(host.complaints(), complaints, "{answer:?}");
    }
}

/// A no to the question whether it should run is not one to the call to vote, and a yes of then is not one of now.
#[test]
fn an_answer_to_another_question_is_no_vote() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3])]));
    host.advance(1000);
    assert_eq!((host.core.status().role, host.core.status().term), (Role::Candidate, Term(1)));
    for stale in [1, 3] {
        host.hear_in(2, stale, Message::PreVoteReply { granted: true });
        assert_eq!(host.core.status().term, Term(1), "it asks whether to run in term 2, not {stale}");
    }
    host.hear_in(2, 2, Message::PreVoteReply { granted: true });
    assert_eq!((host.core.status().role, host.core.status().term), (Role::Candidate, Term(2)));
    for from in [2, 3] {
        host.hear(from, Message::PreVoteReply { granted: false });
        host.hear_in(from, 3, Message::PreVoteReply { granted: true });
    }
    assert_eq!(host.core.status().role, Role::Candidate);
    host.hear(3, Message::VoteReply { granted: true });
    assert_eq!(host.core.status().role, Role::Leader);
}

/// An answer waits for its term to be durable. A vote that is given in that term meanwhile is no reason to lose it.
#[test]
fn what_waits_for_a_term_leaves_with_a_vote_that_is_given_in_it() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3])]));
    host.now = Time(500_001);
    host.holds_disk = true;
    let ask = Message::Ask { nonce: 9, first: Index(1), last: Index(1), sound: Index(0), doubt: None };
    host.hear_in(3, 2, ask);
    host.hear_in(2, 2, Message::Vote { last: LogId::new(1, 1), transfer: false });
    assert_eq!(host.sent, [], "term 2 is not durable");
    host.release_disk();
    let said = |wanted: fn(&Message) -> bool| host.sent.iter().any(|envelope| wanted(&envelope.message));
    assert!(said(|message| matches!(message, Message::Tell { nonce: 9, .. })), "{:?}", host.sent);
    assert!(said(|message| matches!(message, Message::VoteReply { granted: true })), "{:?}", host.sent);
}

#[test]
fn what_was_applied_is_not_handed_over_again() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    let applied = host.applied.clone();
    assert_eq!(applied, [LogId::new(1, 1), LogId::new(2, 2)]);
    let load = Load { reader: Reader::Apply, first: Index(1), last: Index(1), bytes: 1000 };
    let entries =
        vec![Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members(&[1, 2, 3]))) }];
    host.input(Input::Done(Done::Loaded { load, entries }));
    assert_eq!(host.applied, applied);
}

#[test]
fn what_was_read_is_applied_when_it_is_the_log_from_there_on_and_not_otherwise() {
    let of_term = |term, index| Entry { id: LogId::new(term, index), payload: Payload::Noop };
    let applied = |entries: Vec<Entry>| {
        let mut found = found(&[members(&[1, 2, 3]), members(&[1, 2, 3])]);
        found.commit_hint = Index(2);
        let mut raft = Raft::open(config(), found, Time(0)).unwrap();
        let load = std::iter::from_fn(|| raft.poll()).find_map(|output| match output {
            Output::Job(Job::Load(load)) => Some(load),
            _ => None,
        });
        raft.handle(Time(0), Input::Done(Done::Loaded { load: load.unwrap(), entries }));
        std::iter::from_fn(|| raft.poll()).any(|output| matches!(output, Output::Apply(_)))
    };
    assert!(applied(vec![of_term(1, 1), of_term(1, 2)]));
    assert!(!applied(vec![of_term(1, 2)]), "the first is missing");
    assert!(!applied(vec![of_term(1, 1), of_term(1, 1)]), "twice the same");
    assert!(!applied(vec![of_term(0, 1)]), "of another term");
    assert!(!applied(Vec::new()));
}

#[test]
fn a_window_that_is_exactly_full_lets_nothing_more_leave() {
    // Each entry weighs 100 bytes and fills an append.
    let config = Config { append_bytes: 100, inflight_bytes: 200, ..config() };
    let mut host = Host::leader(config, &[1, 2]);
    for _ in 0..3 {
        host.propose(68);
    }
    let appends = |host: &Host| {
        host.sent.iter().filter(|envelope| matches!(envelope.message, Message::Append { .. })).count()
    };
    assert_eq!(appends(&host), 2);
    host.hear(2, Message::Appended { matched: Index(3) });
    assert_eq!(appends(&host), 3);
}

/// Who votes is the same before and after: nobody needs to be heard for it, only to commit it.
#[test]
fn a_change_that_moves_no_vote_is_taken_while_nobody_is_heard() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    host.now = Time(host.now.0 + 600_000);
    let current = host.core.status().members.clone();
    let mut moved = current.clone();
    moved.contacts.get_mut(&NodeId(2)).unwrap().address = "elsewhere:7000".to_owned();
    assert_eq!(
        host.core.change_members(host.now, current.without(NodeId(3))),
        Err(ChangeError::WouldLoseQuorum)
    );
    assert!(host.core.change_members(host.now, moved).is_ok());
}

/// Whatever the host asks for: what a token has spent is decided.
#[test]
fn no_change_gives_a_spent_token_to_another_node() {
    let mut host = Host::leader(config(), &[1]);
    let token = TokenHash([7; 32]);
    let with = |members: &Members, id| members.with_learner(id, Learner::Standing, Contact::default());
    let open = host.core.members().with_token(token, 1_000, 0).unwrap();
    let by = |id| with(&open, id).with_spent(&token, id);
    host.core.change_members(host.now, by(NodeId(4))).unwrap();
    host.drain();
    host.answer();
    for target in [by(NodeId(5)), open.clone(), with(&open, NodeId(4))] {
        let refused = host.core.change_members(host.now, target);
        assert!(matches!(refused, Err(ChangeError::Invalid(why)) if why.contains("spent")), "{refused:?}");
    }
    let removed = host.core.members().without(NodeId(4));
    assert!(host.core.change_members(host.now, removed).is_ok());
}

/// It holds up no commit when it lacks no more than a round trip brings.
#[test]
fn a_learner_may_lack_256_entries_of_what_is_committed_when_it_becomes_a_voter() {
    let mut host = Host::leader(config(), &[1]);
    let learner = NodeId(4);
    let with = host.core.status().members.with_learner(learner, Learner::Standing, Contact::default());
    host.core.change_members(host.now, with).unwrap();
    host.drain();
    host.answer();
    host.silent.insert(learner);
    for _ in 0..257 {
        host.propose(0);
    }
    let last = host.core.status().last.index;
    assert_eq!(host.core.status().commit, last, "it counts alone");
    assert_eq!(host.core.promote(host.now, learner), Err(ChangeError::NotCaughtUp(learner)));
    host.hear(4, Message::Appended { matched: Index(last.0 - 256) });
    assert!(host.core.promote(host.now, learner).is_ok());
}

#[test]
fn a_core_does_not_start_with_a_configuration_that_is_none() {
    let bad = Members { contacts: [(ME, Contact::default())].into(), ..Members::default() };
    let fault = |found| match Raft::open(config(), found, Time(0)) {
        Err(OpenError::BadMembers { at, fault }) => (at, fault),
        other => panic!("{other:?}"),
    };
    let in_log = found(&[members(&[1]), bad.clone()]);
    assert_eq!(fault(in_log), (LogId::new(1, 2), "it has no voter"));
    let mut in_snapshot = found(&[]);
    let last = LogId::new(1, 7);
    in_snapshot.terms = TermRuns::new(last);
    in_snapshot.snapshot = Some(SnapshotMeta {
        last,
        members: bad,
        members_at: LogId::new(1, 3),
        bytes: 0,
        digest: Digest::default(),
        state_hash: 0,
    });
    assert_eq!(fault(in_snapshot), (LogId::new(1, 3), "it has no voter"));
}

/// A removed leader may hear from nobody later, so it answers what it was asked before it leaves: also what came while
/// a round for others was under way.
#[test]
fn a_removed_leader_serves_the_reads_that_wait_before_it_leaves() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    for read in [1, 2].map(ReadId) {
        host.core.read(host.now, read, ReadMode::Quorum).unwrap();
        host.drain();
    }
    let removal = host.core.remove(host.now, ME).unwrap();
    host.drain();
    for from in [2, 3] {
        host.hear(from, Message::Appended { matched: removal.index });
    }
    assert_eq!((host.core.status().commit, &host.served), (removal.index, &Vec::new()));
    host.answer();
    assert_eq!(host.served, [1, 2].map(ReadId));
    assert!(host.core.leads_in().is_none());
}

#[test]
fn a_read_that_was_forgotten_is_not_served() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    for read in (1..=4).map(ReadId) {
        host.core.read(host.now, read, ReadMode::Quorum).unwrap();
        host.drain();
    }
    host.core.retain_reads(|read| read == ReadId(1) || read == ReadId(3));
    host.answer();
    assert_eq!(host.served, [1, 3].map(ReadId));
}

/// A follower asks again when it hears nothing; what was asked again meanwhile is one question.
#[test]
fn a_question_that_is_asked_again_is_answered_once() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    for batch in [5, 6, 6, 7] {
        host.hear(2, Message::ReadIndex { batch, lease: false });
    }
    let said = host.answer();
    let answered = said.iter().filter_map(|envelope| match envelope.message {
        Message::ReadIndexReply { batch, .. } => Some(batch),
        _ => None,
    });
    assert_eq!(answered.collect::<Vec<_>>(), [5, 6, 7]);
}

#[test]
fn a_question_that_is_not_answered_is_asked_again_every_two_heartbeats() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3])]));
    host.hear(2, Message::Heartbeat { round: 1, commit: Index(1) });
    host.core.read(host.now, ReadId(1), ReadMode::Quorum).unwrap();
    host.drain();
    let mut asked = Vec::new();
    for millis in (0..=350).step_by(25) {
        if host.sent.iter().any(|envelope| matches!(envelope.message, Message::ReadIndex { .. })) {
            asked.push(millis);
        }
        host.sent.clear();
        host.advance(25);
    }
    assert_eq!(asked, [0, 100, 200, 300]);
}

/// Not the one it was to hand over to, when that one lags.
#[test]
fn a_leader_that_leaves_names_a_successor_that_holds_all_there_is() {
    let mut host = Host::leader(config(), &[1, 2, 3, 4]);
    host.silent.insert(NodeId(3));
    host.core.remove(host.now, ME).unwrap();
    host.core.transfer(host.now, Some(NodeId(3))).unwrap();
    host.drain();
    let said = host.answer();
    assert!(host.core.leads_in().is_none());
    let named = said.iter().filter(|envelope| matches!(envelope.message, Message::TimeoutNow));
    let named: Vec<u128> = named.map(|envelope| envelope.to.0).collect();
    assert!(named == [2] || named == [4], "{named:?}");
}

#[test]
fn leadership_is_being_handed_over_until_that_is_given_up() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    assert!(!host.core.is_transferring());
    host.core.transfer(host.now, Some(NodeId(2))).unwrap();
    host.drain();
    for _ in 0..10 {
        assert!(host.core.is_transferring());
        host.advance(50);
        host.answer();
    }
    assert!(!host.core.is_transferring() && host.core.leads_in().is_some());
}

/// One of what was compacted is old; one that says otherwise of what was verified is a lie.
#[test]
fn a_snapshot_is_refused_when_it_contradicts_what_was_verified() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3])]));
    let prev = LogId::new(1, 1);
    host.hear_in(2, 2, Message::Append { prev, entries: vec![noop(2, 2), noop(2, 3)], commit: Index(1) });
    let hear = |host: &mut Host, last| {
        let digest = Digest::default();
        let members = members(&[1, 2, 3]);
        let meta = SnapshotMeta { last, members, members_at: LogId::ZERO, bytes: 1, digest, state_hash: 0 };
        let chunk = Chunk { offset: 0, data: [0].into(), done: false };
        host.hear(2, Message::Snapshot { meta: Box::new(meta.clone()), chunk });
        (host.complaints(), meta)
    };
    assert_eq!(hear(&mut host, LogId::new(1, 3)).0, 1);
    let (complaints, meta) = hear(&mut host, LogId::new(2, 3));
    assert_eq!(complaints, 0);
    host.input(Input::Done(Done::SnapshotStored { meta: Box::new(meta), next: 1, complete: true }));
    assert_eq!(host.core.applied(), LogId::new(2, 3));
    assert_eq!(hear(&mut host, LogId::new(2, 2)).0, 0, "it is covered");
}
