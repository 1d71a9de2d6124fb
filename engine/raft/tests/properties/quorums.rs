//! Majorities of configurations too large to enumerate (up to seven voters are, next to the code).

use crate::cases;
use proptest::collection::btree_set;
use proptest::prelude::*;
use quorate_raft::{Index, Members, NodeId, Tally, committed_index, tally};
use std::collections::BTreeSet;

fn some_nodes(count: std::ops::RangeInclusive<usize>) -> impl Strategy<Value = BTreeSet<NodeId>> {
    btree_set((1..=15_u128).prop_map(NodeId), count)
}

fn configuration() -> impl Strategy<Value = Members> {
    (some_nodes(1..=15), prop_oneof![Just(BTreeSet::new()), some_nodes(1..=15)])
        .prop_map(|(voters, outgoing)| Members { voters, outgoing, ..Members::default() })
}

fn wins(members: &Members, yes: &BTreeSet<NodeId>) -> bool {
    tally(members, |id| Some(yes.contains(&id))) == Tally::Won
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn two_agreements_share_a_voter(members in configuration(), yes in some_nodes(0..=15)) {
        let others: BTreeSet<NodeId> = (1..=15).map(NodeId).filter(|id| !yes.contains(id)).collect();
        prop_assert!(!(wins(&members, &yes) && wins(&members, &others)));
    }

    #[test]
    fn one_voter_more_leaves_no_room_for_two_majorities(
        old in some_nodes(1..=14),
        added in (1..=15_u128).prop_map(NodeId),
        yes in some_nodes(0..=15),
    ) {
        let old = Members { voters: old, ..Members::default() };
        let new = old.with_voter(added);
        let others: BTreeSet<NodeId> = (1..=15).map(NodeId).filter(|id| !yes.contains(id)).collect();
        prop_assert!(!(wins(&old, &yes) && wins(&new, &others)));
        prop_assert!(!(wins(&new, &yes) && wins(&old, &others)));
    }

    #[test]
    fn an_index_is_committed_exactly_when_its_holders_agree(
        members in configuration(),
        heights in proptest::collection::vec(0..9_u64, 16),
    ) {
        let matched = |id: NodeId| Index(heights[id.0 as usize]);
        let committed = committed_index(&members, matched);
        for index in (1..9).map(Index) {
            let holders = (1..=15).map(NodeId).filter(|id| matched(*id) >= index).collect();
            prop_assert_eq!(wins(&members, &holders), committed >= index);
        }
    }

    #[test]
    fn a_verdict_is_final(
        members in configuration(),
        answers in proptest::collection::vec(proptest::option::of(any::<bool>()), 16),
        rest in any::<bool>(),
    ) {
        let early = tally(&members, |id| answers[id.0 as usize]);
        let late = tally(&members, |id| answers[id.0 as usize].or(Some(rest)));
        prop_assert_ne!(late, Tally::Open);
        prop_assert!(early == Tally::Open || early == late);
    }
}
