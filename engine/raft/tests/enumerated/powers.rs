//! What a damaged node may do (Damage, rules 2, 3 and 4): every set of lost slots, every commit that it may know of,
//! with the end of the log and without.

use crate::host::{FREE, Host, LATE, found, members};
use quorate_raft::{Index, Input, LogId, Message, NodeId, Term, Time};

const LAST: u64 = 5;

#[derive(Clone, Debug)]
struct Standing {
    /// Slots whose payload is lost.
    damaged: Vec<u64>,
    commit: u64,
    has_lost_a_tail: bool,
}

fn standings() -> Vec<Standing> {
    let mut standings = Vec::new();
    for set in 0..1_u32 << (LAST - 1) {
        let damaged: Vec<u64> = (2..=LAST).filter(|index| set >> (index - 2) & 1 == 1).collect();
        for commit in 1..=LAST {
            for has_lost_a_tail in [false, true] {
                standings.push(Standing { damaged: damaged.clone(), commit, has_lost_a_tail });
            }
        }
    }
    standings
}

fn node(standing: &Standing) -> Host {
    let slots: Vec<LogId> = (1..=LAST).map(|index| LogId::new(1, index)).collect();
    let voters = (1..=3).map(NodeId).collect();
    let mut found = found(members(&voters, &[].into()), LogId::ZERO, &slots);
    found.commit_hint = Index(standing.commit);
    found.damaged = standing.damaged.iter().map(|index| LogId::new(1, *index)).collect();
    found.unknown = standing.has_lost_a_tail.then_some(Index(LAST + 1));
    Host::open(NodeId(1), found)
}

fn said(host: &Host, wanted: impl Fn(&Message) -> bool) -> bool {
    host.sent.iter().any(|envelope| wanted(&envelope.message))
}

#[test]
fn who_knows_its_last_slot_votes_for_whoever_is_not_behind_it() {
    for standing in standings() {
        for last in [LogId::new(1, LAST - 1), LogId::new(1, LAST), LogId::new(1, LAST + 1), LogId::new(2, 1)]
        {
            let expected = !standing.has_lost_a_tail && last >= LogId::new(1, LAST);
            let mut host = node(&standing);
            host.hear(FREE, 2, 3, Message::PreVote { last });
            assert_eq!(said(&host, |message| *message == Message::PreVoteReply { granted: true }), expected);
            host.hear(FREE, 2, 3, Message::Vote { last, transfer: false });
            let voted = said(&host, |message| *message == Message::VoteReply { granted: true });
            assert_eq!(voted, expected, "{standing:?}, asked by one that ends at {last}");
        }
    }
}

#[test]
fn who_lacks_nothing_above_its_commit_runs() {
    for standing in standings() {
        let mut host = node(&standing);
        host.feed(LATE, Input::Timeout);
        let runs = said(&host, |message| matches!(message, Message::PreVote { .. }));
        let is_whole = standing.damaged.iter().all(|index| *index <= standing.commit);
        assert_eq!(runs, is_whole && !standing.has_lost_a_tail, "{standing:?}");
    }
}

/// A node whose log is whole runs one to two time-outs after it has heard its leader, a damaged one four later: led by
/// one of the others it can be given what it lacks.
#[test]
fn who_is_damaged_lets_the_others_go_first() {
    let runs_by = |damaged: &[u64], micros: u64| {
        let standing = Standing { damaged: damaged.to_vec(), commit: LAST, has_lost_a_tail: false };
        let mut host = node(&standing);
        let append = Message::Append { prev: LogId::new(1, LAST), entries: Vec::new(), commit: Index(LAST) };
        host.hear(FREE, 2, 2, append);
        host.feed(Time(FREE.0 + micros), Input::Timeout);
        said(&host, |message| matches!(message, Message::PreVote { .. }))
    };
    assert!(runs_by(&[], 2_000_000));
    assert!(!runs_by(&[2], 4_999_999), "early");
    assert!(runs_by(&[2], 6_000_000), "late");
}

/// Or the two could ignore each other for ever.
#[test]
fn who_asks_for_a_vote_in_an_old_term_is_told_of_the_new_one() {
    let mut host = node(&Standing { damaged: Vec::new(), commit: LAST, has_lost_a_tail: false });
    let vote = |index| Message::Vote { last: LogId::new(1, index), transfer: false };
    host.hear(FREE, 2, 5, vote(LAST));
    host.hear(FREE, 3, 3, vote(LAST + 1));
    let told = host.sent.last().expect("an answer");
    assert_eq!((told.to, told.term), (NodeId(3), Term(5)));
    assert_eq!(told.message, Message::VoteReply { granted: false });
}

#[test]
fn what_is_acknowledged_ends_below_the_lowest_lost_slot() {
    for standing in standings() {
        let mut host = node(&standing);
        let append = Message::Append { prev: LogId::new(1, LAST), entries: Vec::new(), commit: Index(1) };
        host.hear(FREE, 2, 2, append);
        let lowest = standing.damaged.first().copied().unwrap_or(LAST + 1);
        let acknowledged: Vec<Index> = host
            .sent
            .iter()
            .filter_map(|envelope| match envelope.message {
                Message::Appended { matched } if envelope.term == Term(2) => Some(matched),
                _ => None,
            })
            .collect();
        let expected = Index(lowest - 1);
        assert!(acknowledged.iter().all(|matched| *matched <= expected), "{standing:?}: {acknowledged:?}");
        assert_eq!(acknowledged.last(), Some(&expected), "{standing:?}");
    }
}
