//! Which rare states are counted, and that each of them can be.

use std::collections::BTreeSet;

use quorate_node::raft::{CampaignCause, Event, Index, LogId, NodeId, Role, StepDownCause, Term};

use super::super::{ON_DEMAND, RARE_STATES};
use super::audits::{differs, expired, replayed};
use super::{Story, append, found, install, replace};
use crate::audit::Account;
use crate::history::Outcome;
use crate::observe::{Ended, FoundLog, MessageKind, Observation, Said, Wanted};

/// The rare states of a story, each with how often it was counted.
fn rare(story: &Story) -> Vec<(&'static str, u64)> {
    story.judge.rare().iter().collect()
}

fn campaigns(story: Story, host: u8, term: u64) -> Story {
    story.event(host, Event::Campaign { term: Term(term), cause: CampaignCause::NoLeader })
}

fn follows(story: Story, host: u8, term: u64, leader: u8) -> Story {
    story.event(host, Event::Follows { term: Term(term), leader: NodeId(leader.into()) })
}

fn steps_down(story: Story, cause: StepDownCause) -> Story {
    story.event(1, Event::SteppedDown { term: Term(1), cause })
}

/// One story for each rare state.
fn stories() -> Vec<(&'static str, Story)> {
    let cluster = || Story::cluster(3);
    let leader = |story: Story, host, term| story.stands(host, Role::Leader, term, 0);
    let down = |cause| steps_down(cluster(), cause);
    let slot = LogId::new(1, 1);
    let damaged = FoundLog { damaged: vec![slot], ..found(1, &[1]) };
    let compacted = FoundLog { base: slot, snapshot: slot, ..found(1, &[]) };
    let asks = |outcome| cluster().puts(1, 0, "a").hears(1, 0, outcome, None);
    let told = |account| cluster().sees(Observation::Account { auditor: 1, number: 1, account });
    let told_to_run = Event::Campaign { term: Term(1), cause: CampaignCause::Transfer };
    let said = Said { kind: MessageKind::ReadIndexReply, term: Term(1), numbers: [1, 1, 0] };
    vec![
        ("leader change", cluster().leads(1, 1).leads(2, 2)),
        ("election without a winner", campaigns(campaigns(cluster(), 1, 1), 1, 2)),
        ("two leaders at once, of different terms", leader(leader(cluster(), 1, 1), 2, 2)),
        ("leader deposed by a higher term", down(StepDownCause::HigherTerm)),
        ("leader steps down: hears no majority", down(StepDownCause::NoQuorum)),
        ("leader steps down: disk stands still", down(StepDownCause::SlowDisk)),
        ("diverged entries are replaced", cluster().writes(1, replace(1, &[(1, 1)]))),
        ("snapshot installed", cluster().writes(1, install(1, 1, 1))),
        ("damage found at a start", Story::new().starts(1, damaged)),
        ("damage found while running", cluster().event(1, Event::Damaged { slot })),
        ("damaged slot repaired", cluster().event(1, Event::Repaired { slot })),
        ("unknown outcome", asks(Outcome::Unknown)),
        ("definite failure", asks(Outcome::Failed)),
        ("unsynced writes lost", cluster().writes(1, append(1, &[(1, 1)])).starts(1, found(0, &[]))),
        ("log begins after a checkpoint", Story::new().starts(1, compacted)),
        ("server stopped by its disk", cluster().ends(1, Ended::DiskFailed)),
        ("server will not start on a lost disk", cluster().ends(1, Ended::Refused("lost".to_owned()))),
        ("read served by a follower", cluster().sees(Observation::Received { from: 1, to: 2, said })),
        ("leader ended", leader(cluster(), 1, 1).ends(1, Ended::Killed)),
        ("joint configuration", cluster().members(1, &[1, 2], &[1, 2, 3])),
        ("leader told to run by another", cluster().event(1, told_to_run)),
        ("hand-over given up", cluster().event(1, Event::TransferGivenUp { to: NodeId(2) })),
        ("leader steps down: no longer votes", down(StepDownCause::Removed)),
        ("no room for more log", cluster().event(1, Event::ShortOfRoom)),
        ("room for the log again, without a restart", cluster().event(1, Event::RoomAgain)),
        ("damage found at rest, without a restart", cluster().sees(Observation::FoundAtRest { host: 1 })),
        ("read served by lease", cluster().sees(Observation::ServedByLease { host: 1 })),
        ("key gone by itself", told(Account::Saw(expired(2, "a")))),
        ("answer given again to a repeated request", told(replayed(1))),
        ("transaction not done on other terms", told(differs(1, None))),
        ("past gone that somebody wants", told(Account::Gone { oldest: 30, newest: Some(90) })),
        ("dead voter taken out", leader(cluster(), 1, 1).members(1, &[1, 2], &[])),
    ]
}

#[test]
fn each_rare_state_is_counted_once_and_nothing_else_is() {
    for (state, story) in stories() {
        assert_eq!(rare(&story), [(state, 1)]);
    }
}

#[test]
fn every_rare_state_has_a_story() {
    let told: BTreeSet<&str> = stories().into_iter().map(|(state, _)| state).collect();
    assert_eq!(told, RARE_STATES.into_iter().chain(ON_DEMAND).collect());
}

#[test]
fn an_uneventful_life_is_not_rare() {
    let story = campaigns(Story::cluster(3), 1, 1).leads(1, 1).holds(1, append(1, &[(1, 1)]));
    let story = follows(story, 2, 1, 1).commits(1, 1, 0).commits(1, 1, 1).ends(2, Ended::Killed);
    let story = story.starts(2, found(1, &[])).puts(1, 0, "a").written(1, 0, 2);
    assert_eq!(rare(&story), []);
}

#[test]
fn a_campaign_that_somebody_else_wins_had_a_winner() {
    let story = follows(campaigns(Story::cluster(3), 1, 1), 1, 1, 2);
    assert_eq!(rare(&campaigns(story, 1, 2)), []);
}

#[test]
fn a_campaign_that_ended_with_its_server_was_not_lost_in_a_vote() {
    let story = campaigns(Story::cluster(3), 1, 1).ends(1, Ended::Killed).starts(1, found(1, &[]));
    assert_eq!(rare(&campaigns(story, 1, 2)), []);
}

#[test]
fn leaders_that_follow_each_other_do_not_lead_at_once() {
    let story = Story::cluster(3).stands(1, Role::Leader, 1, 0).stands(1, Role::Follower, 2, 0);
    assert_eq!(rare(&story.stands(2, Role::Leader, 2, 0).stands(2, Role::Leader, 2, 0)), []);
    let story = Story::cluster(3).stands(1, Role::Leader, 1, 0).ends(1, Ended::Killed);
    assert_eq!(rare(&story.stands(2, Role::Leader, 2, 0)), [("leader ended", 1)]);
}

#[test]
fn a_voter_that_an_operator_takes_out_was_not_dead() {
    let ordered = |wanted| {
        let story = Story::cluster(3).stands(1, Role::Leader, 1, 0);
        rare(&story.sees(Observation::Orders { number: 1, wanted }).members(1, &[1, 2], &[]))
    };
    let (two, three) = (NodeId(2), NodeId(3));
    assert_eq!(ordered(Wanted::Gone(three)), []);
    assert_eq!(ordered(Wanted::Member(NodeId(13))), []);
    assert_eq!(ordered(Wanted::Members { voters: vec![NodeId(1), two], learners: vec![three] }), []);
    assert_eq!(ordered(Wanted::Gone(two)), [("dead voter taken out", 1)]);
}

#[test]
fn only_an_answer_at_once_is_one_by_lease() {
    let asked = Story::cluster(3).hears_message(2, 1, 1, MessageKind::ReadIndex, [7, 1, 0]);
    let answered = |story: Story| rare(&story.says(1, 2, 1, MessageKind::ReadIndexReply, [7, 1, 0]));
    assert_eq!(answered(asked), [("read served by lease", 1)]);
    let asked = Story::cluster(3).hears_message(2, 1, 1, MessageKind::ReadIndex, [7, 1, 0]);
    assert_eq!(answered(asked.waits()), []);
}

#[test]
fn an_unknown_tail_is_damage() {
    let story = Story::new().starts(1, FoundLog { unknown: Some(Index(1)), ..found(1, &[]) });
    assert_eq!(rare(&story), [("damage found at a start", 1)]);
}
