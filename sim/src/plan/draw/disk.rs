//! Faults of disks.

use super::{Draw, Drawing, at, lead_first};
use crate::plan::Host;
use crate::plan::fault::{Damage, Fault, Place, Shape, Timed};

pub(in crate::plan) const DISK: &[Drawing] = &[
    disk_stall,
    slow_disk,
    write_error,
    short_write,
    sync_error,
    read_error,
    full_disk,
    rot_log,
    rot_log,
    rot_log,
    rot_unheard,
    rot_unheard,
    segment_gone,
    rot_stable,
    rot_at_rest,
    rot_at_rest,
    rot_checkpoint,
    misdirected_read,
    misdirected_write,
    lose_disk,
    lose_term_and_vote,
];

fn disk_stall(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let host = draw.host();
    let for_ms = if draw.random.one_in(4) { draw.random.between(10_000, 12_000) } else { draw.for_ms() };
    at(at_ms, Fault::DiskStall { host, for_ms })
}

fn slow_disk(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let factor = u32::try_from(draw.random.between(5, 100)).unwrap_or(5);
    let (host, for_ms) = (draw.host(), draw.for_ms());
    at(at_ms, Fault::SlowDisk { host, factor, for_ms })
}

fn write_error(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, nth) = (draw.host(), draw.nth());
    at(at_ms, Fault::WriteError { host, nth })
}

/// File systems fail by blocks and drives by sectors. A write that ended within a sector could not be told from rot.
fn short_write(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, nth) = (draw.host(), draw.nth());
    let bytes = 512 * usize::try_from(draw.random.between(1, 8)).unwrap_or(1);
    at(at_ms, Fault::ShortWrite { host, nth, bytes })
}

fn sync_error(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, nth) = (draw.host(), draw.nth());
    at(at_ms, Fault::SyncError { host, nth })
}

fn read_error(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, nth) = (draw.host(), draw.random.between(0, 2));
    at(at_ms, Fault::ReadError { host, nth })
}

fn full_disk(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, spare_bytes, for_ms) = (draw.host(), draw.random.between(0, 60_000), draw.for_ms());
    at(at_ms, Fault::FullDisk { host, spare_bytes, for_ms })
}

fn damage_or_gone(draw: &mut Draw) -> Damage {
    if draw.random.one_in(5) { Damage::Gone } else { damage(draw) }
}

fn damage(draw: &mut Draw) -> Damage {
    [Damage::Flip, Damage::Garbage, Damage::Zeros, Damage::Stray, Damage::Unreadable][draw.random.below(5)]
}

/// On some hosts, of which the leader may be one, and often while another is cut off: then what goes bad is soon
/// read, for that one to catch up.
fn rot_log(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let first = draw.host();
    let mut faults = Vec::new();
    for number in 0..draw.random.between(1, 3) {
        let host = (first + u8::try_from(number).unwrap_or(0)) % draw.servers + 1;
        let (damage, pick) = (damage(draw), draw.random.bits() >> 16);
        faults.extend(at(at_ms + 1_500, Fault::Rot { host, place: Place::Log, damage, pick }));
    }
    if draw.servers > 2 && draw.random.one_in(2) {
        let links = draw.links(|from, to| from == first || to == first);
        faults.extend(at(at_ms, Fault::Cut { shape: Shape::Isolated, links, for_ms: 2_000, flaps: 1 }));
    }
    faults
}

/// Where a leader was not heard for less than an election timeout, something goes bad: perhaps what it wrote meanwhile,
/// which nobody else has. Then it is heard again, and leads on.
fn rot_unheard(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let rounds = draw.random.between(2, 6);
    let (pause_ms, mut from_ms) = (draw.election_timeout_ms * 5, at_ms);
    let mut faults = Vec::new();
    for _ in 0..rounds {
        let silent = draw.host();
        let links = draw.links(|from, _| from == silent);
        // What is still written to is spared zeros.
        let damage = [Damage::Flip, Damage::Garbage, Damage::Unreadable][draw.random.below(3)];
        let (for_ms, pick) = (draw.tenths(3, 9), draw.random.bits() >> 16);
        let cut = Fault::Cut { shape: Shape::OneWay, links, for_ms, flaps: 1 };
        let rot = Fault::Rot { host: silent, place: Place::Log, damage, pick };
        let lead = if draw.random.one_in(2) { lead_first(draw, silent, from_ms) } else { Vec::new() };
        faults.extend([lead, at(from_ms, cut), at(from_ms + for_ms * 9 / 10, rot)].concat());
        from_ms += pause_ms;
    }
    faults
}

/// A file vanishes while no server runs: one that has it open would write on into nothing.
fn segment_gone(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, pick) = (draw.host(), draw.random.bits() >> 16);
    let gone = Fault::Rot { host, place: Place::Log, damage: Damage::Gone, pick };
    [at(at_ms, Fault::Kill { host, for_ms: draw.random.between(50, 2_000) }), at(at_ms + 20, gone)].concat()
}

fn rot_stable(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let host = draw.host();
    at(at_ms, rotten_stable(draw, host))
}

fn rotten_stable(draw: &mut Draw, host: Host) -> Fault {
    // A file of term and vote is one sector: nothing of it can stray.
    let damage = match damage_or_gone(draw) {
        Damage::Stray => Damage::Flip,
        other => other,
    };
    Fault::Rot { host, place: Place::Stable, damage, pick: draw.random.bits() >> 16 }
}

/// What goes bad while no server runs is read at the next start.
fn rot_at_rest(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let host = draw.host();
    let kill = Fault::Kill { host, for_ms: draw.random.between(50, 2_000) };
    let rot = if draw.random.one_in(2) {
        rotten_stable(draw, host)
    } else {
        let (damage, pick) = (damage(draw), draw.random.bits() >> 16);
        Fault::Rot { host, place: Place::Log, damage, pick }
    };
    [at(at_ms, kill), at(at_ms + 20, rot)].concat()
}

/// Only hosts outside the core: a node whose checkpoint is gone, and the log before it, has to be replaced.
fn rot_checkpoint(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (damage, pick) = (damage_or_gone(draw), draw.random.bits() >> 16);
    let host = draw.outsider();
    host.map_or(Vec::new(), |host| at(at_ms, Fault::Rot { host, place: Place::Checkpoint, damage, pick }))
}

fn misdirected_read(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (host, nth) = (draw.host(), draw.random.between(0, 2));
    at(at_ms, Fault::MisdirectedRead { host, nth })
}

/// Only hosts outside the core: what is hit is a checkpoint.
fn misdirected_write(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let nth = draw.random.between(0, 2);
    let host = draw.outsider();
    host.map_or(Vec::new(), |host| at(at_ms, Fault::MisdirectedWrite { host, nth }))
}

fn lose_disk(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let host = draw.outsider();
    host.map_or(Vec::new(), |host| at(at_ms, Fault::LoseDisk { host }))
}

/// Only hosts outside the core: a voter that has lost its term and vote counts as gone, until its successor votes.
fn lose_term_and_vote(draw: &mut Draw, at_ms: u64) -> Vec<Timed> {
    let (pick, for_ms) = (draw.random.bits() >> 16, draw.random.between(20, 4_000));
    let host = draw.outsider();
    host.map_or(Vec::new(), |host| at(at_ms, Fault::LoseTermAndVote { host, pick, for_ms }))
}
