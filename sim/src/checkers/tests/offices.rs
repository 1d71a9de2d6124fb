//! Who leads on, what the deposed are told, and what a leader takes that hands over.

use quorate_node::raft::trace::{Line, Step};
use quorate_node::raft::{Event, NodeId, Role, Time};

use super::{Story, write};
use crate::observe::{Ended, MessageKind, Observation, Steps};
use crate::plan::{Host, Plan, Scenario};
use crate::run::Jury;

const TERM: u64 = 2;

/// Three hosts, the first of which leads. Timeouts are half a second, heartbeats a tenth of that.
fn office(checker: &'static str) -> Story {
    let mut plan = Plan::new(Scenario::Swarm, 1);
    (plan.knobs.election_timeout_ms, plan.knobs.heartbeat_ms) = (500, 50);
    plan.faults.clear();
    let mut story = Story::of(&plan);
    story.judge.ask(Jury::Only(checker));
    story.members(1, &[1, 2, 3], &[]).stands(1, Role::Leader, TERM, 0)
}

fn calls(story: Story) -> Story {
    story.says(1, 2, TERM, MessageKind::Heartbeat, [0; 3])
}

fn answers(story: Story, from: Host) -> Story {
    story.hears_message(from, 1, TERM, MessageKind::HeartbeatReply, [0; 3])
}

/// Calls for so many heartbeats, before each of which these answer.
fn leads_on(story: Story, heartbeats: u32, heard: &[Host]) -> Story {
    (0..heartbeats).fold(story, |story, _| {
        let story = heard.iter().fold(story.waits_for_ms(50), |story, host| answers(story, *host));
        calls(story)
    })
}

#[test]
fn a_leader_that_hears_no_majority_leads_on() {
    leads_on(office("fit-to-lead"), 40, &[]).alarms("fit-to-lead", "no majority of the voters [1, 2, 3]");
    leads_on(office("fit-to-lead"), 40, &[2]).passes();
    // Steps down in time, and leads again later.
    leads_on(office("fit-to-lead"), 30, &[]).stands(1, Role::Follower, TERM, 0).waits_for_ms(5_000).passes();
    let again = leads_on(office("fit-to-lead"), 30, &[]).stands(1, Role::Leader, TERM + 1, 0);
    leads_on(again, 30, &[]).passes();
}

#[test]
fn both_halves_of_a_joint_configuration_are_to_be_heard() {
    let joint = || office("fit-to-lead").members(1, &[1, 2, 3], &[1, 4, 5]);
    leads_on(joint(), 40, &[2]).alarms("fit-to-lead", "no majority of the voters [1, 4, 5]");
    leads_on(joint(), 40, &[2, 4]).passes();
    // A leader that no longer votes does not count itself.
    let removed = office("fit-to-lead").members(1, &[2, 3, 4], &[]);
    leads_on(removed, 40, &[2]).alarms("fit-to-lead", "[2, 3, 4]");
}

#[test]
fn a_leader_whose_disk_stands_still_leads_on() {
    let stalls = || office("fit-to-lead").writes(1, write(7));
    leads_on(stalls(), 40, &[2]).alarms("fit-to-lead", "its disk has done nothing");
    leads_on(leads_on(stalls(), 20, &[2]).durable(1, 7), 40, &[2]).passes();
}

#[test]
fn who_was_stopped_or_has_another_clock_gets_its_time() {
    // It stands still; then it calls once before it notices.
    calls(calls(office("fit-to-lead").waits_for_ms(9_000)).waits_for_ms(100)).passes();
    let fault = || Observation::Fault { number: 0, begins: false };
    let stopped_twice = calls(office("fit-to-lead").waits_for_ms(9_000)).sees(fault()).waits_for_ms(9_000);
    calls(stopped_twice).passes();
    let clock = |rate| Observation::Clock { host: 1, shows: Time(0), rate };
    let slow = leads_on(office("fit-to-lead").sees(clock(100)), 100, &[]);
    leads_on(slow.sees(clock(1_000)), 60, &[]).alarms("fit-to-lead", "no majority");
    leads_on(office("fit-to-lead").sees(clock(100)), 100, &[]).passes();
    // It went back by two seconds: what was heard last seems to have been heard just now, and for so long.
    let shows = |shows| Observation::Clock { host: 1, shows: Time(shows), rate: 1_000 };
    let back = || office("fit-to-lead").sees(shows(9_000_000)).sees(shows(7_000_000));
    leads_on(back(), 70, &[]).passes();
    leads_on(back(), 80, &[]).alarms("fit-to-lead", "no majority");
    // Whatever happens meanwhile, time goes on for it only then.
    let changed = || back().waits_for_ms(50).members(1, &[1, 2], &[]);
    leads_on(changed(), 70, &[]).passes();
    leads_on(changed(), 80, &[]).alarms("fit-to-lead", "no majority");
    leads_on(back().stands(1, Role::Leader, TERM + 1, 0), 70, &[]).passes();
    let slowed = back().sees(Observation::Clock { host: 1, shows: Time(7_000_000), rate: 100 });
    leads_on(slowed.sees(shows(7_000_000)), 70, &[]).passes();
    // What is said in another term is no answer to this one's leader.
    let others = (0..40).fold(office("fit-to-lead"), |story, _| {
        let story = story.waits_for_ms(50).hears_message(2, 1, TERM + 1, MessageKind::PreVote, [0; 3]);
        calls(story)
    });
    others.alarms("fit-to-lead", "no majority");
}

fn moved_on() -> Story {
    office("stale-is-told").stands(2, Role::Follower, TERM + 1, 0)
}

fn stale(story: Story, kind: MessageKind) -> Story {
    story.hears_message(1, 2, TERM, kind, [0; 3]).waits()
}

#[test]
fn who_asks_in_a_term_that_is_over_is_ignored() {
    for kind in [MessageKind::Heartbeat, MessageKind::Append, MessageKind::Snapshot, MessageKind::Vote] {
        let elsewhere = stale(moved_on(), kind).says(2, 3, TERM + 1, MessageKind::VoteReply, [0; 3]);
        stale(elsewhere, kind)
            .alarms("stale-is-told", "host 2 is in term 3 and was asked by host 1 in term 2");
    }
}

#[test]
fn who_is_told_or_has_to_wait_is_not_ignored() {
    let beat = MessageKind::Heartbeat;
    // Nothing has been said yet: the newer term may not be durable.
    stale(stale(moved_on(), beat), beat).passes();
    // What needs no durable term says nothing of that.
    let asks = stale(moved_on(), beat).says(2, 3, TERM + 2, MessageKind::PreVote, [0; 3]);
    stale(asks, beat).passes();
    let told = stale(moved_on(), beat).says(2, 1, TERM + 1, MessageKind::HeartbeatReply, [0; 3]);
    stale(told.says(2, 3, TERM + 1, MessageKind::VoteReply, [0; 3]), beat).passes();
    // What waited is not said any more in a term that is newer still.
    let spoke = stale(moved_on(), beat).says(2, 3, TERM + 1, MessageKind::VoteReply, [0; 3]);
    stale(spoke.stands(2, Role::Follower, TERM + 2, 0), beat).passes();
    // A question of the same term, and an answer of an older one, ask for nothing.
    let same = office("stale-is-told").stands(2, Role::Follower, TERM, 0);
    stale(stale(same, beat).says(2, 3, TERM, MessageKind::VoteReply, [0; 3]), beat).passes();
    let reply = MessageKind::HeartbeatReply;
    stale(stale(moved_on(), reply).says(2, 3, TERM + 1, MessageKind::VoteReply, [0; 3]), reply).passes();
    // Who begins anew owes nobody anything.
    let spoke = stale(moved_on(), beat).says(2, 3, TERM + 1, MessageKind::VoteReply, [0; 3]);
    stale(spoke.ends(2, Ended::Killed).stands(2, Role::Follower, TERM + 1, 0), beat).passes();
}

fn takes(story: Story, lines: &[&str]) -> Story {
    let step = |line: &&str| line.parse::<Line>().unwrap().step;
    let steps: Vec<Step> = lines.iter().map(step).collect();
    answers(story, 2).sees(Observation::Traced { host: 1, steps: Steps(steps) }).waits()
}

const PROPOSAL: &str = "1: appends slot=2/9";

#[test]
fn a_leader_that_hands_over_takes_a_proposal() {
    let begun = || office("hand-over").event(1, Event::TransferBegun { to: NodeId(3) });
    takes(begun(), &[PROPOSAL])
        .alarms("hand-over", "host 1 hands over to host 3 and takes a proposal: appends");
    let given_up = begun().event(1, Event::TransferGivenUp { to: NodeId(3) });
    takes(given_up, &[PROPOSAL]).passes();
    takes(begun().stands(1, Role::Follower, TERM, 0), &[PROPOSAL]).passes();
    takes(begun(), &["1: resigns term=2", "1: follows leader=3", PROPOSAL]).passes();
    takes(begun(), &["1: configures slot=2/9 configuration=1|-|-"]).passes();
    // What came in the same turn came first.
    let lines = Steps(vec![PROPOSAL.parse::<Line>().unwrap().step]);
    begun().sees(Observation::Traced { host: 1, steps: lines }).passes();
}

fn promises(election_timeout_ms: u64) -> Story {
    let story =
        office("promise-kept").waits_for_ms(1_000).hears_message(1, 2, TERM, MessageKind::Heartbeat, [0; 3]);
    story.says(2, 1, TERM, MessageKind::HeartbeatReply, [0; 3]).waits_for_ms(election_timeout_ms)
}

fn asks(story: Story, kind: MessageKind, transfer: u64) -> Story {
    story.hears_message(3, 2, TERM + 1, kind, [9, TERM, transfer])
}

fn helps(story: Story, kind: MessageKind) -> Story {
    story.says(2, 3, TERM + 1, kind, [1, 0, 0])
}

#[test]
fn who_has_answered_a_leader_helps_another_too_soon() {
    use MessageKind::{PreVote, PreVoteReply, Vote, VoteReply};
    for (ask, help) in [(PreVote, PreVoteReply), (Vote, VoteReply)] {
        helps(asks(promises(499), ask, 0), help).alarms("promise-kept", "host 2");
        helps(asks(promises(500), ask, 0), help).passes();
        // It need not have promised anything to a leader that it does not answer.
        let unanswered = office("promise-kept").hears_message(1, 2, TERM, MessageKind::Heartbeat, [0; 3]);
        helps(asks(unanswered, ask, 0), help).passes();
        let restarted = promises(9).ends(2, Ended::Killed).starts(2, super::found(TERM, &[]));
        helps(asks(restarted, ask, 0), help).alarms("promise-kept", "after it had answered a leader");
        // To refuse is to keep it.
        asks(promises(9), ask, 0).says(2, 3, TERM + 1, help, [0; 3]).passes();
        // Asked once more when it is free.
        helps(asks(asks(promises(9), ask, 0).waits_for_ms(500), ask, 0), help).passes();
    }
}

#[test]
fn who_is_told_to_run_is_helped_and_other_clocks_are_left_alone() {
    helps(asks(promises(9), MessageKind::Vote, 1), MessageKind::VoteReply).passes();
    let clock = |rate| Observation::Clock { host: 2, shows: Time(9_000_000), rate };
    helps(asks(promises(9).sees(clock(1_000)), MessageKind::Vote, 0), MessageKind::VoteReply).passes();
    let fast = office("promise-kept").sees(clock(1_500));
    let fast = fast.hears_message(1, 2, TERM, MessageKind::Heartbeat, [0; 3]);
    let fast = fast.says(2, 1, TERM, MessageKind::HeartbeatReply, [0; 3]).waits_for_ms(400);
    helps(asks(fast, MessageKind::Vote, 0), MessageKind::VoteReply).passes();
}
