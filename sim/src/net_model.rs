//! One model of the network, with two faces: messages, which can be lost, doubled and overtaken, and byte streams,
//! which behave like TCP's: what is lost is sent again, and nothing overtakes.

use std::collections::BTreeMap;
use std::time::Duration;

use quorate_node::raft::Time;

use crate::counts::Counts;
use crate::plan::{Fault, Host, Link};
use crate::random::Random;

/// How long TCP waits before it sends a lost packet again: Linux's least.
pub(crate) const RETRANSMISSION: Duration = Duration::from_millis(200);

/// The most that a congested link keeps in its queue: what it can send within this time.
const QUEUE: Duration = Duration::from_secs(1);

/// The state of all links.
#[derive(Debug)]
pub(crate) struct NetModel {
    seed: u64,
    latency_us: u64,
    links: BTreeMap<Link, LinkState>,
    active: Vec<Active>,
}

#[derive(Debug)]
struct LinkState {
    random: Random,
    /// When the last packet that may not be overtaken arrives.
    last_arrival: Time,
    /// When a congested link has sent all that is in its queue.
    free_at: Time,
}

/// A fault of the network that is on.
#[derive(Debug)]
struct Active {
    number: usize,
    kind: &'static str,
    /// For those of some links: which.
    links: LinkSet,
    fault: Fault,
    /// A cut that flaps is mended just now.
    mended: bool,
}

/// A set of links between servers, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LinkSet(u64);

impl LinkSet {
    fn of(links: &[Link]) -> Self {
        LinkSet(links.iter().fold(0, |bits, link| bits | Self::bit(*link)))
    }

    fn bit((from, to): Link) -> u64 {
        if from < 8 && to < 8 { 1 << (from * 8 + to) } else { 0 }
    }

    fn has(self, link: Link) -> bool {
        self.0 & Self::bit(link) != 0
    }
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fate {
    /// When it arrives; `None` when it is lost or held back.
    pub(crate) arrives: Option<Time>,
    /// When it arrives once more.
    pub(crate) again: Option<Time>,
    /// It waits until its link is free.
    pub(crate) held: bool,
    /// It arrives with a bit flipped.
    pub(crate) corrupt: bool,
}

/// What becomes of a packet of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packet {
    /// When it arrives, if nothing holds it back.
    pub(crate) arrives: Time,
    /// It arrives with a bit flipped.
    pub(crate) corrupt: bool,
}

impl NetModel {
    pub(crate) fn new(seed: u64, latency_us: u64) -> Self {
        NetModel { seed, latency_us, links: BTreeMap::new(), active: Vec::new() }
    }

    /// A fault begins.
    pub(crate) fn begin(&mut self, number: usize, fault: &Fault) {
        let links = LinkSet::of(fault.links());
        self.active.push(Active { number, kind: fault.kind(), links, fault: fault.clone(), mended: false });
    }

    /// A cut that flaps is mended for a while, or cut again.
    pub(crate) fn flap(&mut self, number: usize, mended: bool) {
        self.active
            .iter_mut()
            .filter(|active| active.number == number)
            .for_each(|active| active.mended = mended);
    }

    /// A fault ends.
    pub(crate) fn end(&mut self, number: usize) {
        self.active.retain(|active| active.number != number);
    }

    /// All faults between hosts of this group end; cuts to the others stay as they are. Slow links end everywhere: how
    /// long a leader at the other end of one takes to bring the group up to date has no bound in election timeouts.
    pub(crate) fn heal(&mut self, group: &[Host]) {
        let inside =
            group.iter().flat_map(|from| group.iter().map(move |to| (*from, *to))).collect::<Vec<Link>>();
        let inside = LinkSet::of(&inside);
        for active in &mut self.active {
            active.links.0 &= !inside.0;
        }
        self.active.retain(|active| {
            active.links != LinkSet::default() && !matches!(active.fault, Fault::Lag { .. })
        });
    }

    /// Which kind of cut lets nothing pass from `from` to `to`, if any does.
    pub(crate) fn cut(&self, from: Host, to: Host) -> Option<&'static str> {
        let cuts = |active: &&Active| matches!(active.fault, Fault::Cut { .. }) && !active.mended;
        self.active.iter().filter(cuts).find(|active| active.links.has((from, to))).map(|active| active.kind)
    }

    /// Which kind of clog holds everything back that is sent from `from` to `to`, if any does.
    pub(crate) fn clogged(&self, from: Host, to: Host) -> Option<&'static str> {
        let clogs = |active: &&Active| matches!(active.fault, Fault::Clog { .. });
        self.active.iter().filter(clogs).find(|active| active.links.has((from, to))).map(|active| active.kind)
    }

    /// A message of so many bytes is sent.
    pub(crate) fn message(&mut self, now: Time, (from, to): Link, bytes: usize, fired: &mut Counts) -> Fate {
        if let Some(kind) = self.cut(from, to) {
            fired.note(kind);
            return Fate::default();
        }
        if let Some(kind) = self.clogged(from, to) {
            fired.note(kind);
            return Fate { held: true, ..Fate::default() };
        }
        let (mut arrives, mut fate) = (self.travels(now, (from, to), fired), Fate::default());
        let state = link(&mut self.links, self.seed, (from, to));
        let mut overtaken = false;
        for active in &self.active {
            let struck = match active.fault {
                Fault::Loss { per_mille, .. } if state.strikes(per_mille) => {
                    fired.note(active.kind);
                    return Fate::default();
                }
                Fault::Congest { bytes_per_second, .. } => match queue(state, now, bytes, bytes_per_second) {
                    None => {
                        fired.note(active.kind);
                        return Fate::default();
                    }
                    Some(wait) => {
                        arrives = arrives + wait;
                        false
                    }
                },
                Fault::Duplicate { per_mille, .. } if state.strikes(per_mille) => {
                    fate.again = Some(arrives + Duration::from_micros(state.random.between(0, 20_000)));
                    true
                }
                Fault::Replay { per_mille, late_ms, .. } if state.strikes(per_mille) => {
                    fate.again =
                        Some(arrives + Duration::from_millis(state.random.between(late_ms / 2, late_ms)));
                    true
                }
                Fault::Reorder { per_mille, by_ms, .. } if state.strikes(per_mille) => {
                    arrives = arrives + Duration::from_millis(state.random.between(1, by_ms.max(1)));
                    overtaken = true;
                    true
                }
                Fault::Corrupt { per_mille, .. } if state.strikes(per_mille) => {
                    fate.corrupt = true;
                    true
                }
                _ => false,
            };
            if struck {
                fired.note(active.kind);
            }
        }
        if !overtaken {
            arrives = arrives.max(state.last_arrival);
            state.last_arrival = arrives;
        }
        fate.arrives = Some(arrives);
        fate
    }

    /// A packet of a stream is sent. Whether a cut or a clog holds it back, the stream asks when it would arrive.
    pub(crate) fn packet(&mut self, now: Time, (from, to): Link, bytes: usize, fired: &mut Counts) -> Packet {
        let mut arrives = self.travels(now, (from, to), fired);
        let state = link(&mut self.links, self.seed, (from, to));
        let mut corrupt = false;
        for active in &self.active {
            let struck = match active.fault {
                Fault::Loss { per_mille, .. } if state.strikes(per_mille) => {
                    arrives = arrives + RETRANSMISSION;
                    true
                }
                Fault::Congest { bytes_per_second, .. } => {
                    // A stream's own bound makes its writer wait, so nothing is dropped.
                    let wait = queue(state, now, bytes, bytes_per_second).unwrap_or(QUEUE);
                    arrives = arrives + wait;
                    wait > RETRANSMISSION
                }
                Fault::Corrupt { per_mille, .. } if state.strikes(per_mille) => {
                    corrupt = true;
                    true
                }
                _ => false,
            };
            if struck {
                fired.note(active.kind);
            }
        }
        Packet { arrives, corrupt }
    }

    /// When a packet arrives, as far as distance and delays go.
    fn travels(&mut self, now: Time, ends: Link, fired: &mut Counts) -> Time {
        let usual = self.latency_us;
        let state = link(&mut self.links, self.seed, ends);
        let mut micros = state.random.between(usual / 5 + 1, usual + 1);
        for active in &self.active {
            match active.fault {
                Fault::Delay { by_ms, .. } => {
                    micros += state.random.between(0, by_ms * 1_000);
                    fired.note(active.kind);
                }
                Fault::Lag { by_ms, .. } if active.links.has(ends) => {
                    micros += by_ms * 1_000;
                    fired.note(active.kind);
                }
                _ => {}
            }
        }
        now + Duration::from_micros(micros)
    }
}

impl LinkState {
    /// Whether a fault that strikes so many of a thousand packets strikes this one.
    fn strikes(&mut self, per_mille: u32) -> bool {
        self.random.between(1, 1_000) <= per_mille.into()
    }
}

fn link(links: &mut BTreeMap<Link, LinkState>, seed: u64, (from, to): Link) -> &mut LinkState {
    links.entry((from, to)).or_insert_with(|| LinkState {
        random: Random::labelled(seed, &format!("link {from} {to}")),
        last_arrival: Time(0),
        free_at: Time(0),
    })
}

/// How long a packet waits in a slow link's queue; `None` when it finds the queue full.
fn queue(state: &mut LinkState, now: Time, bytes: usize, bytes_per_second: u64) -> Option<Duration> {
    let begins = state.free_at.max(now);
    if begins.since(now) > QUEUE {
        return None;
    }
    state.free_at = begins + Duration::from_micros(bytes as u64 * 1_000_000 / bytes_per_second);
    Some(state.free_at.since(now))
}

#[cfg(test)]
mod tests {
    use crate::plan::Shape;

    use super::*;

    fn cut(links: Vec<Link>) -> Fault {
        Fault::Cut { shape: Shape::Halves, links, for_ms: 1, flaps: 1 }
    }

    #[test]
    fn messages_of_one_link_keep_their_order_unless_a_fault_says_otherwise() {
        let (mut net, mut fired) = (NetModel::new(1, 20_000), Counts::default());
        let mut last = Time(0);
        for sent in 0..500 {
            let fate = net.message(Time(sent * 100), (1, 2), 10, &mut fired);
            let arrives = fate.arrives.unwrap();
            assert!(arrives >= last && arrives > Time(sent * 100));
            last = arrives;
        }
        net.begin(0, &Fault::Reorder { per_mille: 500, by_ms: 100, for_ms: 1 });
        let fates =
            (500..600).map(|sent| net.message(Time(sent * 100), (1, 2), 10, &mut fired).arrives.unwrap());
        assert!(!fates.is_sorted());
    }

    #[test]
    fn a_cut_loses_messages_in_its_direction_and_a_clog_holds_them() {
        let (mut net, mut fired) = (NetModel::new(1, 1_000), Counts::default());
        net.begin(0, &cut(vec![(1, 2)]));
        assert_eq!(net.message(Time(0), (1, 2), 10, &mut fired), Fate::default());
        assert!(net.message(Time(0), (2, 1), 10, &mut fired).arrives.is_some());
        net.flap(0, true);
        assert!(net.message(Time(0), (1, 2), 10, &mut fired).arrives.is_some());
        net.end(0);
        net.begin(1, &Fault::Clog { links: vec![(1, 2)], for_ms: 1, swizzle: false });
        assert!(net.message(Time(0), (1, 2), 10, &mut fired).held);
        assert_eq!((fired.of("cut in halves"), fired.of("clog")), (1, 1));
    }

    #[test]
    fn a_slow_link_is_slow_in_its_direction() {
        let (mut net, mut fired) = (NetModel::new(1, 1_000), Counts::default());
        net.begin(0, &Fault::Lag { links: vec![(1, 2), (3, 1)], by_ms: 300, for_ms: 1 });
        assert!(net.message(Time(0), (1, 2), 10, &mut fired).arrives.unwrap() > Time(300_000));
        assert!(net.packet(Time(0), (2, 1), 10, &mut fired).arrives < Time(2_000));
        assert_eq!(fired.of("slow links"), 1);
        net.heal(&[1, 2]);
        assert!(net.message(Time(400_000), (1, 2), 10, &mut fired).arrives.unwrap() < Time(402_000));
        assert!(net.message(Time(400_000), (3, 1), 10, &mut fired).arrives.unwrap() < Time(402_000));
    }

    #[test]
    fn healing_a_group_leaves_the_others_cut_off() {
        let mut net = NetModel::new(1, 1_000);
        net.begin(0, &cut(vec![(1, 2), (2, 1), (1, 3), (3, 1)]));
        net.begin(1, &Fault::Loss { per_mille: 500, for_ms: 1 });
        net.heal(&[1, 2]);
        assert_eq!((net.cut(1, 2), net.cut(1, 3)), (None, Some("cut in halves")));
        assert_eq!(net.active.len(), 1, "what strikes all links has ended");
    }

    #[test]
    fn a_full_queue_drops_messages_and_slows_packets() {
        let (mut net, mut fired) = (NetModel::new(1, 1_000), Counts::default());
        net.begin(0, &Fault::Congest { bytes_per_second: 1_000, for_ms: 1 });
        let lost =
            (0..30).filter(|_| net.message(Time(0), (1, 2), 100, &mut fired).arrives.is_none()).count();
        assert!((15..29).contains(&lost), "{lost} of 30 were lost");
        assert!(net.packet(Time(0), (1, 2), 100, &mut fired).arrives > Time(900_000));
    }

    #[test]
    fn clients_are_never_cut_off() {
        let mut net = NetModel::new(1, 1_000);
        net.begin(0, &cut(vec![(1, 2), (101, 1)]));
        assert_eq!(net.cut(101, 1), None);
    }
}
