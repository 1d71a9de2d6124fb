//! The core stack: real nodes and real storage, driven by one queue of events, without a runtime. Volume lives here.

mod auditors;
mod clients;
mod leaving;
mod lives;
mod messages;
mod operator;
mod phases;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use quorate_node::raft::Time;

use crate::outlook::{Outlook, Standing};
use crate::plan::{Host, Plan};
use crate::run::{Options, Report};
use crate::verdict::Verdict;
use crate::world::{Effect, World};
use clients::Client;
use lives::Life;
use queue::{Event, Queue, What};

/// One run on the core stack.
pub(crate) struct CoreStack {
    plan: Arc<Plan>,
    world: World,
    now: Time,
    queue: Queue,
    /// Boxed: a turn takes its life out of the map and puts it back.
    lives: BTreeMap<Host, Box<Life>>,
    clients: BTreeMap<u8, Client>,
    auditors: BTreeMap<u8, auditors::Busy>,
    /// Messages that wait for a clogged link, in the order sent.
    held: Vec<messages::Held>,
    /// What waits for a host that stands still.
    parked: BTreeMap<Host, Vec<Event>>,
    /// What operators wait for, by the number of their request.
    ordered: BTreeMap<u64, operator::Ordered>,
    requests_of_operators: u64,
    /// The plan's orders that operators had carried out.
    carried_out: BTreeSet<usize>,
    events: u64,
}

/// Runs a plan on the core stack.
pub(crate) fn run(plan: &Arc<Plan>, options: &Options) -> Report {
    let mut stack = CoreStack {
        plan: Arc::clone(plan),
        world: World::new(Arc::clone(plan), options.keep_trace),
        now: Time(0),
        queue: Queue::default(),
        lives: BTreeMap::new(),
        clients: BTreeMap::new(),
        auditors: BTreeMap::new(),
        held: Vec::new(),
        parked: BTreeMap::new(),
        ordered: BTreeMap::new(),
        requests_of_operators: 0,
        carried_out: BTreeSet::new(),
        events: 0,
    };
    stack.world.judge.ask(options.jury);
    let outcome = stack.phases();
    Report::of(&mut stack.world, outcome, stack.now, stack.events)
}

impl CoreStack {
    /// Handles events until `done` or the deadline, whichever is first; says whether it was the former.
    fn run_until(
        &mut self,
        deadline: Time,
        mut done: impl FnMut(&mut Self) -> bool,
    ) -> Result<bool, Verdict> {
        loop {
            if let Some((_, verdict)) = self.world.judge.broken() {
                return Err(verdict.clone());
            }
            if done(self) {
                return Ok(true);
            }
            let agenda = self.world.next_step();
            let queued = self.queue.next_at();
            let next = [agenda, queued].into_iter().flatten().min();
            match next.filter(|next| *next <= deadline) {
                None => {
                    self.now = deadline;
                    return Ok(done(self));
                }
                Some(next) if agenda == Some(next) => {
                    self.now = next;
                    let effects = self.world.steps(next);
                    self.apply(effects);
                }
                Some(next) => {
                    self.now = next;
                    let event = self.queue.pop();
                    self.events += 1;
                    self.handle(event);
                }
            }
        }
    }

    /// What the world wants done.
    fn apply(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::End { host, power } => self.end_life(host, power),
                Effect::Start(host) => self.start_life(host),
                Effect::Stop { host, number } => self.stop_life(host, number),
                Effect::Pause(_) => {}
                Effect::Resume(host) => {
                    for event in self.parked.remove(&host).unwrap_or_default() {
                        self.queue.put(self.now, event);
                    }
                }
                Effect::Links => self.release_held(),
                Effect::Reset(links) => self.reset(&links),
                Effect::Clock(host) => self.set_alarm(host),
                Effect::Order(number) => self.give_order(number),
            }
        }
    }

    fn handle(&mut self, event: Event) {
        let Some(host) = event.host else { return self.handle_outside(event.what) };
        if self.world.is_paused(host) {
            self.parked.entry(host).or_default().push(event);
            return;
        }
        if let Some(most) = self.world.slowness(host).filter(|_| !event.late) {
            let late = self.lateness(host, most);
            self.world.fired().note("slow process");
            self.queue.put(self.now + late, Event { late: true, ..event });
            return;
        }
        self.handle_at(host, event.what);
    }

    fn handle_outside(&mut self, what: What) {
        match what {
            What::Invite(server) => self.invite(server),
            What::Order { number, until } => self.try_order(number, until),
            What::RestoreMembers => self.restore_members(),
            What::Audit { auditor } => self.audits(auditor),
            What::Wake { client } => self.client_asks(client),
            What::Answer { client, attempt, answer } => self.client_hears(client, attempt, &answer),
            What::GiveUp { client, attempt } => self.client_gives_up(client, attempt),
            _ => unreachable!("everything else happens at a host"),
        }
    }

    /// How the running servers stand.
    fn outlook(&self) -> Outlook {
        let standings = self.lives.iter().map(|(host, life)| (*host, Standing::of(&life.node)));
        Outlook::new(&self.plan, standings.collect())
    }
}
