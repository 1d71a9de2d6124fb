//! Every majority in the core is counted here.
//!
//! In a joint configuration an agreement needs a majority of *both* halves (thesis §4.3); in a plain one the
//! outgoing half is empty and agrees with anything. Two agreements of one configuration always share a voter,
//! and so do those of a configuration and of one that differs from it by a single voter (thesis §4.1): the
//! tests enumerate both.

use crate::{Index, Members, NodeId};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// What a vote has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// A majority of each half said yes.
    Won,
    /// A majority of each half can no longer say yes.
    Lost,
    /// Neither yet.
    Open,
}

/// Counts answers: `Some(true)` for yes, `Some(false)` for no, `None` while there is none.
pub fn tally(members: &Members, answer: impl Fn(NodeId) -> Option<bool>) -> Tally {
    let halves = [half_tally(&members.voters, &answer), half_tally(&members.outgoing, &answer)];
    if halves.contains(&Tally::Lost) {
        Tally::Lost
    } else if halves.contains(&Tally::Open) {
        Tally::Open
    } else {
        Tally::Won
    }
}

fn half_tally(half: &BTreeSet<NodeId>, answer: impl Fn(NodeId) -> Option<bool>) -> Tally {
    let needed = majority(half.len());
    let count = |wanted| half.iter().filter(|id| answer(**id) == Some(wanted)).count();
    if half.is_empty() || count(true) >= needed {
        Tally::Won
    } else if count(false) > half.len() - needed {
        Tally::Lost
    } else {
        Tally::Open
    }
}

/// The highest index that a majority of each half holds durably (thesis §3.6.2); `matched` gives what is known
/// to be durable at a voter.
pub fn committed_index(members: &Members, matched: impl Fn(NodeId) -> Index) -> Index {
    Index(agreed(members, |id| matched(id).0))
}

/// The highest number that a majority of each half has reached; zero when nobody votes.
pub(crate) fn agreed(members: &Members, reached: impl Fn(NodeId) -> u64) -> u64 {
    let incoming = half_agreed(&members.voters, &reached);
    let outgoing = half_agreed(&members.outgoing, &reached);
    incoming.unwrap_or_default().min(outgoing.unwrap_or(u64::MAX))
}

fn half_agreed(half: &BTreeSet<NodeId>, reached: impl Fn(NodeId) -> u64) -> Option<u64> {
    let mut numbers: Vec<u64> = half.iter().map(|id| reached(*id)).collect();
    numbers.sort_unstable();
    numbers.len().checked_sub(majority(numbers.len())).and_then(|at| numbers.get(at).copied())
}

fn majority(voters: usize) -> usize {
    voters / 2 + 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_possible_truncation)]

    use super::*;
    use alloc::vec;

    fn configuration(incoming: u32, outgoing: u32) -> Members {
        let half =
            |bits: u32| (0..7_u32).filter(|bit| bits >> bit & 1 == 1).map(|bit| NodeId(bit.into())).collect();
        Members { voters: half(incoming), outgoing: half(outgoing), ..Members::default() }
    }

    fn wins(members: &Members, yes: u32) -> bool {
        tally(members, |id| Some(yes >> id.0 & 1 == 1)) == Tally::Won
    }

    #[test]
    fn two_agreements_of_one_joint_configuration_share_a_voter() {
        // A set of voters wins exactly when its complement cannot: if both could, two leaders would be elected.
        for incoming in 1..128 {
            for outgoing in 0..128 {
                let members = configuration(incoming, outgoing);
                for yes in 0..128_u32 {
                    if wins(&members, yes) {
                        assert!(!wins(&members, !yes & 127), "{incoming:b} {outgoing:b} {yes:b}");
                    }
                }
            }
        }
    }

    #[test]
    fn configurations_one_voter_apart_share_a_voter() {
        for old in 1..128_u32 {
            for new in (0..7).map(|bit| old ^ (1 << bit)).filter(|new| *new != 0) {
                let (old, new) = (configuration(old, 0), configuration(new, 0));
                for yes in 0..128 {
                    assert!(!(wins(&old, yes) && wins(&new, !yes & 127)));
                }
            }
        }
    }

    #[test]
    fn both_halves_agree_with_the_joint_configuration_between_them() {
        for old in 1..64_u32 {
            for new in 1..64_u32 {
                let joint = configuration(new, old);
                for yes in 0..64 {
                    if wins(&joint, yes) {
                        assert!(!wins(&configuration(old, 0), !yes & 63));
                        assert!(!wins(&configuration(new, 0), !yes & 63));
                    }
                }
            }
        }
    }

    #[test]
    fn a_lease_and_an_election_share_a_voter_across_a_pending_change() {
        // A leader counts its lease by the configuration it has. Another may run in the one before or after it; whoever
        // promised the leader not to help is then missing to the other.
        for old in 1..32_u32 {
            for new in 1..32_u32 {
                let steps = match (old ^ new).count_ones() {
                    0 | 1 => vec![(old, 0), (new, 0)],
                    _ => vec![(old, 0), (new, old), (new, 0)],
                };
                let steps: Vec<Members> =
                    steps.into_iter().map(|(new, old)| configuration(new, old)).collect();
                for (one, other) in steps.iter().zip(&steps[1..]) {
                    for promised in 0..32_u32 {
                        let holds = |members| agreed(members, |id| (promised >> id.0 & 1).into()) == 1;
                        for (leads, runs) in [(one, other), (other, one), (one, one), (other, other)] {
                            assert!(
                                !(holds(leads) && wins(runs, !promised & 31)),
                                "{old:b} {new:b} {promised:b}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_index_is_committed_exactly_when_its_holders_win() {
        for (incoming, outgoing) in [(0b1, 0), (0b11, 0), (0b111, 0), (0b11111, 0), (0b111, 0b11110)] {
            let members = configuration(incoming, outgoing);
            for heights in 0..3_u64.pow(5) {
                let matched = |id: NodeId| Index(heights / 3_u64.pow(id.0 as u32) % 3);
                let committed = committed_index(&members, matched);
                for index in 1..3 {
                    let holders = (0..5).filter(|bit| matched(NodeId(*bit)) >= Index(index));
                    let yes = holders.fold(0, |yes, bit| yes | 1 << bit);
                    assert_eq!(wins(&members, yes), committed >= Index(index));
                }
            }
        }
    }

    #[test]
    fn a_vote_is_lost_when_it_can_no_longer_be_won() {
        let members = configuration(0b111, 0);
        let answers = |known: &[(u128, bool)]| {
            tally(&members, |id| known.iter().find(|(of, _)| *of == id.0).map(|(_, yes)| *yes))
        };
        assert_eq!(answers(&[(0, true)]), Tally::Open);
        assert_eq!(answers(&[(0, true), (1, true)]), Tally::Won);
        assert_eq!(answers(&[(0, false), (1, true)]), Tally::Open);
        assert_eq!(answers(&[(0, false), (1, false)]), Tally::Lost);
    }

    #[test]
    fn nobody_wins_without_voters_and_nothing_is_committed() {
        assert_eq!(committed_index(&configuration(0, 0), |_| Index(5)), Index(0));
    }
}
