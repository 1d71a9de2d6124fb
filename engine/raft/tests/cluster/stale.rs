//! A word of an earlier term says nothing about this one (openraft cecb5de8). Seeds hardly ever bring together
//! what it takes: acknowledged, truncated, led again, and the old acknowledgement once more.

use quorate_raft::{
    Config, Contact, Done, Entry, Envelope, Found, HardState, Index, Input, Job, LogId, Members, Message,
    NodeId, Output, Payload, Raft, Term, TermRuns, Time,
};

const LEADER: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);

/// A log of three entries of term 1, the first of them the configuration.
fn found() -> Found {
    let ids = [1, 2, 3].map(NodeId);
    let members = Members {
        voters: ids.into(),
        contacts: ids.map(|id| (id, Contact::default())).into(),
        ..Members::default()
    };
    let mut terms = TermRuns::new(LogId::ZERO);
    (1..=3).for_each(|index| terms.push(LogId::new(1, index)));
    let hard = HardState { term: Term(1), vote: None };
    let entry = Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members)) };
    Found { hard, terms, members: vec![entry], ..Found::default() }
}

/// Does every write at once, and drops all messages.
fn settle(core: &mut Raft, now: Time) {
    while let Some(output) = core.poll() {
        if let Output::Job(Job::Write(write)) = output {
            core.handle(now, Input::Done(Done::Written(write.id)));
        }
    }
}

fn hear(core: &mut Raft, now: Time, term: u64, message: Message) {
    core.handle(now, Input::Message(Envelope { from: PEER, to: LEADER, term: Term(term), message }));
    settle(core, now);
}

#[test]
fn an_acknowledgement_of_an_earlier_term_moves_nothing() {
    let mut core = Raft::open(Config::new(LEADER, 1), found(), Time(0)).unwrap();
    let now = Time(2_000_000);
    core.handle(now, Input::Timeout);
    settle(&mut core, now);
    hear(&mut core, now, 2, Message::PreVoteReply { granted: true });
    hear(&mut core, now, 2, Message::VoteReply { granted: true });
    let matched = |core: &Raft| core.peers().find(|peer| peer.id == PEER).unwrap().matched;
    assert_eq!((core.leader(), core.status().last), (Some(LEADER), LogId::new(2, 4)));
    hear(&mut core, now, 1, Message::Appended { matched: Index(3) });
    hear(
        &mut core,
        now,
        1,
        Message::HeartbeatReply { round: 1, verified: Index(3), matched: Index(3), full: false },
    );
    assert_eq!(matched(&core), Index(0));
    hear(&mut core, now, 2, Message::Appended { matched: Index(3) });
    assert_eq!(matched(&core), Index(3));
    assert_eq!(core.status().commit, Index(0), "nothing of this term is held by a majority");
    hear(&mut core, now, 2, Message::Appended { matched: Index(4) });
    assert_eq!(core.status().commit, Index(4));
}
