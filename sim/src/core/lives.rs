//! The servers' processes: a node, its storage, and what goes between them.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_node::raft::{Envelope, Event, Term, Time};
use quorate_node::{Input, Node, Output, Request, RequestId};
use quorate_server::checkpoint_job;
use quorate_storage::{Job, MemoryDisk, Storage};

use super::CoreStack;
use super::leaving::Leaving;
use super::queue::{Answer, What};
use crate::history::Call;
use crate::identity::{FOUNDER, SCRUB_BYTES_PER_SECOND, found, node_config, node_id, storage_options};
use crate::observe::Observation;
use crate::plan::Host;
use crate::random::Random;
use crate::tap::{Tap, found_log, host_of};
use crate::workload::Ask;

/// How often the storage is told to tend its disk.
const PULSE: Duration = Duration::from_millis(500);

/// One process.
pub(crate) struct Life {
    pub(super) number: u32,
    /// Its number among the servers, which is not the host's own once a disk was wiped.
    server: Host,
    pub(crate) node: Node,
    tap: Tap,
    storage: Storage<MemoryDisk>,
    /// Work that waits for the storage.
    jobs: Vec<Job>,
    storage_busy: bool,
    recovered: bool,
    alarm: Option<Time>,
    /// Who waits for which request.
    pub(super) waiting: BTreeMap<RequestId, (u8, u64)>,
    pub(super) requests: u64,
    /// It was asked to end.
    pub(super) leaving: Option<Leaving>,
    random: Random,
}

impl CoreStack {
    pub(super) fn start_life(&mut self, host: Host) {
        let (now, plan) = (self.now, self.plan.clone());
        let server = self.world.server(host);
        let machine = self.world.machine(host);
        let (disk, number, local) = (machine.disk.clone(), machine.lives, machine.clock.at(now));
        let first = machine.is_newborn();
        disk.begin(now);
        if first && server == FOUNDER {
            found(&disk, &plan);
        } else if first {
            self.queue.outside(now, What::Invite(server));
        }
        let mut random = Random::labelled(plan.seed, &format!("host {host} life {number}"));
        let opened = Storage::open(disk.clone(), storage_options(&plan, random.bits()));
        let (storage, recovered) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let effects = self.world.refused(now, host, &error);
                return self.apply(effects);
            }
        };
        self.world.judge.observe(now, Observation::Started { host: server, found: found_log(&recovered) });
        let config = node_config(&plan, server, random.bits());
        let node = Node::open(config, recovered, local).expect("what recovery found opens");
        let life = Box::new(Life {
            number,
            server,
            node,
            tap: Tap::new(server),
            storage,
            jobs: Vec::new(),
            storage_busy: true,
            recovered: false,
            alarm: None,
            waiting: BTreeMap::new(),
            requests: 0,
            leaving: None,
            random,
        });
        self.lives.insert(host, life);
        self.queue.at_host(disk.clock() + PULSE, host, What::Pulse { life: number });
        // Nothing is heard before recovery is done.
        self.queue.at_host(disk.clock(), host, What::StorageDone { life: number, dones: Vec::new() });
    }

    pub(super) fn end_life(&mut self, host: Host, power: bool) {
        let Some(life) = self.lives.remove(&host) else { return };
        if power {
            return;
        }
        // The system says to everybody who was connected that the process is gone.
        for (client, attempt) in life.waiting.into_values() {
            self.answer(host, client, attempt, Answer::Broken);
        }
        for peer in self.lives.keys().copied().collect::<Vec<Host>>() {
            if self.world.net.cut(host, peer).is_none() {
                self.link_broke(peer, host);
            }
        }
    }

    pub(super) fn handle_at(&mut self, host: Host, what: What) {
        match what {
            What::Deliver(envelope) => self.deliver(host, *envelope),
            What::Alarm { life } => {
                let Some(running) = self.lives.get_mut(&host).filter(|running| running.number == life) else {
                    return;
                };
                // An alarm that a later one has replaced rings in vain.
                if running.alarm == Some(self.now) {
                    running.alarm = None;
                    self.feed(host, Input::Timeout);
                }
            }
            What::StorageDone { life, dones } => {
                let Some(running) = self.lives.get_mut(&host).filter(|running| running.number == life) else {
                    return;
                };
                running.storage_busy = false;
                let begins = !std::mem::replace(&mut running.recovered, true);
                if begins {
                    let host = running.server;
                    self.world.judge.observe(self.now, Observation::Recovered { host });
                }
                // As in production the node does not hear of what the storage does in the background.
                let has_news = begins || !dones.is_empty();
                for done in dones {
                    self.give(host, Input::Done(done));
                }
                if has_news {
                    self.turn(host);
                }
                self.run_storage(host);
            }
            What::Pulse { life } => self.pulse(host, life),
            What::StorageFailed { life } => {
                if self.lives.get(&host).is_some_and(|running| running.number == life) {
                    let effects = self.world.storage_failed(self.now, host);
                    self.apply(effects);
                }
            }
            What::HandOver { life } => {
                if self.lives.get(&host).is_some_and(|running| running.number == life) {
                    self.hand_over(host);
                }
            }
            What::Stopped { life, number } => {
                if self.lives.get(&host).is_some_and(|running| running.number == life) {
                    let effects = self.world.stopped(self.now, host, number);
                    self.apply(effects);
                }
            }
            What::Request { attempt, ask } => self.request(host, attempt, &ask),
            What::Errand { auditor, attempt, request } => self.errand(host, auditor, attempt, *request),
            What::HangUp { client, attempt } => self.hang_up(host, client, attempt),
            _ => unreachable!("everything else happens outside"),
        }
    }

    /// What the driver does on the full stack.
    fn pulse(&mut self, host: Host, life: u32) {
        let Some(running) = self.lives.get_mut(&host).filter(|running| running.number == life) else {
            return;
        };
        if !running.jobs.iter().any(|job| matches!(job, Job::Tend { .. })) {
            running.jobs.push(Job::Tend { scrub_bytes: SCRUB_BYTES_PER_SECOND / 2 });
        }
        self.queue.at_host(self.now + PULSE, host, What::Pulse { life });
        self.run_storage(host);
    }

    fn deliver(&mut self, host: Host, envelope: Envelope) {
        let Some(life) = self.lives.get_mut(&host) else { return };
        // A link begins with both ends naming themselves: nobody gets what was meant for its former self.
        if host_of(envelope.to.0) != life.server {
            return;
        }
        let from = envelope.from;
        let alarmed = life.random.between(1, 1_000) <= self.plan.knobs.false_alarms.into();
        self.give(host, Input::Message(envelope));
        if alarmed {
            self.give(host, Input::Unreachable(from));
        }
        self.turn(host);
    }

    pub(super) fn link_broke(&mut self, host: Host, to: Host) {
        let to = node_id(self.world.server(to));
        self.feed(host, Input::Unreachable(to));
    }

    pub(super) fn lateness(&mut self, host: Host, most: Duration) -> Duration {
        let most = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        let micros = self.lives.get_mut(&host).map_or(0, |life| life.random.between(0, most));
        Duration::from_micros(micros)
    }

    /// One input and its turn.
    pub(super) fn feed(&mut self, host: Host, input: Input) {
        self.give(host, input);
        self.turn(host);
    }

    fn give(&mut self, host: Host, input: Input) {
        let local = self.world.machine(host).clock.at(self.now);
        let Some(life) = self.lives.get_mut(&host) else { return };
        if let Some(observation) = life.tap.input(&input) {
            self.world.judge.observe(self.now, observation);
        }
        life.node.handle(local, input);
    }

    /// Polls the node until it has nothing more to ask for, and does it all.
    fn turn(&mut self, host: Host) {
        let Some(mut life) = self.lives.remove(&host) else { return };
        let early = self.plan.knobs.early_timeouts;
        if early > 0 && life.random.between(1, 1_000) <= early.into() {
            life.node.handle(self.world.machine(host).clock.at(self.now), Input::Timeout);
        }
        let (mut failed, mut elected) = (None, None);
        while let Some(output) = life.node.poll() {
            if let Some(observation) = life.tap.output(&output) {
                self.world.judge.observe(self.now, observation);
            }
            match output {
                Output::Send(envelope) => self.send(host, envelope),
                Output::Job(job) => life.jobs.push(Job::Core(job)),
                Output::Checkpoint(checkpoint) => life.jobs.push(checkpoint_job(*checkpoint)),
                Output::Reply { id, reply } => {
                    if let Some(leaving) = life.leaving.as_mut().filter(|leaving| leaving.request == id) {
                        leaving.told = Some(reply);
                    } else if let Some((client, attempt)) = life.waiting.remove(&id) {
                        self.answer(host, client, attempt, Answer::Reply(Box::new(reply)));
                    }
                }
                Output::Failed(reason) => failed = Some(reason),
                Output::Event(Event::BecameLeader { term }) => elected = Some(term),
                Output::Changed | Output::Event(_) => {}
            }
        }
        let (judge, now) = (&mut self.world.judge, self.now);
        life.tap.turned(&mut life.node, |observation| judge.observe(now, observation));
        if let Some(term) = elected {
            self.look_at_leases(host, term);
        }
        self.lives.insert(host, life);
        if failed.is_some() {
            let effects = self.world.storage_failed(now, host);
            return self.apply(effects);
        }
        self.run_storage(host);
        self.set_alarm(host);
        self.go_on_leaving(host);
    }

    /// Which leaders of earlier terms believe, at this moment, that nobody can become leader. (One of a later term may:
    /// votes that were long under way can still elect somebody who will never commit anything.)
    fn look_at_leases(&mut self, host: Host, term: Term) {
        let mut held = Vec::new();
        for (other, life) in &self.lives {
            let (shows, raft) = (self.world.machines[other].clock.at(self.now), life.node.raft());
            if raft.status().term < term && raft.lease_until().is_some_and(|until| shows < until) {
                held.push(life.server);
            }
        }
        let host = self.world.server(host);
        self.world.judge.observe(self.now, Observation::Leases { host, held });
    }

    /// Gives the storage what waits, when it is free.
    fn run_storage(&mut self, host: Host) {
        let now = self.now;
        let Some(life) = self.lives.get_mut(&host) else { return };
        if life.storage_busy || (life.jobs.is_empty() && !life.storage.busy()) {
            return;
        }
        let count = if self.plan.knobs.one_job_at_a_time { life.jobs.len().min(1) } else { life.jobs.len() };
        let jobs: Vec<Job> = life.jobs.drain(..count).collect();
        life.storage_busy = true;
        let disk = &self.world.machine(host).disk;
        disk.begin(now);
        let Some(life) = self.lives.get_mut(&host) else { return };
        let number = life.number;
        let done = life.storage.perform(jobs);
        for _ in life.storage.take_findings() {
            self.world.judge.observe(now, Observation::FoundAtRest { host });
        }
        let at = self.world.machine(host).disk.clock().max(now);
        let what = match done {
            Ok(dones) => What::StorageDone { life: number, dones },
            Err(_) => What::StorageFailed { life: number },
        };
        self.queue.at_host(at, host, what);
    }

    /// Sets the alarm for the node's deadline, when it rings too late or not at all.
    pub(super) fn set_alarm(&mut self, host: Host) {
        let clock = self.world.machine(host).clock;
        let Some(life) = self.lives.get_mut(&host) else { return };
        let Some(due) = life.node.deadline().and_then(|deadline| clock.when(deadline)) else { return };
        let due = due.max(self.now + Duration::from_micros(1));
        // Deadlines mostly move later, and an early alarm is harmless.
        if life.alarm.is_none_or(|alarm| due < alarm || alarm <= self.now) {
            life.alarm = Some(due);
            let number = life.number;
            self.queue.at_host(due, host, What::Alarm { life: number });
        }
    }

    fn request(&mut self, host: Host, attempt: u64, ask: &Ask) {
        let client = ask.client;
        let Some(life) = self.lives.get_mut(&host) else {
            return self.answer(host, client, attempt, Answer::Refused);
        };
        life.requests += 1;
        let id = RequestId(life.requests);
        life.waiting.insert(id, (client, attempt));
        let request = match (&ask.call, ask.action()) {
            (Call::Get, _) | (_, None) => Request::get(ask.key.as_bytes().into(), ask.level),
            (_, Some(action)) => Request::Write { action, once: ask.once() },
        };
        self.feed(host, Input::Request { id, request });
    }

    fn hang_up(&mut self, host: Host, client: u8, attempt: u64) {
        let Some(life) = self.lives.get_mut(&host) else { return };
        let id = life.waiting.iter().find(|(_, waiting)| **waiting == (client, attempt)).map(|(id, _)| *id);
        if let Some(id) = id {
            life.waiting.remove(&id);
            self.feed(host, Input::Cancel(id));
        }
    }
}
