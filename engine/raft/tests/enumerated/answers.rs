//! What becomes of a lost slot, by what the others answer (Damage, rules 1, 4 and 5): it is filled, it is given up, or
//! it is waited for.

use crate::host::{FREE, Host, LATE, found, members};
use quorate_raft::{
    Contact, Entry, Event, Held, Index, Learner, LogId, Members, Message, NodeId, Payload, Report, Term,
    Write,
};
use std::collections::BTreeSet;

/// The node that lost it.
const LOSER: NodeId = NodeId(1);
/// What it lost. The next slot is lost as well, and waits.
const SLOT: LogId = LogId { term: Term(1), index: Index(2) };
const NEXT: LogId = LogId { term: Term(1), index: Index(3) };
/// The term in which the loss was found, and in which the slot may have been acknowledged.
const OLD_TERM: u64 = 1;
const NEW_TERM: u64 = 2;

/// What one of the others says when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Nothing,
    /// Here is a copy.
    Copy,
    /// Here is what stands there: something else; and it never had the slot.
    Another,
    Damaged,
    Unknown,
    InSnapshot,
    /// In a snapshot, and so it is committed.
    Committed,
    Never,
    /// Said in a term before the one in which it was asked.
    NeverInTheOldTerm,
    /// Of the slot that is not asked about.
    NeverOfTheNext,
    /// To a question of a start before.
    NeverToAnotherQuestion,
}

const ALL: [Answer; 11] = [
    Answer::Nothing,
    Answer::Copy,
    Answer::Another,
    Answer::Damaged,
    Answer::Unknown,
    Answer::InSnapshot,
    Answer::Committed,
    Answer::Never,
    Answer::NeverInTheOldTerm,
    Answer::NeverOfTheNext,
    Answer::NeverToAnotherQuestion,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Filled,
    GivenUp,
    WaitedFor,
}

/// The rule. A copy fills it, whoever sends it and when. It is given up once those that never had it, and said so in
/// the new term, are a majority of each half of the voters, without the loser; unless it was filled before, or is
/// known to be committed, and then it is waited for.
fn fate(voters: &BTreeSet<NodeId>, outgoing: &BTreeSet<NodeId>, answers: &[(NodeId, Answer)]) -> Fate {
    let mut never = BTreeSet::new();
    let mut is_committed = false;
    for (from, answer) in answers {
        match answer {
            Answer::Copy => return Fate::Filled,
            Answer::Committed => is_committed = true,
            Answer::Never | Answer::Another => drop(never.insert(*from)),
            _ => {}
        }
        let most = |half: &BTreeSet<NodeId>| {
            let said = half.iter().filter(|id| **id != LOSER && never.contains(*id)).count();
            half.is_empty() || 2 * said > half.len()
        };
        if most(voters) && most(outgoing) && !is_committed {
            return Fate::GivenUp;
        }
    }
    Fate::WaitedFor
}

/// A node that lost two slots above its commit, and knows it.
fn loser(members: Members) -> Host {
    let mut found = found(members, LogId::ZERO, &[LogId::new(1, 1), SLOT, NEXT]);
    found.damaged = vec![SLOT, NEXT];
    Host::open(LOSER, found)
}

/// The same in a new term, into which another's vain candidacy brought it.
fn loser_in_a_new_term(members: Members) -> Host {
    let mut host = loser(members);
    host.hear(FREE, 2, NEW_TERM, Message::Vote { last: LogId::ZERO, transfer: false });
    assert_eq!(host.term(), Term(NEW_TERM));
    host
}

fn tell(nonce: u64, answer: Answer) -> Option<(u64, Message)> {
    let entry = |id| Entry { id, payload: Payload::Noop };
    let report = |slot, held| Some(Report { slot, held, bound: false });
    let said =
        |entries, committed, report| Message::Tell { nonce, entries, leads_to: None, committed, report };
    let plain = |held| said(Vec::new(), LogId::ZERO, report(SLOT, held));
    let message = match answer {
        Answer::Nothing => return None,
        Answer::Copy => said(vec![entry(SLOT)], LogId::ZERO, report(SLOT, Held::Intact)),
        Answer::Another => {
            said(vec![entry(LogId::new(2, SLOT.index.0))], LogId::ZERO, report(SLOT, Held::Never))
        }
        Answer::Damaged => plain(Held::Damaged),
        Answer::Unknown => plain(Held::Unknown),
        Answer::InSnapshot => plain(Held::InSnapshot),
        Answer::Committed => said(Vec::new(), SLOT, report(SLOT, Held::InSnapshot)),
        Answer::Never => plain(Held::Never),
        Answer::NeverInTheOldTerm => return Some((OLD_TERM, plain(Held::Never))),
        Answer::NeverOfTheNext => said(Vec::new(), LogId::ZERO, report(NEXT, Held::Never)),
        Answer::NeverToAnotherQuestion => {
            let report = report(SLOT, Held::Never);
            Message::Tell {
                nonce: nonce ^ 1,
                entries: Vec::new(),
                leads_to: None,
                committed: LogId::ZERO,
                report,
            }
        }
    };
    Some((NEW_TERM, message))
}

/// What the real core makes of the answers, in this order.
fn seen(host: &Host, answers: &[(NodeId, Answer)]) -> Fate {
    let mut host = host.clone();
    let nonce = host.nonce();
    (host.writes, host.events) = (Vec::new(), Vec::new());
    for (from, answer) in answers {
        if let Some((term, message)) = tell(nonce, *answer) {
            host.hear(FREE, from.0, term, message);
        }
    }
    let repaired = |write: &Write| write.repair.iter().any(|entry| entry.id == SLOT);
    let truncated = |write: &Write| write.truncate_from.is_some_and(|from| from <= SLOT.index);
    let fate = match (host.writes.iter().any(repaired), host.writes.iter().any(truncated)) {
        (true, false) => Fate::Filled,
        (false, true) => Fate::GivenUp,
        (false, false) => Fate::WaitedFor,
        (true, true) => panic!("filled and given up: {answers:?}"),
    };
    let gave_up = host.events.contains(&Event::GaveUp { slot: SLOT });
    assert_eq!(gave_up, fate == Fate::GivenUp, "{answers:?}: {:?}", host.events);
    // Once it is filled, or known to be committed, the next slot is the one in doubt.
    assert_eq!(host.last() < SLOT, gave_up, "{answers:?}");
    fate
}

fn up_to(voters: u128) -> BTreeSet<NodeId> {
    (1..=voters).map(NodeId).collect()
}

/// Every way in which these nodes may answer with these answers.
fn combinations(from: &[NodeId], answers: &[Answer]) -> Vec<Vec<(NodeId, Answer)>> {
    from.iter().fold(vec![Vec::new()], |combinations, id| {
        let with = |before: &Vec<(NodeId, Answer)>| {
            let before = before.clone();
            answers.iter().map(move |answer| before.iter().copied().chain([(*id, *answer)]).collect())
        };
        combinations.iter().flat_map(with).collect()
    })
}

/// How often each fate was met.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tried {
    filled: usize,
    given_up: usize,
    waited_for: usize,
}

fn try_all(voters: &BTreeSet<NodeId>, outgoing: &BTreeSet<NodeId>, answers: &[Answer]) -> Tried {
    let host = loser_in_a_new_term(members(voters, outgoing));
    let others: Vec<NodeId> = voters.union(outgoing).copied().filter(|id| *id != LOSER).collect();
    let mut tried = Tried::default();
    for combination in combinations(&others, answers) {
        let expected = fate(voters, outgoing, &combination);
        assert_eq!(seen(&host, &combination), expected, "{voters:?} {outgoing:?} {combination:?}");
        match expected {
            Fate::Filled => tried.filled += 1,
            Fate::GivenUp => tried.given_up += 1,
            Fate::WaitedFor => tried.waited_for += 1,
        }
    }
    tried
}

#[test]
fn whatever_up_to_four_others_answer() {
    for voters in 2..=5 {
        let tried = try_all(&up_to(voters), &BTreeSet::new(), &ALL);
        let all = tried.filled + tried.given_up + tried.waited_for;
        assert_eq!(all, 11_usize.pow(u32::try_from(voters - 1).unwrap()), "{tried:?}");
        // With one other alone there is no majority without the loser.
        assert_eq!(tried.given_up > 0, voters > 2, "{tried:?}");
    }
}

#[test]
fn whatever_five_or_six_others_answer() {
    for voters in 6..=7 {
        let answers = [Answer::Nothing, Answer::Copy, Answer::Damaged, Answer::Never];
        let tried = try_all(&up_to(voters), &BTreeSet::new(), &answers);
        assert!(tried.filled > 0 && tried.given_up > 0 && tried.waited_for > 0, "{tried:?}");
    }
}

#[test]
fn whatever_is_answered_in_a_joint_change() {
    // Of up to five nodes, every pair of halves in one of which the loser votes.
    let half = |bits: u32| -> BTreeSet<NodeId> {
        (0..5_u32).filter(|bit| bits >> bit & 1 == 1).map(|bit| NodeId(u128::from(bit) + 1)).collect()
    };
    let mut given_up = 0;
    for (voters, outgoing) in (1..32_u32).flat_map(|voters| (1..32).map(move |outgoing| (voters, outgoing))) {
        let all = voters | outgoing;
        if all & 1 == 1 && all != 1 {
            let answers = [Answer::Nothing, Answer::Never, Answer::Damaged];
            given_up += try_all(&half(voters), &half(outgoing), &answers).given_up;
        }
    }
    assert!(given_up > 0);
}

#[test]
fn a_learner_says_never_for_nobody() {
    let members = members(&up_to(3), &BTreeSet::new());
    let members = members.with_learner(NodeId(4), Learner::Standing, Contact::default());
    let host = loser_in_a_new_term(members);
    for combination in combinations(&[NodeId(2), NodeId(3), NodeId(4)], &ALL) {
        let expected = fate(&up_to(3), &BTreeSet::new(), &combination);
        assert_eq!(seen(&host, &combination), expected, "{combination:?}");
    }
}

#[test]
fn in_the_term_of_the_loss_and_under_a_leader_nothing_is_given_up() {
    let members = || members(&up_to(3), &BTreeSet::new());
    let in_the_old_term = loser(members());
    let mut led = loser_in_a_new_term(members());
    led.hear(FREE, 3, NEW_TERM, Message::Heartbeat { round: 1, commit: Index(0) });
    for combination in combinations(&[NodeId(2), NodeId(3)], &ALL) {
        let copies = combination.iter().any(|(_, answer)| *answer == Answer::Copy);
        let expected = if copies { Fate::Filled } else { Fate::WaitedFor };
        assert_eq!(seen(&led, &combination), expected, "{combination:?}");
        // Here the answers are of the term in which the loss was found.
        let mut host = in_the_old_term.clone();
        let nonce = host.nonce();
        for (from, answer) in &combination {
            if let Some((_, message)) = tell(nonce, *answer) {
                host.hear(FREE, from.0, OLD_TERM, message);
            }
        }
        assert_eq!((host.last(), host.term()), (NEXT, Term(OLD_TERM)), "{combination:?}");
    }
}

/// Only who said so of this very slot, in this very term, counts: what was said of the slot before, or in the term
/// before, is no promise about this one.
#[test]
fn what_was_said_of_another_slot_or_in_another_term_does_not_count() {
    let host = loser_in_a_new_term(members(&up_to(5), &BTreeSet::new()));
    let nonce = host.nonce();
    let hear = |host: &mut Host, from: u128, term: u64, answer| {
        let (_, message) = tell(nonce, answer).unwrap();
        host.hear(FREE, from, term, message);
    };

    let mut of_the_next = host.clone();
    hear(&mut of_the_next, 2, NEW_TERM, Answer::Never);
    hear(&mut of_the_next, 3, NEW_TERM, Answer::Copy);
    hear(&mut of_the_next, 4, NEW_TERM, Answer::NeverOfTheNext);
    hear(&mut of_the_next, 5, NEW_TERM, Answer::NeverOfTheNext);
    assert_eq!(of_the_next.last(), NEXT, "two of five say so of the next slot");
    hear(&mut of_the_next, 2, NEW_TERM, Answer::NeverOfTheNext);
    assert_eq!(of_the_next.last(), SLOT);

    let mut in_the_next = host;
    let later = NEW_TERM + 1;
    hear(&mut in_the_next, 2, NEW_TERM, Answer::Never);
    in_the_next.hear(FREE, 5, later, Message::Vote { last: LogId::ZERO, transfer: false });
    hear(&mut in_the_next, 3, later, Answer::Never);
    hear(&mut in_the_next, 4, later, Answer::Never);
    assert_eq!(
        (in_the_next.last(), in_the_next.term()),
        (NEXT, Term(later)),
        "two of five say so in this term"
    );
    hear(&mut in_the_next, 2, later, Answer::Never);
    assert_eq!(in_the_next.last(), LogId::new(1, 1));
}

/// What one of the others would say, when it is asked in the term of the loss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Would {
    Nothing,
    SayNever,
    /// And it hears a leader.
    SayNeverBound,
    SaySomethingElse,
}

#[test]
fn a_new_term_is_entered_when_enough_would_say_never_and_hear_no_leader() {
    // Up to five voters.
    for voters in 2..=5_u32 {
        let mut host = loser(members(&up_to(voters.into()), &BTreeSet::new()));
        host.feed(LATE, quorate_raft::Input::Timeout);
        assert_eq!(host.term(), Term(OLD_TERM));
        let kinds = [Would::Nothing, Would::SayNever, Would::SayNeverBound, Would::SaySomethingElse];
        for number in 0..4_usize.pow(voters - 1) {
            let would = |at: u32| kinds[number / 4_usize.pow(at) % 4];
            let mut host = host.clone();
            let nonce = host.nonce();
            for at in 0..voters - 1 {
                let (held, bound) = match would(at) {
                    Would::Nothing => continue,
                    Would::SayNever => (Held::Never, false),
                    Would::SayNeverBound => (Held::Never, true),
                    Would::SaySomethingElse => (Held::Damaged, false),
                };
                let report = Some(Report { slot: SLOT, held, bound });
                let committed = LogId::ZERO;
                let message = Message::Tell { nonce, entries: Vec::new(), leads_to: None, committed, report };
                host.hear(LATE, u128::from(at) + 2, OLD_TERM, message);
            }
            let willing = (0..voters - 1).filter(|at| would(*at) == Would::SayNever).count();
            let expected = if 2 * willing > voters as usize { NEW_TERM } else { OLD_TERM };
            assert_eq!(host.term(), Term(expected), "of {voters}: {number}");
            assert_eq!(host.last(), NEXT);
        }
    }
}
