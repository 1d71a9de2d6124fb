//! Who can't lead does not lead on. A leader that no longer hears a majority of the voters steps down (check-quorum,
//! thesis §6.2), and so does one whose disk has taken nothing for that long (hashicorp/raft#503): followers that hear
//! it elect nobody else, so that it would hold up everybody without any harm that shows.
//!
//! A core has an election timeout by its own clock. Here it is given three, and two heartbeats more: it must act once
//! it gets to act, and a process that stood still has to get that far first.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use quorate_node::raft::{NodeId, Role, Term, Time};

use super::{Checker, Evidence};
use crate::clock::RIGHT;
use crate::identity::machine_of;
use crate::observe::{MessageKind, Observation};
use crate::plan::{Host, Plan};
use crate::tap::host_of;

/// How many election timeouts a leader may go without a majority, or without its disk.
const PATIENCE_TIMEOUTS: u32 = 3;

/// Looks at what leaders hear and at what their disks do, each time they call on their followers.
#[derive(Debug)]
pub(crate) struct FitToLead {
    patience: Duration,
    two_heartbeats: Duration,
    servers: BTreeMap<Host, Server>,
    clocks: BTreeMap<Host, Clock>,
}

/// A machine's clock as it was last told.
#[derive(Clone, Copy, Debug)]
struct Clock {
    told_at: Time,
    shows: Time,
    rate: u64,
    /// The latest time that it has ever shown: until it shows that again, time stands still for a core.
    highest: Time,
}

#[derive(Debug, Default)]
struct Server {
    voters: Vec<Host>,
    outgoing: Vec<Host>,
    /// Writes that the disk has not done, with the time when they were asked for.
    writes: VecDeque<(u64, Time)>,
    office: Option<Office>,
}

#[derive(Debug)]
struct Office {
    term: Term,
    /// Nothing before this counts against it.
    since: Time,
    heard: BTreeMap<Host, Time>,
    /// When it first called on its followers although it was not fit.
    unfit_since: Option<Time>,
}

impl FitToLead {
    pub(crate) fn new(plan: &Plan) -> Self {
        FitToLead {
            patience: plan.election_timeout() * PATIENCE_TIMEOUTS,
            two_heartbeats: Duration::from_millis(plan.knobs.heartbeat_ms) * 2,
            servers: BTreeMap::new(),
            clocks: BTreeMap::new(),
        }
    }

    fn server(&mut self, host: Host) -> &mut Server {
        self.servers.entry(host).or_default()
    }

    fn clock(&mut self, at: Time, machine: Host, shows: Time, rate: u64) {
        let before = self.clocks.get(&machine);
        let highest = before.map_or(shows, |before| before.highest.max(before.at(at)).max(shows));
        self.clocks.insert(machine, Clock { told_at: at, shows, rate, highest });
        let since = self.time_goes_on(at, machine);
        let on_it = |host: &Host| machine_of(*host) == machine;
        let offices = self.servers.iter_mut().filter(|(host, _)| on_it(host));
        for office in offices.filter_map(|(_, server)| server.office.as_mut()) {
            (office.since, office.unfit_since) = (since, None);
        }
    }

    /// When time goes on for the servers of a machine: now, unless its clock went back.
    fn time_goes_on(&self, at: Time, machine: Host) -> Time {
        let clock = self.clocks.get(&machine).filter(|clock| clock.rate == RIGHT);
        clock.map_or(at, |clock| at + clock.highest.since(clock.at(at)))
    }

    /// A leader calls on its followers.
    fn calls(&mut self, at: Time, host: Host) -> Result<(), String> {
        if self.clocks.get(&machine_of(host)).is_some_and(|clock| clock.rate != RIGHT) {
            return Ok(());
        }
        let (patience, two_heartbeats) = (self.patience, self.two_heartbeats);
        let server = self.server(host);
        let Some(why) = server.unfit(at, host, patience) else {
            server.office.iter_mut().for_each(|office| office.unfit_since = None);
            return Ok(());
        };
        let Some(office) = &mut server.office else { return Ok(()) };
        let since = *office.unfit_since.get_or_insert(at);
        if at.since(since) <= two_heartbeats {
            return Ok(());
        }
        Err(format!("host {host} leads on in term {} although {why}", office.term.0))
    }
}

impl Clock {
    fn at(&self, now: Time) -> Time {
        Time(self.shows.0 + (now.0 - self.told_at.0) * self.rate / RIGHT)
    }
}

impl Server {
    fn unfit(&self, at: Time, host: Host, patience: Duration) -> Option<String> {
        let office = self.office.as_ref()?;
        let long_ago = |time: Time| at.since(time.max(office.since)) > patience;
        if self.writes.front().is_some_and(|(_, asked)| long_ago(*asked)) {
            return Some(format!("its disk has done nothing for more than {patience:?}"));
        }
        let heard = |voter: &&Host| {
            **voter == host || !long_ago(office.heard.get(*voter).copied().unwrap_or(office.since))
        };
        let lacks = |half: &&Vec<Host>| half.iter().filter(heard).count() * 2 <= half.len();
        let halves = [&self.voters, &self.outgoing];
        let half = halves.into_iter().filter(|half| !half.is_empty()).find(lacks)?;
        Some(format!("it has heard no majority of the voters {half:?} for more than {patience:?}"))
    }
}

fn hosts(ids: &[NodeId]) -> Vec<Host> {
    ids.iter().map(|id| host_of(id.0)).collect()
}

impl Checker for FitToLead {
    fn name(&self) -> &'static str {
        "fit-to-lead"
    }

    fn hears_messages(&self) -> bool {
        true
    }

    fn observe(&mut self, evidence: &Evidence<'_>, observation: &Observation) -> Result<(), String> {
        let at = evidence.at;
        match observation {
            Observation::Started { host, .. } => drop(self.servers.insert(*host, Server::default())),
            Observation::Ended { host, .. } => drop(self.servers.remove(host)),
            Observation::Clock { host, shows, rate } => {
                self.clock(at, *host, *shows, *rate);
            }
            Observation::Members { host, voters, outgoing, .. } => {
                let since = self.time_goes_on(at, machine_of(*host));
                let server = self.server(*host);
                (server.voters, server.outgoing) = (hosts(voters), hosts(outgoing));
                // New voters have had no time to be heard.
                server.office.iter_mut().for_each(|office| office.since = since);
            }
            Observation::Stands { host, stand } => {
                let since = self.time_goes_on(at, machine_of(*host));
                let office = &mut self.server(*host).office;
                if stand.role != Role::Leader {
                    *office = None;
                } else if office.as_ref().is_none_or(|office| office.term != stand.term) {
                    let heard = BTreeMap::new();
                    *office = Some(Office { term: stand.term, since, heard, unfit_since: None });
                }
            }
            // What it was about to do has to wait for a process that is stopped, and for whatever else may be broken.
            Observation::Fault { .. } => {
                let offices = self.servers.values_mut().filter_map(|server| server.office.as_mut());
                offices.for_each(|office| office.unfit_since = None);
            }
            Observation::Received { from, to, said } => {
                let office = self.server(*to).office.as_mut();
                if let Some(office) = office.filter(|office| office.term == said.term) {
                    office.heard.insert(*from, at);
                }
            }
            Observation::Writes { host, write } => self.server(*host).writes.push_back((write.id, at)),
            Observation::Durable { host, write } => {
                self.server(*host).writes.retain(|(id, _)| id > write);
            }
            Observation::Sent { from, said, .. } if said.kind == MessageKind::Heartbeat => {
                return self.calls(at, *from);
            }
            _ => {}
        }
        Ok(())
    }
}
