//! What a core notes of its steps, told in full: what is judged by it must be what has happened.

use crate::host::{Host, ME, found, members};
use quorate_raft::{
    Config, Contact, Digest, Entry, Found, HardState, Index, Learner, LogId, Message, NodeId, Payload,
    SnapshotMeta, Term, TermRuns, Time,
};

fn config() -> Config {
    Config { trace: true, ..Config::new(ME, 1) }
}

/// The steps with these verbs since this was last asked.
fn steps(host: &mut Host, verbs: &[&str]) -> Vec<String> {
    let steps = std::mem::take(&mut host.steps);
    steps.into_iter().filter(|step| verbs.contains(&step.split(' ').next().unwrap())).collect()
}

#[test]
fn an_opening_tells_what_it_starts_on() {
    let first = members(&[1, 2, 3]);
    let with = first.with_learner(NodeId(4), Learner::Standing, Contact::default());
    let joint = with.joint_to(&members(&[1, 5]));
    let mut terms = TermRuns::new(LogId::new(1, 2));
    for id in [LogId::new(1, 3), LogId::new(2, 4), LogId::new(2, 5), LogId::new(4, 6)] {
        terms.push(id);
    }
    let entry =
        |term, index, members| Entry { id: LogId::new(term, index), payload: Payload::Members(members) };
    let found = Found {
        hard: HardState { term: Term(5), vote: Some(NodeId(2)) },
        commit_hint: Index(1),
        snapshot: Some(SnapshotMeta {
            last: LogId::new(2, 4),
            members: with.clone(),
            members_at: LogId::new(1, 3),
            bytes: 0,
            digest: Digest::default(),
            state_hash: 0,
        }),
        terms,
        members: vec![entry(1, 3, Box::new(with)), entry(2, 5, Box::new(joint))],
        damaged: vec![LogId::new(4, 6)],
        unknown: Some(Index(7)),
    };
    let mut host = Host::open(config(), found);
    let opening = "opens term=5 vote=2 base=1/2 runs=1/3,2/4,4/6 last=6 snapshot=2/4 installs=no commit=4 \
                   damaged=4/6 unknown=7 configurations=1/3:1,2,3|-|4;2/5:1,5|1,2,3|-";
    assert_eq!(steps(&mut host, &["opens"]), [opening]);
}

/// Heartbeats and answers to questions tell again and again what is committed.
#[test]
fn only_news_of_what_is_committed_is_noted() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3])]));
    let entries = vec![Entry { id: LogId::new(2, 2), payload: Payload::Noop }];
    host.hear_in(2, 2, Message::Append { prev: LogId::new(1, 1), entries, commit: Index(1) });
    for commit in [1, 1, 2, 2] {
        host.hear(2, Message::Heartbeat { round: commit, commit: Index(commit) });
    }
    assert_eq!(steps(&mut host, &["learns", "hears"]), ["learns index=1", "learns index=2"]);

    let mut lost = found(&[members(&[1, 2, 3]), members(&[1, 2])]);
    lost.damaged = vec![LogId::new(1, 2)];
    let mut host = Host::open(config(), lost);
    host.advance(1);
    let nonce = host.sent.iter().find_map(|envelope| match envelope.message {
        Message::Ask { nonce, .. } => Some(nonce),
        _ => None,
    });
    let nonce = nonce.unwrap();
    for committed in [LogId::new(1, 1), LogId::new(1, 1), LogId::new(1, 2), LogId::new(1, 2)] {
        let entries = Vec::new();
        host.hear(2, Message::Tell { nonce, entries, leads_to: None, committed, report: None });
    }
    assert_eq!(steps(&mut host, &["learns", "hears"]), ["hears slot=1/1", "hears slot=1/2"]);
}

#[test]
fn a_candidacy_that_was_begun_is_yielded_and_a_question_is_not() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3])]));
    let all = ["campaigns", "yields", "leads"];
    host.advance(1000);
    for from in [2, 3] {
        host.hear(from, Message::PreVoteReply { granted: false });
    }
    assert_eq!(steps(&mut host, &all), [""; 0]);
    host.advance(1000);
    host.hear_in(2, 2, Message::PreVoteReply { granted: true });
    for from in [2, 3] {
        host.hear(from, Message::VoteReply { granted: false });
    }
    assert_eq!(steps(&mut host, &all), ["campaigns term=2 transfer=no", "yields term=2"]);
    host.hear_in(3, 3, Message::TimeoutNow);
    host.hear(2, Message::VoteReply { granted: true });
    assert_eq!(steps(&mut host, &all), ["campaigns term=4 transfer=yes", "leads term=4"]);
}

#[test]
fn a_commit_names_how_far_each_voter_was_counted() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3, 4])]));
    host.win();
    host.steps.clear();
    host.propose(1);
    host.propose(1);
    host.hear(2, Message::Appended { matched: Index(3) });
    host.hear(4, Message::Appended { matched: Index(4) });
    assert_eq!(steps(&mut host, &["commits"]), ["commits index=3 matches=1:4,2:3,3:2,4:4"]);
}

/// Who is asked about a slot says that it never had it, or anything else; only the first is a promise.
#[test]
fn an_answer_about_a_lost_slot_says_whether_it_was_never_held() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3])]));
    host.now = Time(1);
    for doubt in [LogId::new(1, 1), LogId::new(1, 2)] {
        let index = doubt.index;
        let ask = Message::Ask { nonce: 9, first: index, last: index, sound: Index(0), doubt: Some(doubt) };
        host.hear(2, ask);
    }
    let expected = [
        "tells to=2 term=1 leads_to=- committed=0/0 never=-",
        "tells to=2 term=1 leads_to=- committed=0/0 never=1/2",
    ];
    let told = steps(&mut host, &["tells"]);
    assert!(told.ends_with(&expected.map(str::to_owned)), "{told:#?}");
}
