//! What the core that is fed with anything has stumbled over, told step by step.

use crate::one_core::{Raw, Step, World};

/// A leader sends a snapshot, which goes to disk. The leader of the next term has another log, verified beyond the
/// snapshot's end. Then the disk has the snapshot. One of the two lies; what was verified may not be thrown away.
#[test]
fn a_snapshot_that_contradicts_what_was_verified_since_is_dropped() {
    let say =
        |kind, from, term, first, second, count| Step::Say(Raw { kind, from, term, first, second, count });
    let mut world = World::new();
    for step in [
        Step::Elect,
        say(3, 0, 42, 0, 0, 0),
        say(12, 0, 32, 20, 13, 0),
        say(7, 0, 42, 0, 0, 0),
        Step::Read,
        say(4, 3, 80, 107, 59, 2),
        Step::AnswerJobs,
        Step::Finish { writes: 2 },
        say(11, 3, 112, 0, 137, 0),
    ] {
        world.perform(step);
    }
}

/// Two snapshots that cover the same slots and differ, as those of two releases may: the disk's answer about the first
/// is not one about the second.
#[test]
fn an_answer_about_one_snapshot_does_not_install_another() {
    let mut world = World::new();
    let snapshot = |term, second, count| Raw { kind: 12, from: 0, term, first: 84, second, count };
    world.perform(Step::Say(snapshot(0, 0, 0)));
    world.perform(Step::Say(snapshot(16, 18, 2)));
    world.perform(Step::AnswerJobs);
    world.perform(Step::Finish { writes: 1 });
}

/// The log has a configuration without this node, which runs all the same, since that may not be committed. A snapshot
/// was on its way to disk and says that it is: the candidacy ends, and yes is said to nobody.
#[test]
fn a_snapshot_that_removes_a_candidate_ends_its_candidacy() {
    let say = |kind, first, second, count| Step::Say(Raw { kind, from: 0, term: 16, first, second, count });
    let mut world = World::new();
    for step in [
        say(4, 5, 197, 2),
        Step::Crash { keep: 1 },
        say(12, 22, 81, 0),
        Step::Advance { millis: 940 },
        Step::AnswerJobs,
        Step::Elect,
    ] {
        world.perform(step);
    }
}
