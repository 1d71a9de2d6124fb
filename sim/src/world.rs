//! Everything outside the servers, as plain data: machines, network, clocks, and what the plan does to them. Both
//! stacks run on it; what only a stack can do comes back to it as an [`Effect`].

mod ends;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use quorate_node::raft::Time;
use quorate_storage::{MemoryDisk, OpenError, Operation as DiskOperation};

use crate::agenda::{Agenda, Step};
use crate::clock::{HostClock, RIGHT};
use crate::counts::Counts;
use crate::history::Operation;
use crate::identity::server_of;
use crate::judge::Judge;
use crate::net_model::NetModel;
use crate::observe::{Ended, Observation, Phase};
use crate::outlook::Outlook;
use crate::plan::{Fault, Host, Link, Plan, Shape};
use crate::random::Random;
use crate::rot;
use crate::verdict::Verdict;
use ends::blank_disk;

/// How long a process that ended by itself stays away: a supervisor starts it again.
const SUPERVISOR_PAUSE: Duration = Duration::from_millis(500);

/// How long a sync on a slow disk takes at most, in microseconds: a disk that takes longer stalls, which is another
/// fault.
const SLOWEST_SYNC_US: u64 = 300_000;

/// How far a drive misses, in bytes.
const SECTOR_BYTES: i64 = 512;

/// Everything outside the servers.
pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) net: NetModel,
    pub(crate) judge: Judge,
    pub(crate) history: Vec<Operation>,
    pub(crate) machines: BTreeMap<Host, Machine>,
    agenda: Agenda,
    phase: Phase,
    /// How many orders operators have given.
    orders: u64,
}

/// A machine: what outlives its server.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) disk: MemoryDisk,
    pub(crate) clock: HostClock,
    /// A server runs on it.
    pub(crate) up: bool,
    /// How many servers have run on it.
    pub(crate) lives: u32,
    /// How often its disk was wiped: each time another server begins on it.
    pub(crate) wipes: Host,
    /// No server has started on its disk yet.
    newborn: bool,
    /// What took away the server before the one on its disk, until that has taken its place.
    replaces: Option<&'static str>,
    /// Why it will never run one again.
    pub(crate) gone: Option<String>,
    /// It belongs to the cluster, or is to join it.
    pub(crate) invited: bool,
    /// The plan's faults that keep it down.
    held_down: BTreeSet<usize>,
    /// The plan's faults that make it stand still.
    paused: BTreeSet<usize>,
    /// By how much it is slow, in microseconds, by fault.
    slowed: BTreeMap<usize, u64>,
    /// What its disk had seen when the faults could begin.
    changes_before: u64,
    /// How many syncs its disk had seen when it became slow.
    slow_since: u64,
    /// The fault that is about to cut its power.
    power_cut: Option<usize>,
    /// It was healed while a fault was about to: the power may have gone already, and the server not heard of it.
    power_may_be_gone: bool,
    /// A file of term and vote is bad in this life.
    pub(crate) stable_hurt: bool,
    /// Its log has been hurt.
    pub(crate) log_hurt: bool,
    /// Both files of term and vote are bad: no server may run on this disk again.
    forgot: bool,
    /// What its disk had stalled when the plan's long stalls began.
    stalled_before: BTreeMap<usize, u64>,
}

/// What a stack has to do for the world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// The server of this host is no more; with a power loss nobody is told.
    End { host: Host, power: bool },
    /// A server starts on this host.
    Start(Host),
    /// The server of this host is asked to end, by the plan's fault of this number.
    Stop { host: Host, number: usize },
    /// The server of this host stands still.
    Pause(Host),
    /// It goes on.
    Resume(Host),
    /// Links have changed: whatever waits for one looks again.
    Links,
    /// Connections break.
    Reset(Vec<Link>),
    /// The clock of this host isn't what it was: timers are set anew.
    Clock(Host),
    /// An operator has the plan's order of this number carried out.
    Order(usize),
}

impl World {
    pub(crate) fn new(plan: Arc<Plan>, keep_trace: bool) -> Self {
        let machines = plan.hosts().map(|host| (host, Machine::new(&plan, host))).collect();
        World {
            net: NetModel::new(plan.seed, plan.knobs.latency_us),
            judge: Judge::new(&plan, keep_trace),
            history: Vec::new(),
            machines,
            agenda: Agenda::default(),
            phase: Phase::Boot,
            orders: 0,
            plan,
        }
    }

    /// Whether the plan still does things to the cluster.
    pub(crate) fn breaks_things(&self) -> bool {
        self.phase == Phase::Safety
    }

    /// Nothing breaks any more, and the core is sound.
    pub(crate) fn is_healed(&self) -> bool {
        matches!(self.phase, Phase::Liveness | Phase::Scan)
    }

    pub(crate) fn enter(&mut self, now: Time, phase: Phase) {
        self.phase = phase;
        self.judge.observe(now, Observation::Phase(phase));
    }

    /// The cluster has formed: from here on the plan's times count.
    pub(crate) fn begin_faults(&mut self, now: Time) {
        self.enter(now, Phase::Safety);
        for machine in self.machines.values_mut() {
            machine.changes_before = machine.disk.changes();
        }
        self.agenda = Agenda::of(&self.plan, now);
    }

    /// When the plan wants something next.
    pub(crate) fn next_step(&self) -> Option<Time> {
        self.agenda.next()
    }

    pub(crate) fn machine(&mut self, host: Host) -> &mut Machine {
        self.machines.get_mut(&host).expect("a checked plan names only hosts that it has")
    }

    pub(crate) fn fired(&mut self) -> &mut Counts {
        &mut self.judge.fired
    }

    /// Does what is due.
    pub(crate) fn steps(&mut self, now: Time) -> Vec<Effect> {
        let mut effects = Vec::new();
        while let Some(step) = self.agenda.pop(now) {
            match step {
                Step::Begin(number) => {
                    self.judge.observe(now, Observation::Fault { number, begins: true });
                    effects.extend(self.begin(now, number));
                }
                Step::End(number) => {
                    self.judge.observe(now, Observation::Fault { number, begins: false });
                    effects.extend(self.end(now, number));
                }
                Step::Flap { number, mended } => {
                    self.net.flap(number, mended);
                    effects.push(Effect::Links);
                }
                Step::PowerOff(number) => effects.extend(self.power_off(now, number)),
                Step::Restart(host) => effects.extend(self.start(host)),
            }
        }
        effects
    }

    fn begin(&mut self, now: Time, number: usize) -> Vec<Effect> {
        let plan = Arc::clone(&self.plan);
        let fault = &plan.faults[number].fault;
        match *fault {
            Fault::Kill { host, .. } => self.take_down(now, number, &[host], &Ended::Killed),
            Fault::KillAll { .. } => self.take_down(now, number, &self.hosts(), &Ended::Killed),
            Fault::PowerLossAll { .. } => self.take_down(now, number, &self.hosts(), &Ended::PowerLost),
            Fault::PowerLoss { host, changes, within_ms, .. } => {
                let machine = self.machine(host);
                if machine.up && machine.power_cut.is_none() {
                    machine.power_cut = Some(number);
                    machine.disk.cut_power_at(machine.disk.changes() + changes);
                    self.agenda.add(now + Duration::from_millis(within_ms), Step::PowerOff(number));
                }
                Vec::new()
            }
            Fault::Pause { host, .. } => self.pause(number, host),
            Fault::Stop { host, .. } => vec![Effect::Stop { host, number }],
            Fault::Slow { host, by_us, .. } => {
                self.machine(host).slowed.insert(number, by_us);
                Vec::new()
            }
            Fault::Cut { .. }
            | Fault::Clog { .. }
            | Fault::Loss { .. }
            | Fault::Duplicate { .. }
            | Fault::Replay { .. }
            | Fault::Reorder { .. }
            | Fault::Delay { .. }
            | Fault::Lag { .. }
            | Fault::Corrupt { .. }
            | Fault::Congest { .. } => {
                self.net.begin(number, fault);
                vec![Effect::Links]
            }
            Fault::Reset { ref links } => vec![Effect::Reset(links.clone())],
            Fault::ClockJump { .. } | Fault::ClockDrift { .. } | Fault::ClockStop { .. } => {
                self.break_clock(now, fault)
            }
            Fault::LoseDisk { host } => self.lose_disk(now, number, host),
            Fault::Wipe { host, .. } => self.wipe(now, number, host),
            Fault::LoseTermAndVote { host, pick, .. } => self.lose_term_and_vote(now, number, host, pick),
            Fault::Transfer { .. } | Fault::Change { .. } | Fault::Member { .. } => {
                vec![Effect::Order(number)]
            }
            Fault::Join { host } => {
                self.machine(host).invited = true;
                self.fired().note(fault.kind());
                self.start(host)
            }
            _ => {
                self.break_disk(now, number, fault);
                Vec::new()
            }
        }
    }

    fn hosts(&self) -> Vec<Host> {
        self.machines.iter().filter(|(_, machine)| machine.invited).map(|(host, _)| *host).collect()
    }

    /// Servers end, and stay away until their fault does.
    fn take_down(&mut self, now: Time, number: usize, hosts: &[Host], why: &Ended) -> Vec<Effect> {
        let kind = self.plan.faults[number].fault.kind();
        let mut effects = Vec::new();
        for host in hosts {
            self.machine(*host).held_down.insert(number);
            if self.machine(*host).up {
                self.fired().note(kind);
                effects.extend(self.server_ended(now, *host, why.clone()));
            } else if *why == Ended::PowerLost {
                // No process, but what it left behind in memory is lost too.
                self.lose_power(now, *host);
            }
        }
        effects
    }

    /// The server of `host` is no more.
    fn server_ended(&mut self, now: Time, host: Host, why: Ended) -> Vec<Effect> {
        let power = matches!(why, Ended::PowerLost | Ended::DiskLost);
        if power {
            self.lose_power(now, host);
        } else {
            let seed = self.disk_seed(host);
            self.machine(host).disk.kill_at(now, seed);
        }
        self.machine(host).up = false;
        self.judge.observe(now, Observation::Ended { host: self.server(host), why });
        vec![Effect::End { host, power }]
    }

    fn lose_power(&mut self, now: Time, host: Host) {
        let seed = self.disk_seed(host);
        let machine = self.machine(host);
        machine.disk.crash_at(now, seed);
        machine.power_cut = None;
    }

    fn disk_seed(&mut self, host: Host) -> u64 {
        let (seed, machine) = (self.plan.seed, self.machine(host));
        Random::labelled(seed, &format!("crash {host} {} {}", machine.lives, machine.disk.changes())).bits()
    }

    fn power_off(&mut self, now: Time, number: usize) -> Vec<Effect> {
        let Some(host) = self.plan.faults[number].fault.host() else { return Vec::new() };
        if self.machine(host).power_cut != Some(number) {
            return Vec::new();
        }
        self.take_down(now, number, &[host], &Ended::PowerLost)
    }

    /// The storage of `host` has failed and its server ends: because the power went, or because the disk said so.
    pub(crate) fn storage_failed(&mut self, now: Time, host: Host) -> Vec<Effect> {
        match self.machine(host).power_cut {
            Some(number) => {
                let for_ms = self.plan.faults[number].fault.lasts().unwrap_or_default();
                self.agenda.add(now + for_ms, Step::End(number));
                self.take_down(now, number, &[host], &Ended::PowerLost)
            }
            None => {
                self.agenda.add(now + SUPERVISOR_PAUSE, Step::Restart(host));
                let by_power = std::mem::take(&mut self.machine(host).power_may_be_gone);
                self.server_ended(now, host, if by_power { Ended::PowerLost } else { Ended::DiskFailed })
            }
        }
    }

    /// The server of `host` would not start on what its disk holds. A disk that only failed is tried again.
    pub(crate) fn refused(&mut self, now: Time, host: Host, error: &OpenError) -> Vec<Effect> {
        if matches!(error, OpenError::Disk(_)) {
            return self.storage_failed(now, host);
        }
        let (server, machine) = (self.server(host), self.machine(host));
        machine.up = false;
        let comes_back = machine.forgot && error.costs_the_id();
        if !comes_back {
            machine.gone = Some(error.to_string());
        }
        self.judge.observe(now, Observation::Ended { host: server, why: Ended::Refused(error.to_string()) });
        if comes_back {
            self.begin_anew(host, "lost term and vote");
            self.agenda.add(now + SUPERVISOR_PAUSE, Step::Restart(host));
        }
        Vec::new()
    }

    fn start(&mut self, host: Host) -> Vec<Effect> {
        let phase = self.phase;
        let machine = self.machine(host);
        let may = machine.invited && machine.gone.is_none() && machine.held_down.is_empty();
        // What is broken when the core is healed stays broken.
        if !may || machine.up || (phase != Phase::Boot && phase != Phase::Safety && !self.is_core(host)) {
            return Vec::new();
        }
        let machine = self.machine(host);
        machine.up = true;
        machine.lives += 1;
        machine.stable_hurt = false;
        vec![Effect::Start(host)]
    }

    /// Starts the servers that a cluster begins with.
    pub(crate) fn boot(&mut self, now: Time) -> Vec<Effect> {
        self.enter(now, Phase::Boot);
        let servers = self.plan.cluster.servers;
        for host in self.plan.hosts() {
            self.tell_clock(now, host);
        }
        (1..=servers)
            .flat_map(|host| {
                self.machine(host).invited = true;
                self.start(host)
            })
            .collect()
    }

    fn pause(&mut self, number: usize, host: Host) -> Vec<Effect> {
        let machine = self.machine(host);
        let (first, up) = (machine.paused.is_empty(), machine.up);
        machine.paused.insert(number);
        if up {
            self.fired().note("pause");
        }
        if first { vec![Effect::Pause(host)] } else { Vec::new() }
    }

    pub(crate) fn is_paused(&self, host: Host) -> bool {
        self.machines.get(&host).is_some_and(|machine| !machine.paused.is_empty())
    }

    /// By how much, at most, `host` is late with everything it hears.
    pub(crate) fn slowness(&self, host: Host) -> Option<Duration> {
        let slowed = &self.machines.get(&host)?.slowed;
        slowed.values().max().map(|micros| Duration::from_micros(*micros))
    }

    fn break_clock(&mut self, now: Time, fault: &Fault) -> Vec<Effect> {
        let Some(host) = fault.host() else { return Vec::new() };
        let clock = &mut self.machine(host).clock;
        match fault {
            Fault::ClockJump { by_ms, .. } => clock.jump(now, *by_ms),
            Fault::ClockDrift { per_mille, .. } => clock.run_at(now, RIGHT.saturating_add_signed(*per_mille)),
            _ => clock.run_at(now, 0),
        }
        if self.machine(host).up {
            self.fired().note(fault.kind());
        }
        self.tell_clock(now, host);
        vec![Effect::Clock(host)]
    }

    fn break_disk(&mut self, now: Time, number: usize, fault: &Fault) {
        if let Fault::Rot { host, place, damage, pick } = *fault {
            if rot::strike(self, now, host, place, damage, pick) {
                self.fired().note(fault.kind());
            }
            return;
        }
        let Some(host) = fault.host() else { return };
        let (outside, sync_us) = (!self.is_core(host), self.plan.knobs.sync_us);
        let disk = &self.machine(host).disk;
        match *fault {
            Fault::DiskStall { for_ms, .. } => {
                disk.stall(now + Duration::from_millis(for_ms));
                let stalled = disk.counters().stalled_operations;
                self.machine(host).stalled_before.insert(number, stalled);
            }
            Fault::SlowDisk { factor, .. } => {
                disk.slow(u64::from(factor).min(SLOWEST_SYNC_US / sync_us).max(1));
                let syncs = disk.counters().syncs;
                self.machine(host).slow_since = syncs;
            }
            Fault::WriteError { nth, .. } => disk.fail(DiskOperation::Write, nth),
            Fault::ShortWrite { nth, bytes, .. } => disk.cut_write_short(nth, bytes),
            Fault::SyncError { nth, .. } => disk.fail(DiskOperation::Sync, nth),
            // One at a time: what fails twice in a row counts as damage, and where that may be is for the atlas.
            Fault::ReadError { nth, .. } => {
                disk.disarm();
                disk.fail(DiskOperation::Read, nth);
            }
            Fault::MisdirectedRead { nth, .. } => {
                disk.disarm();
                disk.misdirect_read(nth, SECTOR_BYTES);
            }
            // A write of the log that lands elsewhere is a lost write: undone, as it were, after it was acknowledged.
            Fault::MisdirectedWrite { nth, .. } if outside => {
                disk.misdirect_write_below("snaps/", nth, SECTOR_BYTES);
            }
            Fault::FullDisk { spare_bytes, .. } => disk.set_capacity(Some(disk.bytes_used() + spare_bytes)),
            _ => {}
        }
    }

    fn lose_disk(&mut self, now: Time, number: usize, host: Host) -> Vec<Effect> {
        let effects = self.take_down(now, number, &[host], &Ended::DiskLost);
        self.machine(host).gone = Some("its disk is lost".to_owned());
        effects
    }

    fn end(&mut self, now: Time, number: usize) -> Vec<Effect> {
        let plan = Arc::clone(&self.plan);
        let fault = &plan.faults[number].fault;
        self.net.end(number);
        let mut effects = vec![Effect::Links];
        for host in self.hosts() {
            let machine = self.machine(host);
            machine.slowed.remove(&number);
            if machine.paused.remove(&number) && machine.paused.is_empty() {
                effects.push(Effect::Resume(host));
            }
            if machine.held_down.remove(&number) {
                effects.extend(self.start(host));
            }
        }
        let Some(host) = fault.host() else { return effects };
        let machine = self.machine(host);
        match fault {
            Fault::ClockDrift { .. } | Fault::ClockStop { .. } => {
                machine.clock.run_at(now, RIGHT);
                self.tell_clock(now, host);
                effects.push(Effect::Clock(host));
            }
            Fault::SlowDisk { .. } => {
                machine.disk.slow(1);
                if machine.disk.counters().syncs > machine.slow_since {
                    self.fired().note(fault.kind());
                }
            }
            Fault::FullDisk { .. } => machine.disk.set_capacity(None),
            Fault::DiskStall { .. } => {
                let before = machine.stalled_before.remove(&number);
                let struck = before.is_some_and(|before| machine.disk.counters().stalled_operations > before);
                if struck {
                    self.fired().note(fault.kind());
                }
            }
            _ => {}
        }
        effects
    }

    fn is_core(&self, host: Host) -> bool {
        self.plan.cluster.core.contains(&host)
    }

    /// Heals the core for good, and freezes every other failure as it is.
    pub(crate) fn heal(&mut self, now: Time) -> Vec<Effect> {
        self.enter(now, Phase::Liveness);
        self.agenda = Agenda::default();
        let core = self.plan.cluster.core.clone();
        self.net.heal(&core);
        let mut effects = vec![Effect::Links];
        for host in core {
            let machine = self.machine(host);
            machine.invited = true;
            machine.held_down.clear();
            machine.slowed.clear();
            machine.clock.run_at(now, RIGHT);
            machine.disk.mend();
            effects.push(Effect::Clock(host));
            if !std::mem::take(&mut machine.paused).is_empty() {
                effects.push(Effect::Resume(host));
            }
            if machine.power_cut.take().is_some() {
                // Mending has put the power back before it went.
                machine.disk.cut_power_at(u64::MAX);
                machine.power_may_be_gone = true;
            }
            self.tell_clock(now, host);
            effects.extend(self.start(host));
        }
        effects
    }

    /// Nothing passes any more between the core and the others.
    pub(crate) fn cut_off_others(&mut self) -> Vec<Effect> {
        let core = &self.plan.cluster.core;
        let hosts = || self.machines.keys().copied();
        let links = hosts().flat_map(|from| hosts().map(move |to| (from, to)));
        let links = links.filter(|(from, to)| core.contains(from) != core.contains(to)).collect();
        let cut = Fault::Cut { shape: Shape::Halves, links, for_ms: 0, flaps: 1 };
        self.net.begin(usize::MAX, &cut);
        vec![Effect::Links]
    }

    /// What each disk has cost so far.
    pub(crate) fn tell_costs(&mut self, now: Time) {
        for (host, machine) in &self.machines {
            let counters = machine.disk.counters();
            let syncs = counters.syncs + counters.directory_syncs;
            self.judge.observe(now, Observation::Cost { host: server_of(*host, machine.wipes), syncs });
        }
    }

    /// The verdict on a cluster that makes no progress: a failure, unless it was impossible.
    pub(crate) fn stuck(&self, now: Time, what: &str, outlook: &Outlook) -> Verdict {
        let gone =
            self.machines.iter().filter_map(|(host, machine)| Some((*host, machine.gone.clone()?))).collect();
        match outlook.hopeless(&gone) {
            Some(why) => Verdict::Unavailable(format!("{what}; it could not: {why}")),
            None => Verdict::Liveness(format!("{what} by {now}: {outlook:?}")),
        }
    }
}

impl Machine {
    /// How many changes its disk has seen since the faults could begin.
    pub(crate) fn changes_under_faults(&self) -> u64 {
        self.disk.changes() - self.changes_before
    }

    fn new(plan: &Plan, host: Host) -> Self {
        let ahead = plan.cluster.clocks_ahead_ms.get(usize::from(host) - 1).copied().unwrap_or(0);
        Machine {
            disk: blank_disk(plan, host, 0),
            clock: HostClock::ahead(Duration::from_millis(ahead)),
            up: false,
            lives: 0,
            wipes: 0,
            newborn: true,
            replaces: None,
            gone: None,
            invited: false,
            held_down: BTreeSet::new(),
            paused: BTreeSet::new(),
            slowed: BTreeMap::new(),
            changes_before: 0,
            slow_since: 0,
            power_cut: None,
            power_may_be_gone: false,
            stable_hurt: false,
            log_hurt: false,
            forgot: false,
            stalled_before: BTreeMap::new(),
        }
    }
}
