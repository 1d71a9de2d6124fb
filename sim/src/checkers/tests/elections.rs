//! Election safety, single votes, leader completeness.

use quorate_node::raft::{Event, LogId, NodeId};

use super::{Story, append, found, hard, install, replace};
use crate::observe::{Ended, FoundLog, MessageKind};

#[test]
fn each_term_has_one_leader() {
    Story::cluster(3).leads(1, 2).leads(2, 3).leads(1, 5).passes();
    Story::cluster(3)
        .leads(1, 2)
        .leads(2, 2)
        .alarms("election-safety", "host 2 became leader of term 2, which");
}

#[test]
fn a_term_has_one_leader_even_if_the_other_one_led_long_ago() {
    Story::cluster(3).leads(1, 2).leads(2, 3).leads(3, 2).alarms("election-safety", "host 1 led already");
}

#[test]
fn a_leader_does_not_lead_its_term_again_after_a_restart() {
    Story::cluster(3)
        .leads(1, 2)
        .ends(1, Ended::Killed)
        .starts(1, found(2, &[]))
        .leads(1, 2)
        .alarms("election-safety", "term 2 twice");
}

#[test]
fn a_vote_may_be_repeated_and_given_anew_in_the_next_term() {
    Story::cluster(3)
        .says(3, 1, 2, MessageKind::VoteReply, [1, 0, 0])
        .says(3, 2, 2, MessageKind::VoteReply, [0, 0, 0])
        .says(3, 1, 2, MessageKind::VoteReply, [1, 0, 0])
        .ends(3, Ended::Killed)
        .starts(3, FoundLog { hard: hard(2, Some(1)), ..found(2, &[]) })
        .says(3, 1, 2, MessageKind::VoteReply, [1, 0, 0])
        .says(3, 2, 3, MessageKind::VoteReply, [1, 0, 0])
        .passes();
}

#[test]
fn pre_votes_promise_nothing() {
    Story::cluster(3)
        .says(3, 1, 2, MessageKind::PreVoteReply, [1, 0, 0])
        .says(3, 2, 2, MessageKind::PreVoteReply, [1, 0, 0])
        .says(3, 1, 2, MessageKind::PreVote, [0, 0, 0])
        .passes();
}

#[test]
fn nobody_votes_twice_in_a_term() {
    Story::cluster(3)
        .says(3, 1, 2, MessageKind::VoteReply, [1, 0, 0])
        .says(3, 2, 2, MessageKind::VoteReply, [1, 0, 0])
        .alarms("single-vote", "host 3 voted for host 1 and then for host 2");
}

#[test]
fn a_candidate_has_voted_for_itself() {
    Story::cluster(3)
        .says(2, 1, 2, MessageKind::Vote, [0, 0, 0])
        .says(2, 3, 2, MessageKind::VoteReply, [1, 0, 0])
        .alarms("single-vote", "host 2 voted for host 2 and then for host 3");
    Story::cluster(3)
        .says(2, 3, 2, MessageKind::VoteReply, [1, 0, 0])
        .says(2, 1, 2, MessageKind::Vote, [0, 0, 0])
        .alarms("single-vote", "host 2 voted for host 3 and then for host 2");
}

/// thesis §3.8; it need not come to a second vote.
#[test]
fn a_vote_that_was_given_is_there_after_a_restart() {
    Story::cluster(3)
        .says(3, 1, 2, MessageKind::VoteReply, [1, 0, 0])
        .ends(3, Ended::PowerLost)
        .starts(3, found(2, &[]))
        .alarms("single-vote", "voted for host 1 in term 2; after a restart it knows of no vote");
    Story::cluster(3)
        .says(3, 1, 2, MessageKind::Vote, [0, 0, 0])
        .ends(3, Ended::PowerLost)
        .starts(3, FoundLog { hard: hard(2, Some(1)), ..found(2, &[]) })
        .alarms("single-vote", "voted for host 3 in term 2; after a restart it knows of one for host 1");
}

#[test]
fn a_vote_in_an_earlier_term_may_be_forgotten() {
    Story::cluster(3)
        .says(3, 1, 2, MessageKind::VoteReply, [1, 0, 0])
        .ends(3, Ended::Killed)
        .starts(3, found(4, &[]))
        .passes();
}

/// Slots 1 and 2 of term 1 on all three, and committed by host 1.
fn two_committed() -> Story {
    let all = |story: Story, host| story.holds(host, append(1, &[(1, 1), (1, 2)]));
    [1, 2, 3].into_iter().fold(Story::cluster(3).leads(1, 1), all).commits(1, 1, 2)
}

#[test]
fn a_new_leader_has_what_was_committed() {
    two_committed().leads(2, 2).passes();
    let found = FoundLog { base: LogId::new(1, 2), snapshot: LogId::new(1, 2), ..found(1, &[]) };
    two_committed().ends(2, Ended::Killed).starts(2, found).leads(2, 2).passes();
}

#[test]
fn a_new_leader_need_not_have_what_was_not_committed() {
    two_committed().holds(1, append(2, &[(1, 3)])).leads(2, 2).passes();
}

#[test]
fn a_leader_that_was_elected_before_need_not_have_what_was_committed_later() {
    // Host 2 wins term 3 while host 1 is cut off; it hears so late of its victory that term 5 has committed by then.
    two_committed()
        .holds(1, append(2, &[(5, 3)]))
        .holds(3, append(2, &[(5, 3)]))
        .commits(1, 5, 3)
        .leads(2, 3)
        .passes();
}

#[test]
fn a_leader_that_installed_a_snapshot_has_what_it_covers() {
    two_committed()
        .holds(1, append(2, &[(1, 3)]))
        .holds(2, append(2, &[(1, 3)]))
        .commits(1, 1, 3)
        .stored(3, 1, 3)
        .holds(3, install(2, 1, 3))
        .leads(3, 2)
        .passes();
}

#[test]
fn a_leader_without_a_committed_slot_is_found() {
    two_committed()
        .holds(1, append(2, &[(1, 3)]))
        .holds(2, append(2, &[(1, 3)]))
        .commits(1, 1, 3)
        .leads(3, 2)
        .alarms("leader-completeness", "host 3 became leader of term 2 without slot 1/3");
}

/// The thesis's figure 3.7 (d): entries of an earlier term were committed by counting replicas (logcabin#44).
#[test]
fn a_leader_with_another_slot_where_one_was_committed_is_found() {
    Story::cluster(3)
        .holds(1, append(1, &[(1, 1), (2, 2)]))
        .holds(2, append(1, &[(1, 1)]))
        .holds(3, append(1, &[(1, 1), (3, 2)]))
        .leads(1, 4)
        .holds(2, append(2, &[(2, 2)]))
        .commits(1, 4, 2)
        .leads(3, 5)
        .alarms("leader-completeness", "it has 3/2 there");
}

#[test]
fn a_leader_that_lost_a_slot_to_a_truncation_is_found() {
    two_committed()
        .holds(2, replace(2, &[(2, 2)]))
        .leads(2, 3)
        .alarms("leader-completeness", "without slot 1/2");
}

#[test]
fn what_a_core_drops_as_nonsense_is_somebodys_fault() {
    let nonsense = |from| Event::Nonsense { from, what: "two leaders in one term" };
    Story::cluster(3).event(1, nonsense(Some(NodeId(2)))).alarms("makes-sense", "host 1 was told by host 2");
    Story::cluster(3).event(1, nonsense(None)).alarms("makes-sense", "by its own disk");
}
