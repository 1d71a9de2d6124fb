//! Servers that end in good order, disks that are wiped, and what operators say and hear.

use quorate_node::raft::Time;
use quorate_storage::{MemoryDisk, Microseconds, Pace};

use super::{Effect, Machine, World};
use crate::agenda::Step;
use crate::identity::{machine_of, server_of};
use crate::observe::{Ended, Observation, Wanted};
use crate::plan::{Host, Plan};
use crate::random::Random;
use crate::rot;

impl World {
    /// The number of the server that runs on `host`, or would.
    pub(crate) fn server(&self, host: Host) -> Host {
        server_of(host, self.machines.get(&host).map_or(0, |machine| machine.wipes))
    }

    /// Whether `server` is the one that its host has now.
    pub(crate) fn is_current(&self, server: Host) -> bool {
        self.server(machine_of(server)) == server
    }

    /// The server of `host` was asked to end and has done so; it stays away for as long as the fault says.
    pub(crate) fn stopped(&mut self, now: Time, host: Host, number: usize) -> Vec<Effect> {
        if !self.machine(host).up {
            return Vec::new();
        }
        let for_ms = self.plan.faults[number].fault.lasts().unwrap_or_default();
        self.agenda.add(now + for_ms, Step::End(number));
        self.take_down(now, number, &[host], &Ended::Stopped)
    }

    /// A disk is lost, and another one takes its place, which nothing was ever written to. That counts once the server
    /// on it has taken its former self's place.
    pub(super) fn wipe(&mut self, now: Time, number: usize, host: Host) -> Vec<Effect> {
        if !self.machine(host).invited {
            return Vec::new();
        }
        self.machine(host).held_down.insert(number);
        let effects =
            if self.machine(host).up { self.server_ended(now, host, Ended::DiskLost) } else { Vec::new() };
        self.begin_anew(host, "wiped disk");
        effects
    }

    /// A process dies, and both files of term and vote go bad before it is started again.
    pub(super) fn lose_term_and_vote(
        &mut self,
        now: Time,
        number: usize,
        host: Host,
        pick: u64,
    ) -> Vec<Effect> {
        let machine = self.machine(host);
        if !machine.invited || machine.newborn || machine.gone.is_some() {
            return Vec::new();
        }
        machine.held_down.insert(number);
        let effects = if machine.up { self.server_ended(now, host, Ended::Killed) } else { Vec::new() };
        if rot::take_term_and_vote(self, host, pick) {
            self.machine(host).forgot = true;
            self.judge.observe(now, Observation::Forgot { host: self.server(host) });
        }
        effects
    }

    /// Another server begins on an empty disk of `host`, to take the place of the one that `why` took away.
    pub(super) fn begin_anew(&mut self, host: Host, why: &'static str) {
        self.count_disk_faults_of(host);
        let wipes = self.machine(host).wipes + 1;
        let disk = blank_disk(&self.plan, host, wipes);
        let machine = self.machine(host);
        machine.disk = disk;
        machine.wipes = wipes;
        (machine.newborn, machine.replaces) = (true, Some(why));
        machine.gone = None;
        machine.power_cut = None;
        (machine.changes_before, machine.slow_since) = (0, 0);
        (machine.stable_hurt, machine.log_hurt, machine.forgot) = (false, false, false);
        machine.stalled_before.clear();
    }

    /// `server` is a member of the cluster, and who was known at its address before is not.
    pub(crate) fn took_its_place(&mut self, server: Host) {
        let host = machine_of(server);
        if let Some(why) = self.machine(host).replaces.take_if(|_| server != host) {
            self.fired().note(why);
        }
    }

    /// The judge hears what the clock of `host` is like from now on.
    pub(super) fn tell_clock(&mut self, now: Time, host: Host) {
        let clock = self.machine(host).clock;
        self.judge.observe(now, Observation::Clock { host, shows: clock.at(now), rate: clock.rate() });
    }

    /// An operator gives an order; its number, under which the answer is told.
    pub(crate) fn orders(&mut self, now: Time, wanted: Wanted) -> u64 {
        self.orders += 1;
        self.judge.observe(now, Observation::Orders { number: self.orders, wanted });
        self.orders
    }

    /// What the disks saw, counted with the faults that had an effect.
    pub(crate) fn count_disk_faults(&mut self) {
        let hosts: Vec<Host> = self.machines.keys().copied().collect();
        hosts.into_iter().for_each(|host| self.count_disk_faults_of(host));
    }

    fn count_disk_faults_of(&mut self, host: Host) {
        let counters = self.machine(host).disk.counters();
        for (kind, count) in [
            ("disk stall", counters.stalled_operations),
            ("write error", counters.failed_writes - counters.short_writes),
            ("short write", counters.short_writes),
            ("sync error", counters.failed_syncs),
            ("read error", counters.failed_reads),
            ("full disk", counters.refused_for_space),
            ("misdirected read", counters.misdirected_reads),
            ("misdirected write", counters.misdirected_writes),
            ("torn write", counters.torn_writes),
            ("unsynced sector lost", counters.sectors_lost),
            ("name change lost", counters.name_changes_lost),
            ("operation undone by a crash", counters.operations_undone),
        ] {
            if count > 0 {
                self.judge.fired.add(kind, count);
            }
        }
    }
}

impl Machine {
    /// A server has never started on its disk; now one does.
    pub(crate) fn is_newborn(&mut self) -> bool {
        std::mem::take(&mut self.newborn)
    }
}

/// An empty disk for `host`, after so many that were wiped.
pub(super) fn blank_disk(plan: &Plan, host: Host, wipes: Host) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let sync = plan.knobs.sync_us;
    let pace = Pace {
        read: Microseconds::between(5, 50),
        write: Microseconds::between(5, 60),
        page: Microseconds::between(0, 2),
        sync: Microseconds::between(sync / 4, sync),
        name: Microseconds::between(5, 100),
    };
    disk.set_pace(pace, Random::labelled(plan.seed, &format!("disk {}", server_of(host, wipes))).bits());
    disk
}
