//! Faults, kind by kind; those of disks in `disk`.

mod disk;

pub(super) use disk::DISK;

use super::fault::{Fault, Link, Order, Shape, Timed};
use super::{DRIFT, Host};
use crate::random::Random;

/// Draws faults of one kind that begin at about the time given.
pub(super) type Drawing = fn(&mut Draw, at_ms: u64) -> Vec<Timed>;

pub(super) const NETWORK: &[Drawing] = &[
    cut, cut, one_way, flapping, shuffles, clog, swizzle, loss, duplicate, replay, reorder, delay,
    slow_links, corrupt, congest, reset,
];
pub(super) const PROCESS: &[Drawing] =
    &[kill, kill, kill_all, power_loss, power_loss, power_loss_all, crash_again, pause, slow, stop];
pub(super) const CLOCK: &[Drawing] = &[clock_jump, clock_drift, clock_stop];
pub(super) const MEMBERS: &[Drawing] = &[change, change, change_unheard, member_leaves, member_rests, wipe];
/// What the drawings draw from.
pub(super) struct Draw {
    pub(super) random: Random,
    pub(super) servers: u8,
    pub(super) core: Vec<Host>,
    pub(super) election_timeout_ms: u64,
    /// Clocks stay within what leases reckon with.
    pub(super) mild_clocks: bool,
}

impl Draw {
    fn host(&mut self) -> Host {
        Host::try_from(self.random.between(1, self.servers.into())).unwrap_or(1)
    }

    /// A host that won't be healed in the end, if there is one.
    fn outsider(&mut self) -> Option<Host> {
        let outside: Vec<Host> = (1..=self.servers).filter(|host| !self.core.contains(host)).collect();
        (!outside.is_empty()).then(|| outside[self.random.below(outside.len())])
    }

    /// Mostly short, sometimes many election timeouts.
    fn for_ms(&mut self) -> u64 {
        let most = if self.random.one_in(4) { 12_000 } else { 3_000 };
        self.random.between(50, most)
    }

    fn share(&mut self) -> u32 {
        let most = if self.random.one_in(3) { 300 } else { 50 };
        self.per_mille(most)
    }

    fn per_mille(&mut self, most: u64) -> u32 {
        u32::try_from(self.random.between(5, most)).unwrap_or(5)
    }

    /// Of what costs nobody his progress: up to all.
    fn large_share(&mut self) -> u32 {
        if self.random.one_in(3) { 1_000 } else { self.per_mille(300) }
    }

    fn nth(&mut self) -> u64 {
        let most = if self.random.one_in(2) { 4 } else { 60 };
        self.random.between(0, most)
    }

    /// So many tenths of an election timeout, from the least to the most.
    fn tenths(&mut self, least: u64, most: u64) -> u64 {
        self.random.between(self.election_timeout_ms * least / 10, self.election_timeout_ms * most / 10)
    }

    fn links(&self, chosen: impl Fn(Host, Host) -> bool) -> Vec<Link> {
        let all = 1..=self.servers;
        let pairs = all.clone().flat_map(|from| all.clone().map(move |to| (from, to)));
        pairs.filter(|(from, to)| from != to && chosen(*from, *to)).collect()
    }

    /// All links of some hosts.
    fn links_of_some(&mut self) -> Vec<Link> {
        let some: Vec<Host> = (1..=self.servers).filter(|_| self.random.one_in(2)).collect();
        self.links(|from, to| some.contains(&from) || some.contains(&to))
    }
}

fn at(at_ms: u64, fault: Fault) -> Vec<Timed> {
    vec![Timed { at_ms, fault }]
}

pub(super) fn cut(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let servers = draw.servers;
    if servers < 2 {
        return Vec::new();
    }
    let one = draw.host();
    let (shape, links) = match draw.random.between(1, 4) {
        1 => {
            let other = one % servers + 1;
            let inside: Vec<bool> =
                (1..=servers).map(|host| host == one || (host != other && draw.random.one_in(2))).collect();
            let side = |host: Host| inside[usize::from(host) - 1];
            (Shape::Halves, draw.links(|from, to| side(from) != side(to)))
        }
        2 if servers > 3 => {
            let apart = |from: Host, to: Host| from.abs_diff(to).min(servers - from.abs_diff(to));
            (Shape::Ring, draw.links(|from, to| apart(from, to) > 1))
        }
        3 if servers > 2 => {
            // One host reaches both sides, which do not reach each other.
            let side = |host: Host| (host + servers - one) % servers > servers / 2;
            (Shape::Bridge, draw.links(|from, to| from != one && to != one && side(from) != side(to)))
        }
        _ => (Shape::Isolated, draw.links(|from, to| from == one || to == one)),
    };
    let for_ms = draw.for_ms();
    at(at_ms, Fault::Cut { shape, links, for_ms, flaps: 1 })
}

fn one_way(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let from = draw.host();
    // To one, or to all.
    let to = draw.random.one_in(2).then(|| draw.host());
    let inward = draw.random.one_in(2);
    let links = draw.links(|a, b| {
        let (here, there) = if inward { (b, a) } else { (a, b) };
        here == from && to.is_none_or(|to| to == there)
    });
    let for_ms = draw.for_ms();
    at(at_ms, Fault::Cut { shape: Shape::OneWay, links, for_ms, flaps: 1 })
}

fn flapping(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let one = draw.host();
    let links = draw.links(|from, to| from == one || to == one);
    let flaps = u32::try_from(draw.random.between(3, 12)).unwrap_or(3);
    let for_ms = draw.random.between(1_000, 8_000);
    at(at_ms, Fault::Cut { shape: Shape::Isolated, links, for_ms, flaps })
}

/// Again and again other hosts hear each other, over slow links: leaders that reach one or two others come and go, and
/// what one of them has appended may be found in many a place (the paper's figure 8).
fn shuffles(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let rounds: Vec<u64> = (0..draw.random.between(4, 10)).map(|_| draw.tenths(12, 30)).collect();
    let mut faults = slow_links_for(draw, at_ms, rounds.iter().sum());
    let mut from_ms = at_ms;
    for for_ms in rounds {
        let some: Vec<Host> = (1..=draw.servers).filter(|_| draw.random.one_in(3)).collect();
        let mut links = draw.links(|_, _| true);
        links.retain(|(from, to)| some.contains(from) || some.contains(to) || draw.random.one_in(4));
        let cut = Fault::Cut { shape: Shape::OneWay, links, for_ms, flaps: 1 };
        faults.push(Timed { at_ms: from_ms, fault: cut });
        from_ms += for_ms;
    }
    faults
}

fn clog(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let links = draw.links_of_some();
    let for_ms = draw.for_ms();
    at(at_ms, Fault::Clog { links, for_ms, swizzle: false })
}

/// One host after the other is clogged, and they come free in another order (FoundationDB's swizzle-clogging, Wilson,
/// Strange Loop 2014).
fn swizzle(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let mut faults = Vec::new();
    let mut from_ms = at_ms;
    for host in 1..=draw.servers {
        if draw.random.one_in(3) {
            continue;
        }
        let links = draw.links(|from, to| from == host || to == host);
        let for_ms = draw.random.between(500, 6_000);
        faults.push(Timed { at_ms: from_ms, fault: Fault::Clog { links, for_ms, swizzle: true } });
        from_ms += draw.random.between(1, 800);
    }
    faults
}

pub(super) fn loss(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, for_ms) = (draw.share(), draw.for_ms());
    at(at_ms, Fault::Loss { per_mille, for_ms })
}

fn duplicate(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, for_ms) = (draw.large_share(), draw.for_ms());
    at(at_ms, Fault::Duplicate { per_mille, for_ms })
}

fn replay(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, late_ms, for_ms) = (draw.large_share(), draw.random.between(200, 8_000), draw.for_ms());
    at(at_ms, Fault::Replay { per_mille, late_ms, for_ms })
}

fn reorder(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, by_ms, for_ms) = (draw.share(), draw.random.between(2, 500), draw.for_ms());
    at(at_ms, Fault::Reorder { per_mille, by_ms, for_ms })
}

pub(super) fn delay(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let most = if draw.random.one_in(3) { 1_500 } else { 200 };
    let (by_ms, for_ms) = (draw.random.between(5, most), draw.for_ms());
    at(at_ms, Fault::Delay { by_ms, for_ms })
}

/// Some links are slow, each by a part of an election timeout of its own, so that votes and answers are long under way
/// while others are told at once.
fn slow_links(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let for_ms = draw.for_ms();
    slow_links_for(draw, at_ms, for_ms)
}

fn slow_links_for(draw: &mut Draw, at_ms: u64, for_ms: u64) -> Vec<Timed> {
    let links = draw.links(|_, _| true);
    let slow: Vec<Link> = links.into_iter().filter(|_| draw.random.one_in(2)).collect();
    let lag = |link| {
        let by_ms = draw.tenths(1, 9);
        Timed { at_ms, fault: Fault::Lag { links: vec![link], by_ms, for_ms } }
    };
    slow.into_iter().map(lag).collect()
}

/// Over slow links the others run for office when one that may lead was not heard for about an election timeout; then
/// it is heard again, while their votes are still under way. What they promise it from then on binds them in any term.
pub(super) fn late_votes(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let rounds = draw.random.between(2, 5);
    let (pause_ms, mut from_ms) = (draw.election_timeout_ms * 5, at_ms);
    let mut faults = slow_links_for(draw, at_ms, pause_ms * (rounds + 1));
    // A refusal may overtake the vote that was asked for before it.
    let by_ms = draw.tenths(2, 8);
    let reorder = Fault::Reorder { per_mille: 300, by_ms, for_ms: pause_ms * (rounds + 1) };
    faults.push(Timed { at_ms, fault: reorder });
    for _ in 0..rounds {
        let silent = draw.host();
        let links = draw.links(|from, _| from == silent);
        let for_ms = draw.tenths(9, 19);
        let cut = Fault::Cut { shape: Shape::OneWay, links, for_ms, flaps: 1 };
        if draw.random.one_in(2) {
            faults.extend(lead_first(draw, silent, from_ms));
        }
        faults.push(Timed { at_ms: from_ms, fault: cut });
        from_ms += pause_ms;
    }
    faults
}

fn corrupt(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (per_mille, for_ms) = (draw.share().min(100), draw.for_ms());
    at(at_ms, Fault::Corrupt { per_mille, for_ms })
}

fn congest(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (bytes_per_second, for_ms) = (draw.random.between(2_000, 100_000), draw.for_ms());
    at(at_ms, Fault::Congest { bytes_per_second, for_ms })
}

pub(super) fn reset(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let links = draw.links_of_some();
    at(at_ms, Fault::Reset { links })
}

pub(super) fn kill(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::Kill { host, for_ms })
}

pub(super) fn kill_all(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let for_ms = draw.random.between(10, 2_000);
    at(at_ms, Fault::KillAll { for_ms })
}

pub(super) fn power_loss(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, changes, for_ms) = (draw.host(), draw.random.between(0, 12), draw.for_ms());
    at(at_ms, Fault::PowerLoss { host, changes, within_ms: 500, for_ms })
}

/// A machine loses power, and soon after it has come back its process dies: what recovery has left behind is read once
/// more.
pub(super) fn crash_again(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, changes) = (draw.host(), draw.random.between(0, 12));
    let (within_ms, for_ms) = (500, draw.random.between(10, 300));
    let again_ms = at_ms + within_ms + for_ms + draw.random.between(50, 2_000);
    let first = Fault::PowerLoss { host, changes, within_ms, for_ms };
    let second = Fault::Kill { host, for_ms: draw.random.between(1, 500) };
    [at(at_ms, first), at(again_ms, second)].concat()
}

fn power_loss_all(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let for_ms = draw.random.between(10, 2_000);
    at(at_ms, Fault::PowerLossAll { for_ms })
}

pub(super) fn pause(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::Pause { host, for_ms })
}

pub(super) fn stop(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, for_ms) = (draw.host(), draw.random.between(1, 2_000));
    at(at_ms, Fault::Stop { host, for_ms })
}

pub(super) fn slow(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, by_us, for_ms) = (draw.host(), draw.random.between(500, 30_000), draw.for_ms());
    at(at_ms, Fault::Slow { host, by_us, for_ms })
}

fn clock_jump(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    if draw.mild_clocks {
        return clock_drift(draw, at_ms);
    }
    let most = if draw.random.one_in(4) { 3_600_000 } else { 3_000 };
    let by_ms = i64::try_from(draw.random.between(10, most)).unwrap_or(10);
    // A monotonic clock never goes back; should one do so for once, it must not be by much, or the node stands still.
    let by_ms = if draw.random.one_in(3) { -by_ms.min(2_000) } else { by_ms };
    let host = draw.host();
    at(at_ms, Fault::ClockJump { host, by_ms })
}

fn clock_drift(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let slow = draw.random.one_in(2);
    let by = i64::try_from(draw.random.between(10, if slow { 800 } else { 4_000 })).unwrap_or(10);
    let by = if draw.mild_clocks { by.min(DRIFT) } else { by };
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::ClockDrift { host, per_mille: if slow { -by } else { by }, for_ms })
}

fn clock_stop(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    if draw.mild_clocks {
        return pause(draw, at_ms);
    }
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::ClockStop { host, for_ms })
}

/// One host loses sight of the leader; as soon as that may be missed a third one restarts and no longer hears the
/// leader either. It must not help the first one, which has missed little, into office before the time is up that it
/// had promised before.
pub(super) fn forgotten_promise(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    if draw.servers < 3 {
        return Vec::new();
    }
    let mut hosts: Vec<Host> = (1..=draw.servers).collect();
    let [leader, candidate, voter] = [(); 3].map(|()| hosts.remove(draw.random.below(hosts.len())));
    let apart = |draw: &Draw, other: Host| {
        draw.links(|from, to| [(leader, other), (other, leader)].contains(&(from, to)))
    };
    let cut = |links, for_ms| Fault::Cut { shape: Shape::Bridge, links, for_ms, flaps: 1 };
    let lead = lead_first(draw, leader, at_ms);
    let later = at_ms + draw.tenths(10, 25);
    let first = cut(apart(draw, candidate), later - at_ms + 1_500);
    let second = cut(apart(draw, voter), 1_500);
    let restart = Fault::Kill { host: voter, for_ms: draw.random.between(1, 40) };
    [lead, at(at_ms, first), at(later, second), at(later, restart)].concat()
}

/// Most faults of a host matter when it leads: leadership is handed to it half an election timeout before.
fn lead_first(draw: &Draw, host: Host, at_ms: u64) -> Vec<Timed> {
    at(at_ms.saturating_sub(draw.election_timeout_ms / 2), Fault::Transfer { to: Some(host) })
}

pub(super) fn transfer(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let to = draw.random.one_in(2).then(|| draw.host());
    at(at_ms, Fault::Transfer { to })
}

/// Any voters of which the core is a majority, so that the core can go on alone, and any learners.
fn change(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (mut core, mut others): (Vec<Host>, Vec<Host>) =
        (1..=draw.servers).partition(|host| draw.core.contains(host));
    let voting = draw.random.between(1, core.len() as u64);
    let take = |draw: &mut Draw, from: &mut Vec<Host>| from.remove(draw.random.below(from.len()));
    let mut voters: Vec<Host> = (0..voting).map(|_| take(draw, &mut core)).collect();
    let outsiders = draw.random.between(0, voting - 1).min(others.len() as u64);
    voters.extend((0..outsiders).map(|_| take(draw, &mut others)));
    let rest = core.into_iter().chain(others);
    let learners: Vec<Host> = rest.filter(|_| draw.random.one_in(3)).collect();
    voters.sort_unstable();
    if draw.servers < 2 { Vec::new() } else { at(at_ms, Fault::Change { voters, learners }) }
}

/// A leader that is not heard is told to change the members, perhaps to leave, and dies before it is heard again: the
/// change is in its log alone.
fn change_unheard(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let host = draw.host();
    let links = draw.links(|from, _| from == host);
    let (for_ms, ordered_ms) = (draw.tenths(6, 20), at_ms + draw.random.between(1, 50));
    let cut = Fault::Cut { shape: Shape::OneWay, links, for_ms, flaps: 1 };
    let kill = Fault::Kill { host, for_ms: draw.for_ms() };
    let killed_ms = at_ms + for_ms * draw.random.between(3, 9) / 10;
    [lead_first(draw, host, at_ms), at(at_ms, cut), change(draw, ordered_ms), at(killed_ms, kill)].concat()
}

/// One member leaves, and is taken in again later.
fn member_leaves(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, back_ms) = (draw.host(), at_ms + draw.random.between(100, 8_000));
    let order = |at_ms, order| at(at_ms, Fault::Member { host, order });
    [order(at_ms, Order::Remove), order(back_ms, Order::Add)].concat()
}

/// One voter becomes a learner for a while.
fn member_rests(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, back_ms) = (draw.host(), at_ms + draw.random.between(100, 8_000));
    let order = |at_ms, order| at(at_ms, Fault::Member { host, order });
    [order(at_ms, Order::Demote), order(back_ms, Order::Promote)].concat()
}

/// Only hosts outside the core, so that at most a minority ever loses its disk.
pub(super) fn wipe(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let for_ms = draw.random.between(20, 4_000);
    let host = draw.outsider();
    host.map_or(Vec::new(), |host| at(at_ms, Fault::Wipe { host, for_ms }))
}
