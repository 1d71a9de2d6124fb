//! Every order of events, to a bound: the real cores, the rules of `docs/PROTOCOL.md`, and what happens when one of
//! them is taken away. The search is stateright's.
//!
//! Each step more takes up to five times as long and as much memory. `QUORATE_TRIALS=10` is the search in full, which
//! goes as far from each beginning as a few gigabytes allow; 100 looks a step farther than that, 1000 two.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod changes;
mod cluster;
mod host;
mod lies;
mod stories;
mod table;

use cluster::{Action, Cluster};
use lies::Lie;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::panic::{AssertUnwindSafe, catch_unwind};
use stories::Story;

const SAFE: &str = "what is committed stays, and every term has one leader";
const GIVEN_UP: &str = "a slot is given up";
const CHANGED: &str = "a change of the members comes to its end";

/// One search.
struct Search {
    story: Story,
    lie: Lie,
    /// How far to look: what is so many steps away is looked at, and nothing beyond.
    steps: u8,
}

impl Model for Search {
    type State = Cluster;
    type Action = Action;

    fn init_states(&self) -> Vec<Cluster> {
        let mut cluster = (self.story.begin)(self.lie);
        assert_eq!(cluster.broken, None, "{} begins broken", self.story.name);
        cluster.budget = self.story.budget;
        cluster.steps_left = self.steps;
        cluster.note_print();
        vec![cluster]
    }

    fn actions(&self, state: &Cluster, actions: &mut Vec<Action>) {
        state.actions(actions);
    }

    fn next_state(&self, last: &Cluster, action: Action) -> Option<Cluster> {
        let mut next = last.clone();
        if catch_unwind(AssertUnwindSafe(|| next.step(action))).is_err() {
            next = last.clone();
            next.breaks("an invariant of the core");
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(SAFE, |_, state: &Cluster| state.broken.is_none()),
            Property::sometimes(GIVEN_UP, |_, state: &Cluster| {
                state.nodes.iter().any(|node| node.host.gave_up)
            }),
            Property::sometimes(CHANGED, |_, state: &Cluster| state.has_changed()),
        ]
    }
}

/// How far to look from a beginning.
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment how much to run")]
fn steps(story: &Story) -> u8 {
    let factor = std::env::var("QUORATE_TRIALS").map_or(1, |text| text.parse::<u64>().expect("a number"));
    match factor.max(1).ilog10() {
        0 => story.steps,
        powers => story.steps_in_full + u8::try_from(powers - 1).expect("a logarithm is small"),
    }
}

/// What a search came to.
struct Found {
    broken: Option<String>,
    gave_up: bool,
    changed: bool,
}

fn search(story: Story, lie: Lie, steps: u8) -> Found {
    let search = Search { story, lie, steps };
    let checker = search.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let (states, reached) = (checker.unique_state_count(), checker.max_depth() - 1);
    let complete = reached < usize::from(steps) && checker.discovery(SAFE).is_none();
    let end = if complete { ", and there are no more" } else { "" };
    println!("{}, {lie:?}: {states} states, {reached} steps{end}", story.name);
    let broken = checker.discovery(SAFE).map(|path| {
        let how: Vec<String> =
            path.clone().into_actions().iter().map(|action| format!("{action:?}")).collect();
        format!("{:?}\n  {}\n{:?}", path.last_state().broken, how.join("\n  "), path.last_state())
    });
    let is_found = |name| checker.discovery(name).is_some();
    Found { broken, gave_up: is_found(GIVEN_UP), changed: is_found(CHANGED) }
}

/// A core that panics makes a state of its own, or no search would look at it: here one is to propose that does not
/// lead.
#[test]
fn a_step_that_panics_is_found() {
    let search = Search { story: stories::NOBODY_MAY_RUN, lie: Lie::None, steps: 1 };
    let begin = search.init_states().remove(0);
    let next = search.next_state(&begin, Action::Propose(0)).expect("every step leads somewhere");
    assert_eq!(next.broken, Some("an invariant of the core"));
    assert_ne!(next, begin, "the search would take it for one that it has seen");
}

/// With all rules nothing is lost; and where slots are to be given up, some are.
fn holds(story: Story, gives_up: bool) -> Found {
    let found = search(story, Lie::None, steps(&story));
    assert!(found.broken.is_none(), "{}: {}", story.name, found.broken.unwrap_or_default());
    // Farther on a leader may have become a follower, and asks as any other does.
    let as_told = found.gave_up == gives_up || (steps(&story) > story.steps && found.gave_up);
    assert!(as_told, "{}: a slot was given up: {}", story.name, found.gave_up);
    found
}

/// The same, and a change of the members is seen from its beginning to its end.
fn holds_and_changes(story: Story, gives_up: bool) {
    assert!(holds(story, gives_up).changed, "{}: no change came to its end", story.name);
}

/// Without the rule that the lie takes away something is lost.
fn breaks(story: Story, lie: Lie) {
    let broken = search(story, lie, story.steps).broken;
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

#[test]
fn a_healthy_cluster_elects_and_commits() {
    holds(changes::NOBODY_LEADS_YET, false);
    holds(changes::NOBODY_LEADS_YET_AND_DISKS_ARE_SLOW, false);
}

#[test]
fn members_change_from_beginning_to_end() {
    holds_and_changes(changes::A_VOTER_IS_ADDED, false);
    holds_and_changes(changes::A_VOTER_IS_REPLACED, false);
    holds_and_changes(changes::TWO_VOTERS_ARE_REMOVED, false);
    holds_and_changes(changes::A_LEADER_REMOVES_ITSELF, false);
}

#[test]
fn two_leaders_do_not_both_change_the_members() {
    holds_and_changes(changes::TWO_LEADERS_REMOVE_EACH_OTHER, false);
    holds_and_changes(changes::A_CHANGE_WAS_TAKEN_BACK, false);
}

#[test]
fn what_is_lost_in_a_joint_change_is_waited_for() {
    holds(changes::A_COPY_IS_LOST_IN_A_JOINT_CHANGE, false);
    breaks(changes::A_COPY_IS_LOST_IN_A_JOINT_CHANGE, Lie::DamageIsTheEnd);
    holds(changes::A_TAIL_IS_LOST_IN_A_JOINT_CHANGE, false);
    breaks(changes::A_TAIL_IS_LOST_IN_A_JOINT_CHANGE, Lie::LostTailIsTheEnd);
}

#[test]
fn a_slot_below_the_end_of_a_joint_change_takes_both_halves() {
    holds(changes::A_JOINT_CHANGE_ENDED_ABOVE, false);
}

#[test]
fn what_nobody_has_is_given_up_in_a_joint_change() {
    holds(changes::NOBODY_HAS_IT_IN_A_JOINT_CHANGE, true);
    holds(changes::A_JOINT_CONFIGURATION_IS_LOST, true);
}
