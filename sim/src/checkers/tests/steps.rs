//! Each step of a core is asked about: the guards have tests of their own in `spec/tests`.

use quorate_node::raft::trace::{Line, Step};

use super::Story;
use crate::observe::{Observation, Steps};
use crate::plan::Host;

/// A core takes these steps in one turn.
fn turn(story: Story, host: Host, lines: &[&str]) -> Story {
    let step = |line: &&str| line.parse::<Line>().unwrap().step;
    let steps: Vec<Step> = lines.iter().map(step).collect();
    story.sees(Observation::Traced { host, steps: Steps(steps) })
}

const OPENS: &str = "1: opens term=0 vote=- base=0/0 runs=- last=0 snapshot=0/0 installs=no commit=0 damaged=- \
                     unknown=- configurations=0/0:-|-|-";

#[test]
fn steps_that_the_protocol_allows_pass() {
    turn(turn(Story::new(), 1, &[OPENS]), 2, &[OPENS]).passes();
}

#[test]
fn a_step_that_it_does_not_allow_is_named() {
    turn(Story::new(), 1, &[OPENS, "1: enters term=5"])
        .alarms("specification", "line 2, \"1: enters term=5\": nobody has begun term 5");
    turn(turn(Story::new(), 1, &[OPENS]), 2, &["2: enters term=5"])
        .alarms("specification", "\"2: enters term=5\": this server has not started");
}
