//! Operators are told what is so.

use quorate_node::raft::{LogId, NodeId, TokenHash};

use super::{Story, append};
use crate::observe::{Configuration, LogWrite, Observation, Wanted};

fn ids(servers: &[u8]) -> Vec<NodeId> {
    servers.iter().map(|server| NodeId((*server).into())).collect()
}

/// A write of one entry about the members at `index` of term 2.
fn configures(id: u64, index: u64, voters: &[u8], outgoing: &[u8], learners: &[u8]) -> LogWrite {
    let configuration =
        Configuration { voters: ids(voters), outgoing: ids(outgoing), learners: ids(learners) };
    LogWrite { members: vec![(LogId::new(2, index), configuration)], ..append(id, &[(2, index)]) }
}

/// Host 1 leads three in term 2, and an operator wants something.
fn asked(wanted: Wanted) -> Story {
    let both = |story: Story, host: &u8| story.holds(*host, configures(1, 1, &[1, 2, 3], &[], &[]));
    let story = [1, 2].iter().fold(Story::cluster(3), both).leads(1, 2).commits(1, 2, 1);
    story.sees(Observation::Orders { number: 7, wanted }).waits()
}

/// The hosts 1 and 2 have this entry at index 2 durably, and host 1 commits it.
fn is_made(story: Story, voters: &[u8], outgoing: &[u8], learners: &[u8]) -> Story {
    let write = || configures(2, 2, voters, outgoing, learners);
    story.holds(1, write()).holds(2, write()).commits(1, 2, 2)
}

fn told(story: Story) -> Story {
    story.sees(Observation::Told { number: 7 }).waits()
}

#[test]
fn a_change_that_is_committed_is_done() {
    told(is_made(asked(Wanted::Gone(NodeId(3))), &[1, 2], &[], &[])).passes();
    told(is_made(asked(Wanted::Member(NodeId(4))), &[1, 2, 3], &[], &[4])).passes();
    told(is_made(asked(Wanted::Member(NodeId(13))), &[1, 2], &[], &[13])).passes();
    let demoted = Wanted::Members { voters: ids(&[1, 2]), learners: ids(&[3]) };
    told(is_made(asked(demoted), &[1, 2], &[], &[3])).passes();
    told(asked(Wanted::Voter(NodeId(3)))).passes();
}

#[test]
fn a_change_that_is_only_written_is_not_done() {
    let written =
        asked(Wanted::Gone(NodeId(3))).holds(1, configures(2, 2, &[1, 2], &[], &[])).commits(1, 2, 1);
    told(written).alarms("orders-kept", "was told that Gone");
}

#[test]
fn a_change_to_something_else_is_not_done() {
    told(is_made(asked(Wanted::Voter(NodeId(4))), &[1, 2, 3], &[], &[4])).alarms("orders-kept", "Voter");
    told(is_made(asked(Wanted::Gone(NodeId(3))), &[1, 2], &[], &[3])).alarms("orders-kept", "Gone");
    let wanted = Wanted::Members { voters: ids(&[1, 2]), learners: Vec::new() };
    told(is_made(asked(wanted), &[1, 2], &[1, 2, 3], &[])).alarms("orders-kept", "Members");
}

#[test]
fn who_takes_a_place_is_there_alone() {
    let both = is_made(asked(Wanted::Member(NodeId(13))), &[1, 2, 3], &[], &[13]);
    told(both).alarms("orders-kept", "Member");
}

#[test]
fn what_was_so_before_it_was_asked_and_is_no_more_is_not_done() {
    let gone = is_made(asked(Wanted::Gone(NodeId(3))), &[1, 2], &[], &[]);
    let story = gone.sees(Observation::Orders { number: 8, wanted: Wanted::Voter(NodeId(3)) }).waits();
    story.sees(Observation::Told { number: 8 }).alarms("orders-kept", "Voter");
}

#[test]
fn nobody_is_told_of_what_was_not_ordered() {
    told(Story::cluster(3)).alarms("orders-kept", "never given");
}

/// An operator is told that this node was let in by this token.
fn let_in(story: Story, token: u8, node: u128) -> Story {
    story.sees(Observation::LetIn { token: TokenHash([token; 32]), node: NodeId(node) }).waits()
}

#[test]
fn a_join_token_that_lets_two_nodes_in_is_noticed() {
    let twice = let_in(let_in(Story::cluster(3), 1, 4), 1, 4);
    let_in(twice, 2, 5).passes();
    let_in(let_in(Story::cluster(3), 1, 4), 1, 5).alarms("tokens-once", "and then node");
}
