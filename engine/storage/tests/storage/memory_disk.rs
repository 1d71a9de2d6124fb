//! The disk in memory keeps its promises: random operations, faults, crashes and kills, beside a model of them.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use quorate_raft::Time;
use quorate_storage::{Counters, Disk, DiskFile, MemoryDisk, Microseconds, Operation, Pace};

use crate::common::trials;
use crate::disk_model::{Event, Loss, Model, View};

const PATHS: [&str; 4] = ["a/x", "a/y", "a/z", "b/x"];
const DIRECTORIES: [&str; 2] = ["a", "b"];
/// Files stay smaller than this, so that the model can list all that may become of them.
const FILE_BYTES: usize = 4096;

/// One thing that is done to the disk. Files are indices of [`PATHS`], places are shares of what is there in 256.
#[derive(Clone, Debug)]
enum Step {
    Create { file: usize },
    Write { file: usize, at: u8, bytes: usize, fault: WriteFault },
    Sync { file: usize, fail: bool },
    Rename { from: usize, to: usize },
    Remove { file: usize },
    SyncDirectory { directory: usize, fail: bool },
    Read { file: usize, at: u8, bytes: usize, fail: bool },
    Wait { micros: u64 },
    Stall { micros: u64 },
    Slow { factor: u64 },
    Capacity { bytes: Option<u64> },
    Rot { file: usize, at: u8, bytes: usize, kind: Rot },
    Crash { at: u8, seed: u64 },
    Kill { at: u8, seed: u64 },
}

#[derive(Clone, Copy, Debug)]
enum WriteFault {
    None,
    Fail,
    Short { bytes: usize },
    Misdirect { sectors: i64 },
}

#[derive(Clone, Copy, Debug)]
enum Rot {
    Flip,
    Zero,
    Garbage,
}

#[derive(Clone, Debug)]
struct Plan {
    pace: Option<u64>,
    steps: Vec<Step>,
}

fn steps() -> impl Strategy<Value = Step> {
    let fault = prop_oneof![
        6 => Just(WriteFault::None),
        1 => Just(WriteFault::Fail),
        1 => (0..1600_usize).prop_map(|bytes| WriteFault::Short { bytes }),
        1 => (1..4_i64, any::<bool>()).prop_map(|(sectors, back)| WriteFault::Misdirect {
            sectors: if back { -sectors } else { sectors }
        }),
    ];
    let file = || 0..PATHS.len();
    let rarely = || prop::bool::weighted(0.15);
    let rot = prop_oneof![Just(Rot::Flip), Just(Rot::Zero), Just(Rot::Garbage)];
    prop_oneof![
        4 => file().prop_map(|file| Step::Create { file }),
        16 => (file(), any::<u8>(), 1..1600_usize, fault)
            .prop_map(|(file, at, bytes, fault)| Step::Write { file, at, bytes, fault }),
        6 => (file(), rarely()).prop_map(|(file, fail)| Step::Sync { file, fail }),
        2 => (0..3_usize, 0..3_usize).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => file().prop_map(|file| Step::Remove { file }),
        4 => (0..DIRECTORIES.len(), rarely())
            .prop_map(|(directory, fail)| Step::SyncDirectory { directory, fail }),
        2 => (file(), any::<u8>(), 0..1600_usize, rarely())
            .prop_map(|(file, at, bytes, fail)| Step::Read { file, at, bytes, fail }),
        4 => (0..500_u64).prop_map(|micros| Step::Wait { micros }),
        1 => (0..500_u64).prop_map(|micros| Step::Stall { micros }),
        1 => (1..4_u64).prop_map(|factor| Step::Slow { factor }),
        1 => prop::option::weighted(0.3, 0..9000_u64).prop_map(|bytes| Step::Capacity { bytes }),
        1 => (file(), any::<u8>(), 1..700_usize, rot)
            .prop_map(|(file, at, bytes, kind)| Step::Rot { file, at, bytes, kind }),
        1 => (any::<u8>(), any::<u64>()).prop_map(|(at, seed)| Step::Crash { at, seed }),
        1 => (any::<u8>(), any::<u64>()).prop_map(|(at, seed)| Step::Kill { at, seed }),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let pace = prop::option::weighted(0.8, any::<u64>());
    (pace, prop::collection::vec(steps(), 10..70)).prop_map(|(pace, steps)| Plan { pace, steps })
}

/// What a worse disk would do: the real one is told something else than the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    SyncDoesNothing,
    DirectorySyncDoesNothing,
    FailedSyncIsDurable,
    CrashKeepsWhatHadNotEnded,
    CrashLosesWhatHadEnded,
    KillLosesTheCache,
    KillKeepsWhatHadNotEnded,
    CrashTearsWithinASector,
    ReadIsNotCounted,
}

struct Trial {
    disk: MemoryDisk,
    model: Model,
    lie: Option<Lie>,
    /// The host's time.
    now: Time,
    expected: Counters,
    capacity: Option<u64>,
    writes: u8,
    /// A file that lost writes to a failed sync may get gaps on the medium. Whether those rot is not promised.
    gaps: bool,
}

impl Trial {
    fn new(pace: Option<u64>, lie: Option<Lie>) -> Trial {
        let disk = MemoryDisk::new();
        for directory in DIRECTORIES {
            disk.create_dir(directory).unwrap();
        }
        if let Some(seed) = pace {
            disk.set_pace(busy(), seed);
        }
        let expected = disk.counters();
        let model = Model::new();
        Trial { disk, model, lie, now: Time(0), expected, capacity: None, writes: 0, gaps: false }
    }

    fn run(plan: &Plan, lie: Option<Lie>) -> Result<Counters, String> {
        let mut trial = Trial::new(plan.pace, lie);
        (0..PATHS.len()).for_each(|file| trial.change_names(&Step::Create { file }));
        for step in &plan.steps {
            trial.take(step).and_then(|()| trial.check()).map_err(|error| format!("{step:?}: {error}"))?;
        }
        Ok(trial.disk.counters())
    }

    fn found(&self) -> View {
        let content = |path: String| (path.clone(), self.disk.content(&path).unwrap());
        View(self.disk.files().into_iter().map(content).collect())
    }

    fn check(&self) -> Result<(), String> {
        let (found, view) = (self.found(), self.model.view());
        let lengths = found.0.iter().all(|(path, content)| self.disk.len(path) == Some(content.len() as u64));
        let used = found.0.values().map(|content| content.len() as u64).sum::<u64>();
        if found != view || !lengths || used != self.disk.bytes_used() {
            return Err(format!("readers see {found:?}, not {view:?}"));
        }
        let counters = self.disk.counters();
        if counters != self.expected {
            return Err(format!("counted {counters:?}, not {:?}", self.expected));
        }
        Ok(())
    }

    /// Does something that has an effect, and notes when.
    fn event(&mut self, event: &Event, act: impl FnOnce(&MemoryDisk)) {
        let start = self.disk.clock();
        act(&self.disk);
        self.stalled(start);
        self.model.note(start, self.disk.clock(), event);
    }

    /// Counts what a stall held up: it is not drawn, so the disk's word must do.
    fn stalled(&mut self, start: Time) {
        assert!(self.disk.clock() >= start, "time only grows");
        self.expected.stalled_operations = self.disk.counters().stalled_operations;
    }

    fn lies(&self, lie: Lie) -> bool {
        self.lie == Some(lie)
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Create { .. } | Step::Rename { .. } | Step::Remove { .. } => self.change_names(step),
            Step::Write { file, at, bytes, fault } => self.write(PATHS[*file], *at, *bytes, *fault),
            Step::Sync { file, fail } => self.sync(PATHS[*file], *fail),
            Step::SyncDirectory { directory, fail } => self.sync_directory(DIRECTORIES[*directory], *fail),
            Step::Read { file, at, bytes, fail } => return self.read(PATHS[*file], *at, *bytes, *fail),
            Step::Wait { micros } => {
                self.now = Time(self.now.0 + micros);
                self.disk.begin(self.now);
            }
            Step::Stall { micros } => self.disk.stall(Time(self.now.0 + micros)),
            Step::Slow { factor } => self.disk.slow(*factor),
            Step::Capacity { bytes } => {
                self.capacity = *bytes;
                self.disk.set_capacity(*bytes);
            }
            Step::Rot { file, at, bytes, kind } => self.rot(PATHS[*file], *at, *bytes, *kind),
            Step::Crash { at, seed } => return self.crash(self.moment(*at), *seed),
            Step::Kill { at, seed } => return self.kill(self.moment(*at), *seed),
        }
        Ok(())
    }

    /// A time between the host's and a little after the last operation ends.
    fn moment(&self, share: u8) -> Time {
        let ahead = self.disk.clock().0 - self.now.0 + 20;
        Time(self.now.0 + ahead * u64::from(share) / 256)
    }

    fn change_names(&mut self, step: &Step) {
        self.expected.name_operations += 1;
        let view = self.model.view();
        let there = |path: &str| view.0.contains_key(path);
        match *step {
            Step::Create { file } => {
                let path = PATHS[file];
                if self.capacity.is_some_and(|capacity| self.disk.bytes_used() >= capacity) {
                    let error = self.disk.create(path).unwrap_err();
                    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
                    self.expected.refused_for_space += 1;
                    return self.stalled(Time(0));
                }
                let event = Event::Create { path: path.to_owned() };
                self.event(&event, |disk| drop(disk.create(path).unwrap()));
            }
            Step::Rename { from, to } if there(PATHS[from]) => {
                let (from, to) = (PATHS[from], PATHS[to]);
                let event = Event::Rename { from: from.to_owned(), to: to.to_owned() };
                self.event(&event, |disk| disk.rename(from, to).unwrap());
            }
            Step::Remove { file } if there(PATHS[file]) => {
                let path = PATHS[file];
                self.event(&Event::Remove { path: path.to_owned() }, |disk| disk.remove(path).unwrap());
            }
            Step::Rename { from, to } => {
                self.disk.rename(PATHS[from], PATHS[to]).unwrap_err();
                self.stalled(Time(0));
            }
            _ => {
                self.disk.remove("a/none").unwrap_err();
                self.stalled(Time(0));
            }
        }
    }

    fn write(&mut self, path: &str, at: u8, bytes: usize, fault: WriteFault) {
        let Ok(file) = self.disk.open(path) else { return };
        let length = usize::try_from(file.len().unwrap()).unwrap();
        let offset = length * usize::from(at) / 255;
        self.writes = self.writes % 250 + 1;
        let bytes = vec![self.writes; bytes.min(FILE_BYTES - offset).max(1)];
        let (mut place, mut count, mut fails) = (offset, bytes.len(), false);
        match fault {
            WriteFault::None => {}
            WriteFault::Fail => {
                self.disk.fail(Operation::Write, 0);
                (count, fails) = (0, true);
            }
            WriteFault::Short { bytes } => {
                self.disk.cut_write_short(0, bytes);
                (count, fails) = (count.min(bytes), true);
            }
            WriteFault::Misdirect { sectors } => {
                let by = isize::try_from(sectors * 512).unwrap();
                let fits = |place: &usize| place + count <= length;
                let sides = [offset.checked_add_signed(by), offset.checked_add_signed(-by)];
                // Else it would strike a later write.
                if let Some(target) = sides.into_iter().flatten().find(fits) {
                    self.disk.misdirect_write(0, sectors * 512);
                    self.expected.misdirected_writes += 1;
                    place = target;
                }
            }
        }
        self.expected.failed_writes += u64::from(fails);
        // Of a write that fails altogether nothing is put in place, of one that is cut short the first bytes.
        self.expected.short_writes += u64::from(fails && count > 0);
        if let Some(capacity) = self.capacity {
            let free = usize::try_from(capacity.saturating_sub(self.disk.bytes_used())).unwrap();
            let room = (length + free).saturating_sub(place);
            self.expected.refused_for_space += u64::from(room < count && !fails);
            (count, fails) = (count.min(room), fails || room < count);
        }
        self.expected.writes += 1;
        self.expected.bytes_written += count as u64;
        let act = |_: &MemoryDisk| assert_eq!(file.write_at(&bytes, offset as u64).is_err(), fails);
        if count > 0 {
            let bytes = bytes[..count].to_vec();
            self.event(&Event::Write { path: path.to_owned(), offset: place, bytes }, act);
        } else {
            act(&self.disk);
            self.stalled(Time(0));
        }
    }

    fn sync(&mut self, path: &str, fail: bool) {
        let Ok(file) = self.disk.open(path) else { return };
        self.expected.syncs += 1;
        self.expected.failed_syncs += u64::from(fail);
        self.gaps |= fail;
        let really = match self.lie {
            Some(Lie::SyncDoesNothing) => true,
            Some(Lie::FailedSyncIsDurable) => false,
            _ => fail,
        };
        if really {
            self.disk.fail(Operation::Sync, 0);
        }
        let event = Event::Sync { path: path.to_owned(), failed: fail };
        self.event(&event, |_| assert_eq!(file.sync_data().is_err(), really));
        self.hide_failures(really != fail);
    }

    fn sync_directory(&mut self, directory: &str, fail: bool) {
        self.expected.directory_syncs += 1;
        self.expected.failed_syncs += u64::from(fail);
        let really = fail || self.lies(Lie::DirectorySyncDoesNothing);
        if really {
            self.disk.fail(Operation::SyncDirectory, 0);
        }
        let event = Event::SyncDirectory { directory: directory.to_owned(), failed: fail };
        self.event(&event, |disk| assert_eq!(disk.sync_dir(directory).is_err(), really));
        self.hide_failures(really != fail);
    }

    /// A disk that lies about a sync does not count it as failed, or as done, either.
    fn hide_failures(&mut self, lied: bool) {
        if lied {
            self.expected.failed_syncs = self.disk.counters().failed_syncs;
        }
    }

    fn read(&mut self, path: &str, at: u8, bytes: usize, fail: bool) -> Result<(), String> {
        let Ok(file) = self.disk.open(path) else { return Ok(()) };
        let content = &self.model.view().0[path];
        let offset = content.len() * usize::from(at) / 255;
        if fail {
            self.disk.fail(Operation::Read, 0);
        }
        let mut buffer = vec![0; bytes];
        let start = self.disk.clock();
        let read = file.read_at(&mut buffer, offset as u64);
        self.stalled(start);
        self.expected.reads += u64::from(!self.lies(Lie::ReadIsNotCounted));
        self.expected.failed_reads += u64::from(fail);
        let expected = &content[offset..content.len().min(offset + bytes)];
        match read {
            Ok(count) if !fail && buffer[..count] == *expected => Ok(()),
            Err(_) if fail => Ok(()),
            read => Err(format!("{read:?} of {path} at {offset}")),
        }
    }

    fn rot(&mut self, path: &str, at: u8, bytes: usize, kind: Rot) {
        let Some(length) = self.disk.len(path).and_then(|length| usize::try_from(length).ok()) else {
            return;
        };
        let start = length * usize::from(at) / 256;
        let range = match kind {
            Rot::Flip => start..length.min(start + 1),
            Rot::Zero | Rot::Garbage => start..length.min(start + bytes),
        };
        if range.is_empty() || self.gaps {
            return;
        }
        self.expected.bytes_rotted += range.len() as u64;
        match kind {
            Rot::Flip => {
                self.disk.flip_bit(path, start as u64 * 8 + 3);
                self.model.rot(path, &range, |_, byte| *byte ^= 8);
            }
            Rot::Zero => {
                self.disk.zero(path, range.clone());
                self.model.rot(path, &range, |_, byte| *byte = 0);
            }
            Rot::Garbage => {
                self.disk.garbage(path, range.clone(), 5);
                // Which garbage is not promised, only that all copies of a byte hold the same.
                let garbage = self.disk.content(path).unwrap();
                self.model.rot(path, &range, |at, byte| *byte = garbage[at]);
            }
        }
    }

    fn crash(&mut self, at: Time, seed: u64) -> Result<(), String> {
        match self.lie {
            Some(Lie::CrashKeepsWhatHadNotEnded) => self.disk.crash(seed),
            Some(Lie::CrashLosesWhatHadEnded) => self.disk.crash_at(self.now, seed),
            _ => self.disk.crash_at(at, seed),
        }
        if self.lies(Lie::CrashTearsWithinASector) {
            for path in self.disk.files() {
                self.disk.corrupt(&path, |content| {
                    content.iter_mut().skip(100).take(50).for_each(|byte| *byte = 251);
                });
            }
        }
        let loss = self.model.crash(at, &self.found())?;
        self.expected.crashes += 1;
        self.gaps = false;
        self.lose(&loss)
    }

    fn kill(&mut self, at: Time, seed: u64) -> Result<(), String> {
        match self.lie {
            Some(Lie::KillLosesTheCache) => self.disk.crash_at(at, seed),
            Some(Lie::KillKeepsWhatHadNotEnded) => self.disk.kill_at(Time(u64::MAX), seed),
            _ => self.disk.kill_at(at, seed),
        }
        let loss = self.model.kill(at, &self.found())?;
        self.expected.kills += 1;
        self.lose(&loss)
    }

    /// What was lost is drawn: it's counted right when it is no more than was there to lose.
    fn lose(&mut self, loss: &Loss) -> Result<(), String> {
        let (before, now) = (&mut self.expected, self.disk.counters());
        let sectors = now.sectors_lost - before.sectors_lost;
        let torn = now.torn_writes - before.torn_writes;
        let names = now.name_changes_lost - before.name_changes_lost;
        let undone = now.operations_undone - before.operations_undone;
        if sectors > loss.sectors || torn > sectors || names > loss.names || !loss.undone.contains(&undone) {
            return Err(format!(
                "{sectors} sectors, {torn} torn, {names} names, {undone} undone of {loss:?}"
            ));
        }
        before.sectors_lost = now.sectors_lost;
        before.torn_writes = now.torn_writes;
        before.name_changes_lost = now.name_changes_lost;
        before.operations_undone = now.operations_undone;
        Ok(())
    }
}

fn busy() -> Pace {
    Pace {
        read: Microseconds::between(0, 20),
        write: Microseconds::between(0, 40),
        page: Microseconds::between(1, 5),
        sync: Microseconds::between(50, 200),
        name: Microseconds::between(0, 30),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(trials(300)))]

    /// What was synced by a crash is there after it; what was not is there or not, by sectors and by names; what had
    /// not ended never happened, and a kill takes nothing else. A sync that failed made nothing durable.
    #[test]
    fn the_disk_keeps_its_promises(plan in plans()) {
        if let Err(broken) = Trial::run(&plan, None) {
            prop_assert!(false, "{broken}");
        }
    }
}

/// The same plans every time.
fn sample(count: usize) -> impl Iterator<Item = Plan> {
    let mut runner = TestRunner::deterministic();
    let plans = plans();
    (0..count).map(move |_| plans.new_tree(&mut runner).unwrap().current())
}

/// A test that finds nothing wrong with such disks would find nothing at all.
#[test]
fn a_disk_that_breaks_a_promise_is_found() {
    for lie in [
        Lie::SyncDoesNothing,
        Lie::DirectorySyncDoesNothing,
        Lie::FailedSyncIsDurable,
        Lie::CrashKeepsWhatHadNotEnded,
        Lie::CrashLosesWhatHadEnded,
        Lie::KillLosesTheCache,
        Lie::KillKeepsWhatHadNotEnded,
        Lie::CrashTearsWithinASector,
        Lie::ReadIsNotCounted,
    ] {
        let found = sample(200).any(|plan| Trial::run(&plan, Some(lie)).is_err());
        assert!(found, "{lie:?} is not found");
    }
}

/// Each kind of fault strikes in the sample: what never happens is not tested.
#[test]
fn everything_happens() {
    let each = |counters: Counters| {
        [
            counters.stalled_operations,
            counters.crashes,
            counters.kills,
            counters.operations_undone,
            counters.sectors_lost,
            counters.torn_writes,
            counters.name_changes_lost,
            counters.failed_reads,
            counters.failed_writes,
            counters.short_writes,
            counters.failed_syncs,
            counters.refused_for_space,
            counters.misdirected_writes,
            counters.bytes_rotted,
        ]
    };
    let mut total = [0; 14];
    for plan in sample(200) {
        let counters = each(Trial::run(&plan, None).unwrap());
        total.iter_mut().zip(counters).for_each(|(total, count)| *total += count);
    }
    assert!(total.iter().all(|count| *count > 10), "{total:?}");
}
