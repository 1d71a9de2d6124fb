//! The fault atlas: where a disk may go bad, so that every alarm is a bug.
//!
//! No store survives the loss of every copy. So of each committed slot an intact copy stays on a host of the core
//! that will be healed; of the two files of term and vote one stays good on every host of the core; and only hosts
//! outside the core lose a checkpoint or a whole disk. (TigerBeetle's simulator has the idea and the name.)

use std::ops::Range;

use quorate_node::raft::{Found, LogId, Time};
use quorate_storage::{MemoryDisk, Storage};

use crate::identity::storage_options;
use crate::ledger::Ledger;
use crate::observe::Observation;
use crate::plan::{Damage, Host, Place};
use crate::random::Random;
use crate::tap::found_log;
use crate::world::World;

const SECTOR: usize = 512;
const RECENT_BYTES: usize = 4096;
const LAST_BYTES: usize = 256;

/// Lets something at rest go bad, where that is allowed; `pick` chooses among the places. Says whether it did.
pub(crate) fn strike(
    world: &mut World,
    now: Time,
    host: Host,
    place: Place,
    damage: Damage,
    pick: u64,
) -> bool {
    if world.machine(host).gone.is_some() {
        return false;
    }
    let mut random = Random::new(pick);
    match place {
        Place::Log => strike_log(world, now, host, damage, &mut random),
        Place::Stable => strike_stable(world, host, damage, &mut random),
        Place::Checkpoint => strike_checkpoint(world, host, damage, &mut random),
    }
}

fn strike_log(world: &mut World, now: Time, host: Host, damage: Damage, random: &mut Random) -> bool {
    note_what_is_mended(world);
    let hurt: Vec<Host> = world
        .machines
        .iter()
        .filter(|(of, machine)| machine.log_hurt || **of == host)
        .map(|(of, _)| *of)
        .collect();
    let core = world.plan.cluster.core.clone();
    let kept = |ledger: &Ledger, slot: LogId| {
        let sound = core.iter().filter(|of| !hurt.contains(of));
        sound.filter_map(|of| ledger.host(*of)).any(|log| log.durable.covers(slot))
    };
    let intact = |ledger: &Ledger| ledger.committed().last().is_some_and(|slot| kept(ledger, slot.id));
    // One bad place mostly leaves a log that can be opened; a second one may hit the other copy of what stands there
    // twice.
    let spared = core.contains(&host) && world.machines.get(&host).is_some_and(|machine| machine.log_hurt);
    let too_many = hurt.len() * 2 >= usize::from(world.plan.cluster.servers);
    if spared || too_many || !intact(world.judge.ledger()) {
        return false;
    }
    let sound = core.iter().filter(|of| !hurt.contains(of)).count();
    // Without this host the core would be no majority, so it must be able to vote, whatever is lost.
    let needed = core.contains(&host) && sound * 2 <= world.machines.len();
    let disk = world.machine(host).disk.clone();
    let segments: Vec<String> =
        disk.files().into_iter().filter(|path| path.starts_with("log/") && path.ends_with(".log")).collect();
    if segments.is_empty() {
        return false;
    }
    let chosen = random.below(segments.len());
    // Zeros in the last batch look like one that never reached the disk; the one who cut it is not to blame.
    let last = chosen + 1 == segments.len();
    // One that runs would write on into a file that nobody finds again.
    let in_use = damage == Damage::Gone && world.machine(host).up;
    let hurts = |copy: &MemoryDisk| {
        spoil(copy, &segments[chosen], damage, &mut random.clone());
    };
    let survives = |found: &Option<Found>| {
        let ledger = world.judge.ledger();
        let refills = |found: &Found| found.damaged.iter().all(|slot| kept(ledger, *slot));
        found.as_ref().is_some_and(|found| !needed || (found.unknown.is_none() && refills(found)))
    };
    if (last && damage == Damage::Zeros) || in_use {
        return false;
    }
    if core.contains(&host) && !starts_after(world, &disk, hurts).all(|found| survives(&found)) {
        return false;
    }
    if damage == Damage::Stray && !world.machine(host).log_hurt {
        weigh_astray(world, now, host, &segments[chosen], random);
    }
    let done = spoil(&disk, &segments[chosen], damage, random).is_some();
    world.machine(host).log_hurt |= done;
    done
}

/// A log that would be found whole, with and without a power loss, may be hurt anew.
fn note_what_is_mended(world: &mut World) {
    let is_whole = |found: &Option<Found>| {
        found.as_ref().is_some_and(|found| found.damaged.is_empty() && found.unknown.is_none())
    };
    let hurt: Vec<Host> =
        world.machines.iter().filter(|(_, machine)| machine.log_hurt).map(|(host, _)| *host).collect();
    for host in hurt {
        let disk = world.machine(host).disk.clone();
        let is_mended = starts_after(world, &disk, |_| {}).all(|found| is_whole(&found));
        world.machine(host).log_hurt = !is_mended;
    }
}

/// Bytes of another place are to be worth as much as garbage: what a start finds with them is told beside what it finds
/// where garbage stands in the same place. Tried on copies.
fn weigh_astray(world: &mut World, now: Time, host: Host, path: &str, random: &Random) {
    let [stray, garbage] = [(); 2].map(|()| world.machine(host).disk.duplicate());
    let Some(range) = spoil(&stray, path, Damage::Stray, &mut random.clone()) else { return };
    let (before, after) =
        (garbage.content(path).unwrap_or_default(), stray.content(path).unwrap_or_default());
    let mut sectors = range.clone().step_by(SECTOR).map(|from| from..(from + SECTOR).min(range.end));
    // Where both places hold the same nothing goes bad.
    if sectors.any(|sector| before[sector.clone()] == after[sector]) {
        return;
    }
    garbage.garbage(path, range, random.clone().bits());
    let [with_stray, with_garbage] = [stray, garbage].map(|disk| {
        let opened = Storage::open(disk, storage_options(&world.plan, 1));
        opened.ok().map(|(_, found)| found_log(&found))
    });
    let host = world.server(host);
    world.judge.observe(now, Observation::Astray { host, with_stray, with_garbage });
}

/// What servers would find that start on this disk once it is hurt, with and without a power loss, if they start at
/// all. One that no longer knows where its log ends may not vote before it has heard from a leader, and one that
/// can't fill a slot that is not committed may never lead (PROTOCOL.md, damaged slots). Tried on copies.
fn starts_after(
    world: &World,
    disk: &MemoryDisk,
    hurt: impl Fn(&MemoryDisk),
) -> impl Iterator<Item = Option<Found>> {
    [false, true].into_iter().map(move |power_lost| {
        let copy = disk.duplicate();
        hurt(&copy);
        if power_lost {
            copy.crash(1);
        }
        let opened = Storage::open(copy, storage_options(&world.plan, 1));
        opened.ok().map(|(_, found)| found)
    })
}

/// One of the two files, and in the core only while no server runs: a start finds and mends it. While one runs, a
/// crash in the middle of its next vote could take the other one too.
fn strike_stable(world: &mut World, host: Host, damage: Damage, random: &mut Random) -> bool {
    let outside = !world.plan.cluster.core.contains(&host);
    let machine = world.machine(host);
    if machine.stable_hurt || (machine.up && !outside) {
        return false;
    }
    let path = ["stable/a", "stable/b"][random.below(2)];
    let done = spoil(&world.machine(host).disk, path, damage, random).is_some();
    world.machine(host).stable_hurt |= done;
    done
}

/// Both files go bad, each in a way of its own, where there is a log that they go with. Says whether they did.
pub(crate) fn take_term_and_vote(world: &mut World, host: Host, pick: u64) -> bool {
    // What strays within such a file may be an earlier term and vote, and then it is not lost.
    const WAYS: [Damage; 5] =
        [Damage::Flip, Damage::Garbage, Damage::Zeros, Damage::Unreadable, Damage::Gone];
    let disk = world.machine(host).disk.clone();
    let paths = ["stable/a", "stable/b"];
    let mut random = Random::new(pick);
    let is_there =
        |path: &&str| disk.content(path).is_some_and(|content| content.iter().any(|byte| *byte != 0));
    let has_log = disk.files().iter().any(|path| path.starts_with("log/") && path.ends_with(".log"));
    has_log
        && paths.iter().all(is_there)
        && paths.iter().all(|path| spoil(&disk, path, WAYS[random.below(WAYS.len())], &mut random).is_some())
}

fn strike_checkpoint(world: &mut World, host: Host, damage: Damage, random: &mut Random) -> bool {
    if world.plan.cluster.core.contains(&host) {
        return false;
    }
    let mut files = world.machine(host).disk.files();
    files.retain(|path| path.starts_with("snaps/") && (path.ends_with(".snap") || path.ends_with(".run")));
    let newest = files.iter().rfind(|path| path.ends_with(".snap")).cloned();
    files.retain(|path| path.ends_with(".run"));
    let chosen = match files.is_empty() || random.one_in(3) {
        true => newest,
        false => Some(files.swap_remove(random.below(files.len()))),
    };
    chosen.is_some_and(|path| spoil(&world.machine(host).disk, &path, damage, random).is_some())
}

/// Says which bytes of the file went bad, if any did.
fn spoil(disk: &MemoryDisk, path: &str, damage: Damage, random: &mut Random) -> Option<Range<usize>> {
    let content = disk.content(path)?;
    let used = content.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if used == 0 {
        return None;
    }
    // What was written last is read first: by followers that lag, and at the next start. The very last of it is what
    // nobody else may have.
    let within = [used, RECENT_BYTES, LAST_BYTES][random.below(3)].min(used);
    let at = used - 1 - random.below(within);
    let sector = at / SECTOR * SECTOR;
    let end = (sector + SECTOR * (1 + random.below(4))).min(used);
    let one = sector..(sector + SECTOR).min(used);
    match damage {
        Damage::Flip => {
            disk.flip_bit(path, at as u64 * 8 + random.between(0, 7));
            Some(at..at + 1)
        }
        Damage::Garbage => {
            disk.garbage(path, one.clone(), random.bits());
            Some(one)
        }
        Damage::Zeros => {
            disk.zero(path, sector..end);
            Some(sector..end)
        }
        Damage::Stray => {
            let from = random.below((used - (end - sector)) / SECTOR + 1) * SECTOR;
            // Zeros in the last batch look like one that never reached the disk: they are a damage of their own.
            let mut sectors = content[from..from + (end - sector)].chunks(SECTOR);
            let is_news = from != sector && sectors.all(|sector| sector.iter().any(|byte| *byte != 0));
            is_news.then(|| disk.stray(path, from, sector..end))?;
            Some(sector..end)
        }
        Damage::Unreadable => {
            disk.make_unreadable(path, sector as u64..end as u64);
            Some(sector..end)
        }
        Damage::Gone => disk.vanish(path).then_some(0..used),
    }
}
