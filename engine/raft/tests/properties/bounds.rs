//! What a core keeps is bounded, also when a disk or a state machine stands still while the cluster goes on.

use crate::host::Host;
use quorate_raft::{
    Config, Contact, Digest, Done, Entry, Envelope, Found, HardState, Index, Input, Job, Learner, LogId,
    Members, Message, NodeId, Output, Payload, Raft, ReadError, ReadId, ReadMode, SnapshotMeta, Term,
    TermRuns, Time, WriteId,
};

const ME: NodeId = NodeId(1);
const LEADER: NodeId = NodeId(2);

/// A voter of two, in term 1, whose log has one entry.
fn core() -> Raft {
    let voters = [ME, LEADER];
    let members = Members {
        voters: voters.into(),
        contacts: voters.map(|id| (id, Contact::default())).into(),
        ..Members::default()
    };
    let mut terms = TermRuns::new(LogId::ZERO);
    terms.push(LogId::new(1, 1));
    let found = Found {
        hard: HardState { term: Term(1), vote: None },
        terms,
        members: vec![Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members)) }],
        ..Found::default()
    };
    Raft::open(Config::new(ME, 1), found, Time(0)).unwrap()
}

fn hear(raft: &mut Raft, term: u64, message: Message) -> Vec<Output> {
    let envelope = Envelope { from: LEADER, to: ME, term: Term(term), message };
    raft.handle(Time(1), Input::Message(envelope));
    std::iter::from_fn(|| raft.poll()).collect()
}

#[test]
fn what_waits_for_a_stalled_disk_is_bounded() {
    let mut raft = core();
    for round in 1..=10_000 {
        let outputs = hear(&mut raft, 2, Message::Heartbeat { round, commit: Index(0) });
        let answers = outputs.iter().filter(|output| matches!(output, Output::Send(_))).count();
        assert_eq!(answers, 0, "term 2 is not durable");
    }
    raft.handle(Time(2), Input::Done(Done::Written(WriteId(1))));
    let answers =
        std::iter::from_fn(|| raft.poll()).filter(|output| matches!(output, Output::Send(_))).count();
    assert!((1..=1024).contains(&answers), "{answers} answers were kept");
}

#[test]
fn reads_that_wait_for_a_stalled_state_machine_are_bounded() {
    let mut raft = core();
    hear(&mut raft, 1, Message::Heartbeat { round: 1, commit: Index(0) });
    let mut taken = 0;
    // The leader answers every question, with an index that is never applied here.
    while taken < 1 << 17 && raft.read(Time(1), ReadId(taken), ReadMode::Quorum).is_ok() {
        taken += 1;
        let question = std::iter::from_fn(|| raft.poll()).find_map(|output| match output {
            Output::Send(Envelope { message: Message::ReadIndex { batch, .. }, .. }) => Some(batch),
            _ => None,
        });
        let batch = question.expect("nothing is asked already");
        hear(&mut raft, 1, Message::ReadIndexReply { batch, index: Index(9) });
    }
    assert_eq!(taken, 1 << 16);
    assert_eq!(raft.read(Time(1), ReadId(taken), ReadMode::Quorum), Err(ReadError::Full));
}

#[test]
fn reads_that_were_served_make_room_for_others() {
    let mut host = Host::leader(Config::new(ME, 1), &[1]);
    for read in 0..=1 << 16 {
        host.core.read(host.now, ReadId(read), ReadMode::Quorum).unwrap();
        host.drain();
        host.sent.clear();
    }
    assert_eq!(host.served.len(), (1 << 16) + 1);
}

/// Wherever they are on their way: confirmed, asked about, or waiting for the next question.
#[test]
fn reads_that_are_forgotten_make_room_for_others() {
    let mut raft = core();
    hear(&mut raft, 1, Message::Heartbeat { round: 1, commit: Index(0) });
    raft.read(Time(1), ReadId(1), ReadMode::Quorum).unwrap();
    let question = std::iter::from_fn(|| raft.poll()).find_map(|output| match output {
        Output::Send(Envelope { message: Message::ReadIndex { batch, .. }, .. }) => Some(batch),
        _ => None,
    });
    hear(&mut raft, 1, Message::ReadIndexReply { batch: question.unwrap(), index: Index(9) });
    for read in 2..=6 {
        raft.read(Time(1), ReadId(read), ReadMode::Quorum).unwrap();
        while raft.poll().is_some() {}
    }
    raft.retain_reads(|read| read.0 <= 4);
    let taken = (7..1 << 17).take_while(|id| raft.read(Time(1), ReadId(*id), ReadMode::Quorum).is_ok());
    assert_eq!(taken.count(), (1 << 16) - 4);
}

/// Leads alone: with one learner that is gone, or with nobody at all.
fn sole_leader(learner: Option<NodeId>) -> Raft {
    let mut members = Members::founder(ME, Contact::default());
    if let Some(id) = learner {
        members = members.with_learner(id, Learner::Standing, Contact::default());
    }
    let mut terms = TermRuns::new(LogId::ZERO);
    terms.push(LogId::new(1, 1));
    let found = Found {
        hard: HardState { term: Term(1), vote: None },
        terms,
        members: vec![Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members)) }],
        ..Found::default()
    };
    Raft::open(Config::new(ME, 1), found, Time(0)).unwrap()
}

#[test]
fn a_leader_without_other_voters_keeps_nothing_of_its_heartbeats() {
    for learner in [None, Some(LEADER)] {
        let mut raft = sole_leader(learner);
        let mut sizes = Vec::new();
        for beat in 0..3_000 {
            raft.handle(Time(beat * 50_000), Input::Timeout);
            while let Some(output) = raft.poll() {
                if let Output::Job(Job::Write(write)) = output {
                    raft.handle(Time(beat * 50_000), Input::Done(Done::Written(write.id)));
                }
            }
            sizes.push(format!("{raft:?}").len());
        }
        assert_eq!(raft.leader(), Some(ME));
        assert!(sizes[2_999] < sizes[100] + 100, "it grows from {} to {}", sizes[100], sizes[2_999]);
    }
}

#[test]
fn configurations_that_a_checkpoint_covers_are_not_kept() {
    let mut host = Host::leader(Config { keep_entries: 0, ..Config::new(ME, 1) }, &[1]);
    let mut sizes = Vec::new();
    for change in 0..300 {
        let mut target = host.core.status().members.clone();
        target.contacts.get_mut(&ME).unwrap().address = format!("here:{}", 7000 + change);
        host.core.change_members(host.now, target).unwrap();
        host.drain();
        let last = host.core.applied();
        let (members, members_at) = host.core.checkpoint(last).unwrap();
        assert_eq!(members_at, last);
        let digest = Digest::default();
        let meta = SnapshotMeta { last, members, members_at, bytes: 0, digest, state_hash: 0 };
        host.input(Input::Done(Done::SnapshotTaken(Box::new(meta))));
        sizes.push(format!("{:?}", host.core).len());
    }
    assert!(sizes[299] < sizes[20] + 100, "it grows from {} to {}", sizes[20], sizes[299]);
}
