//! What a node says of a slot that another one lost (Damage, rule 5): every state in which it may hold it, or not.

use crate::host::{FREE, Host, found, members};
use quorate_raft::{Held, Index, LogId, Message, NodeId, Report, Term};

const ASKER: u128 = 1;
const ANSWERER: u128 = 2;
const SLOT: LogId = LogId { term: Term(2), index: Index(3) };

/// How a node stands. Its slots below the one in question are of term 1.
#[derive(Clone, Copy, Debug)]
struct Standing {
    /// The end of its checkpoint; the log begins behind it.
    base: u64,
    /// The end of its log.
    last: u64,
    /// The term of its slots from the one in question on.
    term: u64,
    is_damaged: bool,
    /// Whether a tail behind `last` is lost, terms too.
    has_lost_a_tail: bool,
}

fn standings() -> Vec<Standing> {
    let mut standings = Vec::new();
    for base in 0..=4 {
        for last in base.max(1)..=5 {
            for term in 1..=3 {
                for (is_damaged, has_lost_a_tail) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    // Only what is there can be damaged.
                    if !is_damaged || (base < SLOT.index.0 && SLOT.index.0 <= last) {
                        standings.push(Standing { base, last, term, is_damaged, has_lost_a_tail });
                    }
                }
            }
        }
    }
    standings
}

/// The rule: what was compacted was committed; what is there is there, whole or damaged; who has lost the end of its
/// log does not know; and all others never had it.
fn expected(standing: Standing) -> Held {
    let Standing { base, last, term, is_damaged, has_lost_a_tail } = standing;
    if base >= SLOT.index.0 {
        Held::InSnapshot
    } else if last >= SLOT.index.0 && term == SLOT.term.0 {
        if is_damaged { Held::Damaged } else { Held::Intact }
    } else if has_lost_a_tail && last < SLOT.index.0 {
        Held::Unknown
    } else {
        Held::Never
    }
}

fn answerer(standing: Standing) -> Host {
    let Standing { base, last, term, is_damaged, has_lost_a_tail } = standing;
    let id = |index: u64| LogId::new(if index < SLOT.index.0 { 1 } else { term }, index);
    let slots: Vec<LogId> = (base + 1..=last).map(id).collect();
    let voters = [NodeId(ASKER), NodeId(ANSWERER), NodeId(3)].into();
    let base = if base == 0 { LogId::ZERO } else { id(base) };
    let mut found = found(members(&voters, &[].into()), base, &slots);
    found.hard.term = Term(3);
    found.damaged = slots.into_iter().filter(|slot| is_damaged && slot.index == SLOT.index).collect();
    found.unknown = has_lost_a_tail.then_some(Index(last + 1));
    Host::open(NodeId(ANSWERER), found)
}

fn reports(host: &Host) -> Vec<(Term, Report)> {
    let told = host.sent.iter().filter_map(|envelope| match &envelope.message {
        Message::Tell { report: Some(report), .. } => Some((envelope.term, *report)),
        _ => None,
    });
    told.collect()
}

#[test]
fn every_standing_is_told_as_it_is_and_in_a_durable_term() {
    let mut told = Vec::new();
    for standing in standings() {
        // Asked in the term that the answerer is in, and in a later one.
        for term in [3, 4] {
            let mut host = answerer(standing);
            let ask = Message::Ask {
                nonce: 9,
                first: SLOT.index,
                last: SLOT.index,
                sound: Index(2),
                doubt: Some(SLOT),
            };
            let input = host.from(ASKER, term, ask);
            host.feed_without_disk(FREE, input);
            assert_eq!(reports(&host).is_empty(), term == 4, "before the term is durable: {standing:?}");
            host.sync(FREE);
            let report = Report { slot: SLOT, held: expected(standing), bound: false };
            assert_eq!(reports(&host), [(Term(term), report)], "{standing:?}");
            told.push(report.held);
        }
    }
    for held in [Held::Intact, Held::Damaged, Held::Never, Held::InSnapshot, Held::Unknown] {
        assert!(told.contains(&held), "{held:?} was never told");
    }
}
