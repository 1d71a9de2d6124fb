//! Majorities of up to seven nodes: all configurations, plain and joint, all changes from one to another, and all sets
//! of nodes that agree.

use quorate_raft::{Contact, Index, Members, NodeId, Tally, committed_index, tally};
use std::collections::BTreeSet;
use std::sync::LazyLock;

const NODES: u32 = 7;
/// As many sets of nodes there are, the empty one included.
const SETS: u32 = 1 << NODES;
const ALL: u32 = SETS - 1;

fn nodes(set: u32) -> BTreeSet<NodeId> {
    (0..NODES).filter(|bit| set >> bit & 1 == 1).map(|bit| NodeId(bit.into())).collect()
}

fn has(set: u32, id: NodeId) -> bool {
    set >> id.0 & 1 == 1
}

/// What a configuration of these voters answers, for each set of nodes: one bit a set.
#[derive(Clone, Copy)]
struct Answers {
    /// Who is elected, when exactly these say yes.
    elects: u128,
    /// Whether an entry is committed that exactly these hold.
    commits: u128,
}

impl Answers {
    fn of(members: &Members) -> Self {
        let bits =
            |holds: &dyn Fn(u32) -> bool| (0..SETS).fold(0, |bits, set| bits | u128::from(holds(set)) << set);
        let elects = |set| tally(members, |id| Some(has(set, id))) == Tally::Won;
        let commits = |set| committed_index(members, |id| Index(has(set, id).into())) == Index(1);
        Answers { elects: bits(&elects), commits: bits(&commits) }
    }

    fn elect(self, set: u32) -> bool {
        self.elects >> set & 1 == 1
    }

    fn commit(self, set: u32) -> bool {
        self.commits >> set & 1 == 1
    }

    /// Whether every set that commits here meets every one that elects there. As more nodes never agree less, it is
    /// enough to ask all but those of the first set.
    fn shares_a_voter_with(self, there: Answers) -> bool {
        (0..SETS).all(|set| !(self.commit(set) && there.elect(ALL & !set)))
    }
}

/// The answers of every configuration: `[voters][outgoing]`; no outgoing half, no joint one.
static ALL_ANSWERS: LazyLock<Vec<Vec<Answers>>> = LazyLock::new(|| {
    let halves: Vec<BTreeSet<NodeId>> = (0..SETS).map(nodes).collect();
    let of = |voters: &BTreeSet<NodeId>| -> Vec<Answers> {
        let joint = halves.iter().map(|outgoing| Members {
            voters: voters.clone(),
            outgoing: outgoing.clone(),
            ..Members::default()
        });
        joint.map(|members| Answers::of(&members)).collect()
    };
    halves.iter().map(of).collect()
});

/// More than half of each half that there is.
fn is_majority_of_both(set: u32, voters: u32, outgoing: u32) -> bool {
    let most = |half: u32| half == 0 || (set & half).count_ones() * 2 > half.count_ones();
    voters != 0 && most(voters) && most(outgoing)
}

#[test]
fn in_every_configuration_a_majority_of_both_halves_elects_and_commits() {
    for (voters, row) in (0..SETS).zip(&*ALL_ANSWERS) {
        for (outgoing, answers) in (0..SETS).zip(row).filter(|_| voters != 0) {
            for set in 0..SETS {
                let expected = is_majority_of_both(set, voters, outgoing);
                let said = (answers.elect(set), answers.commit(set));
                assert_eq!(said, (expected, expected), "{voters:07b} {outgoing:07b}: {set:07b}");
                let more = (0..NODES).all(|bit| !answers.elect(set) || answers.elect(set | 1 << bit));
                assert!(more, "{voters:07b} {outgoing:07b}: {set:07b} agree, and with one more they do not");
            }
        }
    }
}

fn configuration(voters: u32) -> Members {
    let voters = nodes(voters);
    let contacts = voters.iter().map(|id| (*id, Contact::default())).collect();
    Members { voters, contacts, ..Members::default() }
}

/// A change as the core makes it: in one step when at most one node comes or goes, else by way of a joint
/// configuration.
fn steps(old: u32, new: u32) -> Vec<(u32, u32)> {
    let (from, to) = (configuration(old), configuration(new));
    assert_eq!(from.voters_apart(&to), (old ^ new).count_ones() as usize);
    if from.voters_apart(&to) <= 1 {
        return vec![(old, 0), (new, 0)];
    }
    let joint = from.joint_to(&to);
    assert_eq!((&joint.voters, &joint.outgoing), (&to.voters, &from.voters));
    assert_eq!((joint.fault(), joint.target()), (None, to));
    vec![(old, 0), (new, old), (new, 0)]
}

#[test]
fn whatever_changes_into_whatever_what_commits_meets_what_elects() {
    let answers = &*ALL_ANSWERS;
    let of = |(voters, outgoing): (u32, u32)| answers[voters as usize][outgoing as usize];
    let mut changes = 0;
    for (old, new) in (1..SETS).flat_map(|old| (1..SETS).map(move |new| (old, new))) {
        let steps = steps(old, new);
        for pair in steps.windows(2) {
            let (before, after) = (of(pair[0]), of(pair[1]));
            for (commits, elects) in [(before, before), (before, after), (after, before), (after, after)] {
                assert!(commits.shares_a_voter_with(elects), "{old:07b} to {new:07b}, in {pair:?}");
            }
        }
        changes += 1;
    }
    assert_eq!(changes, 127 * 127);
}

#[test]
fn without_the_step_between_some_would_not_meet() {
    // So the enumeration can tell: two voters at once, and one to the side.
    let answers = &*ALL_ANSWERS;
    let apart = |old: u32, new: u32| !answers[old as usize][0].shares_a_voter_with(answers[new as usize][0]);
    assert!(apart(0b11, 0b1100) && apart(0b111, 0b11100) && apart(0b1, 0b10));
    let pairs = (1..SETS).flat_map(|old| (1..SETS).map(move |new| (old, new)));
    let closest =
        pairs.filter(|(old, new)| apart(*old, *new)).map(|(old, new)| (old ^ new).count_ones()).min();
    assert_eq!(closest, Some(2));
}

#[test]
fn a_vote_is_won_or_lost_as_soon_as_that_is_certain() {
    // Five nodes: each has said yes, no, or nothing.
    for (voters, outgoing) in (1..32_u32).flat_map(|voters| (0..32).map(move |outgoing| (voters, outgoing))) {
        let members = Members { voters: nodes(voters), outgoing: nodes(outgoing), ..Members::default() };
        for (yes, open) in (0..32_u32).flat_map(|yes| (0..32).map(move |open| (yes, open))) {
            if yes & open != 0 {
                continue;
            }
            let answer = |id| (!has(open, id)).then(|| has(yes, id));
            let expected = match () {
                () if is_majority_of_both(yes, voters, outgoing) => Tally::Won,
                () if is_majority_of_both(yes | open, voters, outgoing) => Tally::Open,
                () => Tally::Lost,
            };
            assert_eq!(tally(&members, answer), expected, "{voters:b} {outgoing:b}: {yes:b}, open {open:b}");
        }
    }
}

#[test]
fn the_highest_index_that_a_majority_of_both_halves_holds_is_committed() {
    // Five nodes, each of which holds nothing, one entry or two.
    for (voters, outgoing) in (1..32_u32).flat_map(|voters| (0..32).map(move |outgoing| (voters, outgoing))) {
        let members = Members { voters: nodes(voters), outgoing: nodes(outgoing), ..Members::default() };
        for (one, two) in (0..32_u32).flat_map(|one| (0..32).map(move |two| (one, two))) {
            if one & two != two {
                continue;
            }
            let held = |id| Index(u64::from(has(one, id)) + u64::from(has(two, id)));
            let expected = [two, one].map(|set| is_majority_of_both(set, voters, outgoing));
            let expected = match expected {
                [true, _] => 2,
                [false, true] => 1,
                [false, false] => 0,
            };
            assert_eq!(
                committed_index(&members, held),
                Index(expected),
                "{voters:b} {outgoing:b}: {one:b} {two:b}"
            );
        }
    }
}
