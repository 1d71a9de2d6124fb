//! A run from boot to scan.

use std::time::Duration;

use quorate_node::raft::Time;

use super::CoreStack;
use super::clients::Client;
use crate::bounds;
use crate::observe::Phase;
use crate::outlook::Outlook;
use crate::source::Source;
use crate::verdict::Verdict;

/// How often is looked whether a phase is over: it takes longer than most events.
const LOOK: Duration = Duration::from_millis(5);

impl CoreStack {
    pub(super) fn phases(&mut self) -> Result<(), Verdict> {
        let effects = self.world.boot(self.now);
        self.apply(effects);
        let deadline = self.now + bounds::boot(&self.plan);
        if !self.stands(deadline, Outlook::formed)? {
            return Err(self.stuck("the cluster did not form"));
        }
        self.safety()?;
        self.liveness()?;
        self.scan()
    }

    fn safety(&mut self) -> Result<(), Verdict> {
        self.world.begin_faults(self.now);
        let until = self.now + self.plan.faults_last();
        for number in self.plan.workload.clients.clone() {
            let source = Source::scripted(&self.plan, number, until);
            self.add_client(Client::new(number, source));
        }
        self.add_auditors(until);
        // Clients that are done, and nothing more to break: the rest of the time would show nothing.
        self.run_until(until, |stack| stack.clients.is_empty() && stack.world.next_step().is_none())?;
        let last_answers = self.now + Duration::from_millis(self.plan.workload.patience_ms) * 2;
        self.run_until(last_answers, |stack| stack.clients.is_empty())?;
        self.world.tell_costs(self.now);
        Ok(())
    }

    /// The core is healed: it must soon take a write and serve a read, and then come together.
    fn liveness(&mut self) -> Result<(), Verdict> {
        self.dismiss_clients();
        let core = &self.plan.cluster.core;
        self.auditors.values_mut().for_each(|busy| busy.auditor.only_follows(self.now, core));
        let effects = self.world.heal(self.now);
        self.apply(effects);
        if self.plan.changes_members() {
            self.restore_members();
        }
        let deadline = self.now + bounds::first_answers(&self.plan);
        let source = Source::insisting(&self.plan, bounds::PROBER, bounds::probe(&self.plan));
        self.add_client(Client::new(bounds::PROBER, source));
        if !self.run_until(deadline, |stack| stack.clients.is_empty())? {
            return Err(self.stuck("the healed core took no write or served no read"));
        }
        // A leader outside the core may serve a majority and not reach all of the core. Now the core has to do alone.
        let effects = self.world.cut_off_others();
        self.apply(effects);
        let deadline = self.now + bounds::convergence(&self.plan);
        if !self.stands(deadline, Outlook::together)? {
            return Err(self.stuck("the healed core did not come together"));
        }
        Ok(())
    }

    /// Every key is read once more, from one server or another.
    fn scan(&mut self) -> Result<(), Verdict> {
        self.world.enter(self.now, Phase::Scan);
        let wanted = bounds::scan(&self.plan, &self.world.history);
        let deadline = self.now + bounds::convergence(&self.plan);
        let source = Source::insisting(&self.plan, bounds::SCANNER, wanted);
        self.add_client(Client::new(bounds::SCANNER, source));
        if !self.run_until(deadline, |stack| stack.clients.is_empty())? {
            return Err(self.stuck("a key could not be read in the end"));
        }
        let told = self.world.judge.chronicle().told();
        let has_seen_all =
            |stack: &mut Self| stack.auditors.values().all(|busy| busy.auditor.seen_before() > told);
        if !self.run_until(deadline, has_seen_all)? {
            return Err(self.stuck("changes could not be followed to the end"));
        }
        Ok(())
    }

    /// Runs until the servers stand as `wanted`, which is looked at now and then; says whether they do in time.
    fn stands(&mut self, deadline: Time, wanted: fn(&Outlook) -> bool) -> Result<bool, Verdict> {
        let mut look_at = self.now;
        self.run_until(deadline, |stack| {
            if stack.now < look_at && stack.now < deadline {
                return false;
            }
            look_at = stack.now + LOOK;
            wanted(&stack.outlook())
        })
    }

    /// A failure to make progress, unless it was impossible.
    fn stuck(&mut self, what: &str) -> Verdict {
        let outlook = self.outlook();
        self.world.stuck(self.now, what, &outlook)
    }
}
