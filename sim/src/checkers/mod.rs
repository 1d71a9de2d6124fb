//! The checkers: one property, one file, one source.
//!
//! Most look at each observation as it comes, so that a run ends where a promise is broken; some need the whole
//! history.

mod ack_durable;
mod asked_deletes;
mod commit_durable;
mod commit_rule;
mod commit_stable;
mod cost;
mod durability;
mod early_expiry;
mod election_safety;
mod exactly_once;
mod fit_to_lead;
mod hand_over;
mod honest_errors;
mod leader_completeness;
mod lease_exclusive;
mod linearizable;
mod log_matching;
mod makes_sense;
mod monotonic;
mod oracle;
mod orders_kept;
mod passed_on_once;
mod past_kept;
mod past_reads;
mod promise_kept;
mod rare;
mod read_confirmed;
mod real_time;
mod recovery;
mod revisions;
mod settled;
mod single_vote;
mod specification;
mod stale_is_told;
mod state_machine;
#[cfg(test)]
mod tests;
mod tokens_once;
mod transactions;
mod versions;
mod watch_complete;
mod watch_order;

use quorate_node::raft::Time;

use crate::audit::Account;
use crate::chronicle::{Asked, Chronicle, Of};
use crate::counts::Counts;
use crate::history::Operation;
use crate::ledger::Ledger;
use crate::observe::Observation;
use crate::plan::{Plan, Scenario};
use crate::run::Jury;
use crate::verdict::Verdict;

#[cfg(test)]
use rare::ON_DEMAND;
pub(crate) use rare::{RARE_STATES, wanted_by};

/// What a checker may look at.
pub(crate) struct Evidence<'a> {
    /// When it happened.
    pub(crate) at: Time,
    /// All logs, with the observation taken into account.
    pub(crate) ledger: &'a Ledger,
    /// What auditors have been told, likewise.
    pub(crate) chronicle: &'a Chronicle,
}

impl Evidence<'_> {
    /// What an auditor is told, and what of.
    fn account<'o>(&self, observation: &'o Observation) -> Option<(Of, &Asked, &'o Account)> {
        let Observation::Account { auditor, number, account } = observation else { return None };
        let of = (*auditor, *number);
        Some((of, self.chronicle.asked(of)?, account))
    }
}

/// Watches over one property.
pub(crate) trait Checker: Send {
    /// The property's name.
    fn name(&self) -> &'static str;

    /// Whether it is asked about messages too. They are two of three observations, and most properties have no use for
    /// them.
    fn hears_messages(&self) -> bool {
        false
    }

    /// Looks at an observation. An error says which promise was broken, and how.
    fn observe(&mut self, _: &Evidence<'_>, _: &Observation) -> Result<(), String> {
        Ok(())
    }

    /// Looks at the whole run.
    fn finish(&mut self, _: &Evidence<'_>, _: &[Operation]) -> Result<(), String> {
        Ok(())
    }
}

/// The checker of this name, if there is one.
pub(crate) fn known(name: &str) -> Option<&'static str> {
    let checkers = Checkers::new(&Plan::new(Scenario::Calm, 0));
    checkers.all.iter().map(|juror| juror.checker.name()).find(|known| *known == name)
}

/// A checker, and what it was asked once instead of with every message.
struct Juror {
    checker: Box<dyn Checker>,
    hears_messages: bool,
}

/// All checkers of a run.
pub(crate) struct Checkers {
    all: Vec<Juror>,
    rare: rare::Rare,
}

impl Checkers {
    pub(crate) fn new(plan: &Plan) -> Self {
        let mut all: Vec<Box<dyn Checker>> = vec![
            Box::new(specification::Specification::default()),
            Box::new(election_safety::ElectionSafety::default()),
            Box::new(single_vote::SingleVote::default()),
            Box::new(log_matching::LogMatching::default()),
            Box::new(leader_completeness::LeaderCompleteness),
            Box::new(commit_rule::CommitRule::default()),
            Box::new(commit_stable::CommitStable::default()),
            Box::new(commit_durable::CommitDurable::default()),
            Box::new(ack_durable::AckDurable),
            Box::new(monotonic::Monotonic::default()),
            Box::new(makes_sense::MakesSense),
            Box::new(fit_to_lead::FitToLead::new(plan)),
            Box::new(promise_kept::PromiseKept::new(plan)),
            Box::new(stale_is_told::StaleIsTold::default()),
            Box::new(hand_over::HandOver::default()),
            Box::new(state_machine::StateMachine::default()),
            Box::new(read_confirmed::ReadConfirmed::new(plan)),
            Box::new(lease_exclusive::LeaseExclusive::new(plan)),
            Box::new(recovery::Recovery::new(plan)),
            Box::new(orders_kept::OrdersKept::default()),
            Box::new(tokens_once::TokensOnce::default()),
            Box::new(oracle::Oracle::default()),
            Box::new(exactly_once::ExactlyOnce::default()),
            Box::new(honest_errors::HonestErrors::default()),
            Box::new(durability::Durability::default()),
            Box::new(revisions::Revisions),
            Box::new(linearizable::Linearizable),
            Box::new(passed_on_once::PassedOnOnce),
            Box::new(watch_order::WatchOrder),
            Box::new(watch_complete::WatchComplete::default()),
            Box::new(past_reads::PastReads::default()),
            Box::new(past_kept::PastKept::new(plan)),
            Box::new(early_expiry::EarlyExpiry::new(plan)),
            Box::new(asked_deletes::AskedDeletes::default()),
            Box::new(transactions::Transactions::default()),
            Box::new(versions::Versions),
            Box::new(real_time::RealTime),
        ];
        if plan.scenario == Scenario::Calm {
            all.push(Box::new(cost::Cost::new(plan)));
        }
        let juror = |checker: Box<dyn Checker>| Juror { hears_messages: checker.hears_messages(), checker };
        Checkers { all: all.into_iter().map(juror).collect(), rare: rare::Rare::default() }
    }

    /// From now on only these are asked.
    pub(crate) fn keep(&mut self, jury: Jury) {
        self.all.retain(|juror| jury.asks(juror.checker.name()));
    }

    /// The first broken promise that this observation shows.
    pub(crate) fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Option<Verdict> {
        self.rare.observe(evidence, observation);
        let is_message = matches!(observation, Observation::Sent { .. } | Observation::Received { .. });
        let asked = self.all.iter_mut().filter(|juror| juror.hears_messages || !is_message);
        asked.map(|juror| &mut juror.checker).find_map(|checker| {
            let broken = checker.observe(evidence, observation).err()?;
            Some(Verdict::Safety { checker: checker.name(), what: broken })
        })
    }

    /// The first broken promise that the whole run shows.
    pub(crate) fn finish(&mut self, evidence: &Evidence<'_>, history: &[Operation]) -> Option<Verdict> {
        self.all.iter_mut().map(|juror| &mut juror.checker).find_map(|checker| {
            let broken = checker.finish(evidence, history).err()?;
            Some(Verdict::Safety { checker: checker.name(), what: broken })
        })
    }

    /// What they are called.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.all.iter().map(|juror| juror.checker.name()).collect()
    }

    pub(crate) fn rare(&self) -> &Counts {
        self.rare.counts()
    }
}
