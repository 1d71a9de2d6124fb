//! Every order of events, to a bound, around damaged slots: the real cores, the rules of `docs/PROTOCOL.md`, and what
//! happens when one of them is taken away. The search is stateright's.
//!
//! Each step more takes some ten times as long and as much memory: `QUORATE_TRIALS=10` looks a step farther from every
//! beginning, 100 two.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod cluster;
mod host;
mod lies;
mod stories;

use cluster::{Action, Cluster};
use lies::Lie;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::panic::{AssertUnwindSafe, catch_unwind};
use stories::Story;

const SAFE: &str = "what is committed stays, and every term has one leader";
const GIVEN_UP: &str = "a slot is given up";

/// One search.
struct Search {
    story: Story,
    lie: Lie,
}

impl Model for Search {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        let mut cluster = (self.story.begin)(self.lie);
        assert_eq!(cluster.broken, None, "{} begins broken", self.story.name);
        cluster.budget = self.story.budget;
        vec![cluster]
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Action>) {
        state.actions(actions);
    }

    fn next_state(&self, last: &Cluster, action: Action) -> Option<Cluster> {
        let mut next = last.clone();
        if catch_unwind(AssertUnwindSafe(|| next.step(action))).is_err() {
            next = last.clone();
            next.broken = Some("an invariant of the core");
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SAFE, |_, state: &Cluster| state.broken.is_none()),
            Property::sometimes(GIVEN_UP, |_, state: &Cluster| {
                state.hosts.iter().any(|(_, host)| host.gave_up > 0)
            }),
        ]
    }
}

#[expect(clippy::disallowed_methods, reason = "a test is told by its environment how much to run")]
fn steps_more() -> usize {
    let factor = std::env::var("QUORATE_TRIALS").map_or(1, |text| text.parse::<usize>().expect("a number"));
    factor.max(1).ilog10() as usize
}

/// What a search came to.
struct Found {
    broken: Option<String>,
    gave_up: bool,
}

fn search(story: Story, lie: Lie, steps_more: usize) -> Found {
    let failures = HasDiscoveries::AnyFailures;
    let builder = Search { story, lie }.checker().finish_when(failures);
    let checker = builder.target_max_depth(story.depth + steps_more).spawn_bfs().join();
    let (states, steps) = (checker.unique_state_count(), checker.max_depth() - 1);
    println!("{}, {lie:?}: {states} states, {steps} steps", story.name);
    let broken = checker.discovery(SAFE).map(|path| {
        let how: Vec<String> =
            path.clone().into_actions().iter().map(|action| format!("{action:?}")).collect();
        format!("{:?}\n  {}\n{:?}", path.last_state().broken, how.join("\n  "), path.last_state())
    });
    Found { broken, gave_up: checker.discovery(GIVEN_UP).is_some() }
}

/// With all rules nothing is lost; and where slots are to be given up, some are.
fn holds(story: Story, gives_up: bool) {
    let found = search(story, Lie::None, steps_more());
    assert!(found.broken.is_none(), "{}: {}", story.name, found.broken.unwrap_or_default());
    // Farther on a leader may have become a follower, and asks as any other does.
    let as_told = found.gave_up == gives_up || (steps_more() > 0 && found.gave_up);
    assert!(as_told, "{}: a slot was given up: {}", story.name, found.gave_up);
}

/// Without the rule that the lie takes away something is lost.
fn breaks(story: Story, lie: Lie) {
    let broken = search(story, lie, 0).broken;
    println!("{}", broken.expect("nothing was lost without this rule"));
}

#[test]
fn where_nobody_may_run_what_was_never_committed_is_given_up() {
    holds(stories::NOBODY_MAY_RUN, true);
}

#[test]
fn one_lost_copy_changes_nothing() {
    holds(stories::ONE_COPY_IS_LOST, false);
    breaks(stories::ONE_COPY_IS_LOST, Lie::DamageIsTheEnd);
}

#[test]
fn two_lost_copies_are_waited_for() {
    holds(stories::BOTH_COPIES_ARE_LOST, false);
    breaks(stories::BOTH_COPIES_ARE_LOST, Lie::DamagedSaysNever);
}

#[test]
fn a_lost_tail_is_no_end_and_no_never() {
    holds(stories::A_TAIL_IS_LOST, false);
    breaks(stories::A_TAIL_IS_LOST, Lie::LostTailIsTheEnd);
    breaks(stories::A_TAIL_IS_LOST, Lie::UnknownSaysNever);
}

#[test]
fn a_compacted_slot_is_no_never() {
    holds(stories::THE_OTHER_COMPACTED_IT, false);
    breaks(stories::THE_OTHER_COMPACTED_IT, Lie::CompactedSaysNever);
}

#[test]
fn only_the_same_entry_fills_a_slot() {
    holds(stories::ANOTHER_ENTRY_STANDS_THERE, false);
    breaks(stories::ANOTHER_ENTRY_STANDS_THERE, Lie::AnyCopyFits);
}

#[test]
fn never_is_said_in_a_new_term_that_is_durable() {
    holds(stories::AN_APPEND_IS_ON_ITS_WAY, true);
    breaks(stories::AN_APPEND_IS_ON_ITS_WAY, Lie::TermIsNotDurable);
    breaks(stories::AN_APPEND_IS_ON_ITS_WAY, Lie::TermIsNotEntered);
}

#[test]
fn only_a_majority_that_never_had_it_will_do() {
    holds(stories::A_VOTER_WAS_ADDED_ABOVE, false);
}

#[test]
fn whatever_goes_wrong_at_work_nothing_is_lost() {
    holds(stories::AT_WORK, false);
}

#[test]
fn a_leader_gives_nothing_up() {
    holds(stories::A_LEADER_FINDS_DAMAGE, false);
}
