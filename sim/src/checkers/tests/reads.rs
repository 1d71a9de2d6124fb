//! An index for a read is named only by who leads for sure.

use quorate_node::raft::Time;

use super::{Story, append, found};
use crate::observe::{MessageKind, Observation};
use crate::plan::{Fault, Plan, Scenario, Timed};

/// Host 1 leads three in term 2 and has committed there; host 2 asks it for an index after round 1.
fn asked() -> Story {
    let story = [1, 2].iter().fold(Story::cluster(3), |story, host| story.holds(*host, append(1, &[(2, 1)])));
    let story = story.leads(1, 2).commits(1, 2, 1).says(1, 2, 2, MessageKind::Heartbeat, [1, 1, 0]);
    story.hears_message(2, 1, 2, MessageKind::ReadIndex, [7, 0, 0])
}

fn answers(story: Story) -> Story {
    story.says(1, 2, 2, MessageKind::ReadIndexReply, [7, 1, 0]).waits().commits(1, 2, 1)
}

#[test]
fn a_round_that_began_after_the_question_confirms_it() {
    answers(asked().hears_message(3, 1, 2, MessageKind::HeartbeatReply, [2, 1, 1])).passes();
}

/// etcd-io/etcd#741.
#[test]
fn without_such_a_round_nothing_is_confirmed() {
    answers(asked()).alarms("read-confirmed", "only 1 of 3 voters had answered since it was asked");
    answers(asked().hears_message(3, 1, 2, MessageKind::HeartbeatReply, [1, 1, 1]))
        .alarms("read-confirmed", "only 1 of 3 voters");
}

/// etcd-io/etcd#7331.
#[test]
fn a_leader_that_has_committed_nothing_in_its_term_does_not_know_what_is_committed() {
    let story = [1, 2].iter().fold(Story::cluster(3), |story, host| story.holds(*host, append(1, &[(1, 1)])));
    let story = story.follows(1, 1, 1).leads(1, 2).commits(1, 2, 1).hears_message(
        2,
        1,
        2,
        MessageKind::ReadIndex,
        [7, 0, 0],
    );
    answers(story.hears_message(3, 1, 2, MessageKind::HeartbeatReply, [2, 1, 1]))
        .alarms("read-confirmed", "before it committed in its term");
}

#[test]
fn nobody_answers_what_was_not_asked() {
    answers(Story::cluster(3).leads(1, 2)).alarms("read-confirmed", "that it was never asked");
}

/// Host 1 leads three in term 2, has committed there, and sent round 1 at this moment; its clock runs at this rate.
fn leads_by_the_clock(plan: &Plan, rate: u64) -> Story {
    let all = [1, 2, 3];
    let story = Story::of(plan).sees(Observation::Clock { host: 1, shows: Time(0), rate });
    let start =
        |story: Story, host: &u8| story.starts(*host, found(0, &[])).members(*host, &all, &[]).waits();
    let story = all.iter().fold(story, start);
    let story = [1, 2].iter().fold(story, |story, host| story.holds(*host, append(1, &[(2, 1)])));
    story.leads(1, 2).commits(1, 2, 1).says(1, 2, 2, MessageKind::Heartbeat, [1, 1, 0])
}

fn confirmed(story: Story) -> Story {
    story.hears_message(2, 1, 2, MessageKind::HeartbeatReply, [1, 1, 1])
}

/// An election timeout of half a second, and clocks that leases reckon with.
fn mild() -> Plan {
    let mut plan = Plan::new(Scenario::Calm, 1);
    plan.scenario = Scenario::Swarm;
    plan.knobs.election_timeout_ms = 500;
    plan
}

#[test]
fn a_lease_is_as_old_as_the_round_that_confirmed_it() {
    let reads = |story: Story| story.sees(Observation::ServedByLease { host: 1 });
    let leads = || leads_by_the_clock(&mild(), 1_000);
    reads(confirmed(leads()).waits_for_ms(449)).passes();
    reads(leads().waits_for_ms(1)).alarms("read-confirmed", "answered a read by its lease");
    reads(confirmed(leads()).waits_for_ms(451)).alarms("read-confirmed", "less than 450ms ago");
    // Answered late, it is no younger.
    reads(confirmed(leads().waits_for_ms(451))).alarms("read-confirmed", "less than 450ms ago");
    // By its own clock: this one is slow.
    reads(confirmed(leads_by_the_clock(&mild(), 950)).waits_for_ms(460)).passes();
    let mut wild = mild();
    wild.faults = vec![Timed { at_ms: 0, fault: Fault::ClockJump { host: 1, by_ms: 9 } }];
    reads(confirmed(leads_by_the_clock(&wild, 1_000)).waits_for_ms(451)).passes();
}

#[test]
fn an_index_is_named_by_lease_only_while_there_is_one() {
    let asked = |story: Story| story.hears_message(3, 1, 2, MessageKind::ReadIndex, [7, 1, 0]);
    let answers = |story: Story| story.says(1, 3, 2, MessageKind::ReadIndexReply, [7, 1, 0]).waits();
    let leads = || confirmed(leads_by_the_clock(&mild(), 1_000));
    answers(asked(leads().waits_for_ms(449))).passes();
    answers(asked(leads().waits_for_ms(451))).commits(1, 2, 1).alarms("read-confirmed", "holds no lease");
    // A round that began after the question is as good.
    let round = |story: Story| {
        let story = story.says(1, 2, 2, MessageKind::Heartbeat, [2, 1, 0]).waits_for_ms(600);
        story.hears_message(2, 1, 2, MessageKind::HeartbeatReply, [2, 1, 1])
    };
    answers(round(asked(leads().waits_for_ms(451)))).commits(1, 2, 1).passes();
}

#[test]
fn nobody_is_elected_while_another_holds_a_lease() {
    let elected = |held: &[u8]| Observation::Leases { host: 2, held: held.to_vec() };
    Story::new().sees(elected(&[])).passes();
    Story::new()
        .sees(elected(&[1]))
        .alarms("lease-exclusive", "became leader while the hosts [1] held a lease");
    let mild = Timed { at_ms: 0, fault: Fault::ClockDrift { host: 1, per_mille: -50, for_ms: 9 } };
    Story::under(&[mild]).sees(elected(&[1])).alarms("lease-exclusive", "held a lease");
    let wild = Timed { at_ms: 0, fault: Fault::ClockJump { host: 1, by_ms: 9 } };
    Story::under(&[wild]).sees(elected(&[1])).passes();
}
