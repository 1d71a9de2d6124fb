//! Every order of events, to a bound, around damaged slots: the real cores, the rules of `docs/PROTOCOL.md`, and what
//! happens when one of them is taken away. The search is stateright's.
//!
//! `QUORATE_TRIALS=<steps more>` looks that many steps farther, from every beginning.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod cluster;
mod host;
mod lies;
mod stories;

use cluster::{Action, Cluster};
use lies::Lie;
use stateright::{Checker, HasDiscoveries, Model, Property};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;
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
    std::env::var("QUORATE_TRIALS").ok().map_or(0, |text| text.parse().expect("a number"))
}

/// What a search came to.
struct Found {
    broken: Option<String>,
    gave_up: bool,
}

#[expect(clippy::disallowed_methods, reason = "for people, who want to know how long it took")]
fn search(story: Story, lie: Lie, steps_more: usize) -> Found {
    let began = Instant::now();
    let failures = HasDiscoveries::AnyFailures;
    let builder = Search { story, lie }.checker().finish_when(failures);
    let checker = builder
        .target_max_depth(std::env::var("DEPTH").map_or(story.depth + steps_more, |d| d.parse().unwrap()))
        .spawn_bfs()
        .join();
    println!(
        "{}, {lie:?}: {} states, {} steps deep, {:.1} s",
        story.name,
        checker.unique_state_count(),
        checker.max_depth(),
        began.elapsed().as_secs_f64()
    );
    let broken = checker.discovery(SAFE).map(|path| {
        let how: Vec<String> =
            path.clone().into_actions().iter().map(|action| format!("{action:?}")).collect();
        format!("{:?}\n  {}\n{:?}", path.last_state().broken, how.join("\n  "), path.last_state())
    });
    Found { broken, gave_up: checker.discovery(GIVEN_UP).is_some() }
}

#[test]
fn nothing_is_lost_with_all_rules() {
    let mut gave_up = 0;
    for story in stories::ALL {
        let found = search(story, Lie::None, steps_more());
        assert!(found.broken.is_none(), "{}: {}", story.name, found.broken.unwrap_or_default());
        gave_up += u32::from(found.gave_up);
    }
    assert!(gave_up >= 2, "slots were given up in {gave_up} of the searches");
}

#[test]
fn every_rule_is_needed() {
    let needed = [
        (stories::ONE_COPY_IS_LOST, Lie::DamageIsTheEnd),
        (stories::A_TAIL_IS_LOST, Lie::LostTailIsTheEnd),
        (stories::ANOTHER_ENTRY_STANDS_THERE, Lie::AnyCopyFits),
        (stories::BOTH_COPIES_ARE_LOST, Lie::DamagedSaysNever),
        (stories::A_TAIL_IS_LOST, Lie::UnknownSaysNever),
        (stories::THE_OTHER_COMPACTED_IT, Lie::CompactedSaysNever),
        (stories::AN_APPEND_IS_ON_ITS_WAY, Lie::TermIsNotDurable),
        (stories::AN_APPEND_IS_ON_ITS_WAY, Lie::TermIsNotEntered),
    ];
    let mut missing = Vec::new();
    for (story, lie) in needed {
        match search(story, lie, 0).broken {
            Some(broken) => println!("{broken}"),
            None => missing.push(lie),
        }
    }
    assert!(missing.is_empty(), "without these rules nothing was lost: {missing:?}");
}
