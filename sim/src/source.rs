//! What a client asks next, of whom, and how long it waits; the same on both stacks.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quorate_node::raft::Time;

use crate::bounds;
use crate::history::Outcome;
use crate::plan::{Host, Plan};
use crate::workload::{Ask, Script};

/// How long a client waits before it tries again.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// How often a request with a name is tried before it is given up.
const MOST_TRIES: u32 = 12;

/// How long somebody waits who asks until there is an answer.
const INSISTENT_PATIENCE: Duration = Duration::from_secs(2);

/// A wish: where to ask first, which key, and whether to write it.
pub(crate) type Wish = (Host, String, bool);

/// Where a client's requests come from.
pub(crate) struct Source {
    plan: Arc<Plan>,
    number: u8,
    kind: Kind,
}

enum Kind {
    /// What the plan says, until the time is up.
    Script { script: Script, until: Time },
    /// These, one after the other, each until some server of the core has acknowledged it.
    Insist { wanted: VecDeque<Wish>, next: u32 },
}

impl Source {
    /// For a client that plays the plan's script.
    pub(crate) fn scripted(plan: &Arc<Plan>, number: u8, until: Time) -> Self {
        let script = Script::new(Arc::clone(plan), number);
        Source { plan: Arc::clone(plan), number, kind: Kind::Script { script, until } }
    }

    /// For a client that asks for these until each is acknowledged.
    pub(crate) fn insisting(plan: &Arc<Plan>, number: u8, wanted: impl IntoIterator<Item = Wish>) -> Self {
        let kind = Kind::Insist { wanted: wanted.into_iter().collect(), next: 0 };
        Source { plan: Arc::clone(plan), number, kind }
    }

    /// The next request, how long to wait before it, and whom to ask; `None` when there are no more.
    pub(crate) fn next(&mut self, now: Time) -> Option<(Duration, Ask, Host)> {
        match &mut self.kind {
            Kind::Script { script, until } => {
                let (pause, ask) = script.next().filter(|(pause, _)| now + *pause < *until)?;
                Some((pause, ask, script.whom()))
            }
            Kind::Insist { wanted, next } => {
                let (to, key, write) = wanted.front()?;
                *next += 1;
                let of = if *write { Ask::write } else { Ask::read };
                Some((RETRY_PAUSE, of(self.number, *next, key.clone()), *to))
            }
        }
    }

    /// How long the client waits for an answer.
    pub(crate) fn patience(&self) -> Duration {
        match self.kind {
            Kind::Script { .. } => Duration::from_millis(self.plan.workload.patience_ms),
            Kind::Insist { .. } => INSISTENT_PATIENCE,
        }
    }

    /// How often the client tries again what was definitely not done.
    pub(crate) fn retries(&self) -> u32 {
        match self.kind {
            Kind::Script { .. } => self.plan.workload.retries,
            Kind::Insist { .. } => 0,
        }
    }

    /// Whether a request is asked again of which nobody knows what became, after so many tries.
    pub(crate) fn asks_again(&self, ask: &Ask, tries: u32) -> bool {
        ask.is_named && tries < MOST_TRIES
    }

    /// The one asked last was no help.
    pub(crate) fn was_no_help(&mut self) {
        if let Kind::Script { script, .. } = &mut self.kind {
            script.ask_another();
        }
    }

    /// Whom to ask for a request that `to` has not done.
    pub(crate) fn elsewhere(&mut self, to: Host) -> Host {
        match &mut self.kind {
            Kind::Script { script, .. } => script.whom(),
            Kind::Insist { .. } => to,
        }
    }

    /// The request is over.
    pub(crate) fn settled(&mut self, outcome: &Outcome) {
        let Kind::Insist { wanted, .. } = &mut self.kind else { return };
        match outcome {
            Outcome::Read { .. } | Outcome::Written { .. } | Outcome::Refused { .. } => {
                drop(wanted.pop_front());
            }
            // A server that is cut off from the leader can't help, and another one may.
            Outcome::Failed | Outcome::Unknown => {
                wanted.iter_mut().take(1).for_each(|(to, ..)| *to = bounds::another(&self.plan, *to));
            }
        }
    }
}
