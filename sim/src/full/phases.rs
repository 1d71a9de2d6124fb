//! A run from boot to scan.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use madsim::task::JoinHandle;
use quorate_node::raft::Time;

use super::auditors::{Auditing, HABITS};
use super::clients::Client;
use super::operator::Operator;
use super::stage::FullStack;
use crate::audit::Auditor;
use crate::bounds;
use crate::history::Outcome;
use crate::observe::Phase;
use crate::outlook::Outlook;
use crate::source::Source;
use crate::verdict::Verdict;

/// How often is looked whether a phase is over.
const LOOK: Duration = Duration::from_millis(50);

impl FullStack {
    pub(super) async fn phases(&self) -> Result<(), Verdict> {
        self.change(|world, now| world.boot(now));
        if !self.stands(bounds::boot(&self.plan), Outlook::formed).await? {
            return Err(self.stuck("the cluster did not form").await);
        }
        self.safety().await?;
        self.liveness().await?;
        self.scan().await
    }

    async fn safety(&self) -> Result<(), Verdict> {
        self.change(|world, now| {
            world.begin_faults(now);
            Vec::new()
        });
        let until = self.clock.now() + self.plan.faults_last();
        let source = |number: &u8| Source::scripted(&self.plan, *number, until);
        let numbers = self.plan.workload.clients.iter();
        let clients = numbers.map(|number| Client::new(self, *number, source(number)));
        let clients: Vec<JoinHandle<()>> = clients.map(|client| madsim::task::spawn(client.work())).collect();
        let auditors = self.auditors(until);
        let over = self.until_answered(until, &clients).await;
        // Also when a promise was broken: nobody may outlive the run.
        clients.iter().chain(&auditors).for_each(JoinHandle::abort);
        over?;
        let now = self.clock.now();
        let stage = &mut *self.stage();
        // What becomes of the requests that clients still wait for nobody will know; yet it may be seen.
        for (invoked, ask) in std::mem::take(&mut stage.open).into_values() {
            stage.world.hears(now, invoked, ask, Outcome::Unknown, None);
        }
        stage.world.tell_costs(now);
        Ok(())
    }

    async fn until_answered(&self, until: Time, clients: &[JoinHandle<()>]) -> Result<(), Verdict> {
        let answered = || clients.iter().all(JoinHandle::is_finished);
        // Clients that are done, and nothing more to break: the rest of the time would show nothing.
        self.until(until, || answered() && self.stage().world.next_step().is_none()).await?;
        let last_answers = self.clock.now() + Duration::from_millis(self.plan.workload.patience_ms) * 2;
        self.until(last_answers, answered).await?;
        Ok(())
    }

    /// The plan's auditors begin, each with a watch of everything and one of a part.
    fn auditors(&self, until: Time) -> Vec<JoinHandle<()>> {
        let start = |number: u8| {
            let watched = Arc::new(AtomicU64::new(0));
            self.watch(number * 2, &watched);
            self.watch(number * 2 + 1, &watched);
            let auditor = Auditor::new(&self.plan, number, HABITS, until);
            madsim::task::spawn(Auditing::new(self, number, auditor, &watched).work())
        };
        (0..self.plan.workload.auditors).map(start).collect()
    }

    /// The core is healed: it must soon take a write and serve a read, and then come together.
    async fn liveness(&self) -> Result<(), Verdict> {
        self.change(|world, now| world.heal(now));
        self.dismiss_operators();
        if self.plan.changes_members() {
            self.operate(Operator::restore_members);
        }
        let source = Source::insisting(&self.plan, bounds::PROBER, bounds::probe(&self.plan));
        let prober = Client::new(self, bounds::PROBER, source);
        if !self.finishes(bounds::first_answers(&self.plan), prober).await? {
            return Err(self.stuck("the healed core took no write or served no read").await);
        }
        // A leader outside the core may serve a majority and not reach all of the core. Now the core has to do alone.
        self.change(|world, _| world.cut_off_others());
        if !self.stands(bounds::convergence(&self.plan), Outlook::together).await? {
            return Err(self.stuck("the healed core did not come together").await);
        }
        Ok(())
    }

    /// Every key is read once more, from one server or another.
    async fn scan(&self) -> Result<(), Verdict> {
        let wanted = {
            let now = self.clock.now();
            let world = &mut self.stage().world;
            world.enter(now, Phase::Scan);
            bounds::scan(&self.plan, &world.history)
        };
        let source = Source::insisting(&self.plan, bounds::SCANNER, wanted);
        let scanner = Client::new(self, bounds::SCANNER, source);
        if !self.finishes(bounds::convergence(&self.plan), scanner).await? {
            return Err(self.stuck("a key could not be read in the end").await);
        }
        if self.plan.workload.auditors > 0 { self.live_watches().await } else { Ok(()) }
    }

    /// By now each watcher keeps the connection that it has, and must be told over it of all that it wants up to the
    /// end, with something that happens only now.
    async fn live_watches(&self) -> Result<(), Verdict> {
        let within = bounds::convergence(&self.plan);
        let watchers = 2 * usize::from(self.plan.workload.auditors);
        let all_hold = || self.stage().holding.len() == watchers;
        if !self.until(self.clock.now() + within, all_hold).await? {
            return Err(self.stuck("a watch could not begin in the end").await);
        }
        let source = Source::insisting(&self.plan, bounds::LAST_WRITER, bounds::last_write(&self.plan));
        if !self.finishes(within, Client::new(self, bounds::LAST_WRITER, source)).await? {
            return Err(self.stuck("the core took no write in the end").await);
        }
        let all_know = || self.stage().world.judge.chronicle().late_watcher().is_none();
        if !self.until(self.clock.now() + within, all_know).await? {
            return Err(self.stuck("a watch did not tell of all that it was to tell of in the end").await);
        }
        Ok(())
    }

    /// Lets a client work; says whether it is done within the time.
    async fn finishes(&self, within: Duration, client: Client) -> Result<bool, Verdict> {
        let client = madsim::task::spawn(client.work());
        let finished = self.until(self.clock.now() + within, || client.is_finished()).await;
        client.abort();
        finished
    }

    /// Waits until the servers stand as `wanted`; says whether they do within the time.
    async fn stands(&self, within: Duration, wanted: fn(&Outlook) -> bool) -> Result<bool, Verdict> {
        let deadline = self.clock.now() + within;
        loop {
            if wanted(&self.outlook().await) {
                return Ok(true);
            }
            if !self.goes_on(deadline).await? {
                return Ok(false);
            }
        }
    }

    /// Waits until `done` or the deadline, whichever is first; says whether it was the former.
    async fn until(&self, deadline: Time, done: impl Fn() -> bool) -> Result<bool, Verdict> {
        loop {
            if done() {
                return Ok(true);
            }
            if !self.goes_on(deadline).await? {
                return Ok(false);
            }
        }
    }

    /// Waits for a moment; false at the deadline, and an error when a promise has been broken.
    async fn goes_on(&self, deadline: Time) -> Result<bool, Verdict> {
        let now = self.clock.now();
        {
            let mut stage = self.stage();
            stage.reached = now;
            if let Some((_, verdict)) = stage.world.judge.broken() {
                return Err(verdict.clone());
            }
        }
        if now >= deadline {
            return Ok(false);
        }
        self.clock.sleep_until(deadline.min(now + LOOK)).await;
        Ok(true)
    }

    /// A failure to make progress, unless it was impossible.
    async fn stuck(&self, what: &str) -> Verdict {
        let outlook = self.outlook().await;
        self.stage().world.stuck(self.clock.now(), what, &outlook)
    }
}
