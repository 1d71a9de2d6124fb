//! An index for a read is named only by who leads for sure.

use super::{Story, append};
use crate::observe::{MessageKind, Observation};
use crate::plan::{Fault, Timed};

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
