//! Checkpoints that build on each other: runs, merges, tails, what travels, and what happens when one is lost.

use std::collections::BTreeMap;

use proptest::prelude::*;
use quorate_raft::{
    Chunk, Digest, Done, LoadSnapshot, LogId, NodeId, Reader, SnapshotMeta, StoreSnapshot, Term,
};
use quorate_storage::checkpoint_files::list;
use quorate_storage::{Job, MemoryDisk, Operation, Storage};
use quorate_wire::checkpoint::RunRef;

use crate::common::{open, settle, take, trials};
use crate::replica::{Replica, Rows};

fn run_path(run: &RunRef) -> String {
    format!("snaps/{}.run", Digest(run.digest))
}

/// 10,000 rows of 100 bytes, then ten boundaries with a hundredth changed in each.
fn with_boundaries(count: u64) -> (Replica, SnapshotMeta) {
    let mut replica = Replica::new();
    replica.rows.change(0..10_000, 100);
    let mut meta = replica.boundary(2);
    for index in 3..3 + count {
        replica.rows.change((0..100).map(|key| (key * 97 + index * 1009) % 10_000), 100);
        meta = replica.boundary(index);
    }
    (replica, meta)
}

#[test]
fn a_checkpoint_writes_what_changed() {
    let (mut replica, _) = with_boundaries(0);
    settle(&mut replica.storage);
    let full = replica.disk.counters().bytes_written;
    replica.rows.change(500..600, 100);
    let before = replica.disk.counters().bytes_written;
    let meta = replica.boundary(3);
    let written = replica.disk.counters().bytes_written - before;
    assert!(written * 20 < full, "{written} bytes of {full}");
    assert_eq!(replica.check(&meta).runs.len(), 2);
    // Nothing changed: nothing is added.
    let meta = replica.boundary(4);
    assert_eq!(replica.check(&meta).runs.len(), 2);
}

#[test]
fn merges_keep_the_runs_few_and_drop_what_is_gone() {
    let (mut replica, mut meta) = with_boundaries(0);
    let mut most = 0;
    for index in 3..80 {
        replica.rows.change((0..100).map(|key| (key * 97 + index * 1009) % 10_000), 100);
        meta = replica.boundary(index);
        most = most.max(replica.check(&meta).runs.len());
    }
    assert!((8..=20).contains(&most), "{most} runs");
    settle(&mut replica.storage);
    let manifest = replica.check(&meta);
    let bytes: u64 = manifest.runs.iter().map(|run| run.bytes).sum();
    let least: usize = replica.rows.all.values().map(|body| 18 + body.len()).sum();
    // A quarter, what comes in during a merge, and what was deleted since the last one.
    assert!(bytes < least as u64 * 8 / 5, "{bytes} bytes for a state of {least}");
    assert_eq!(replica.files(".snap"), 5);
    assert!(replica.files(".run") <= 24, "{:?}", replica.disk.files());
}

/// A node that starts in the middle has the rest of the time for all of it, and its manifests are the same.
#[test]
fn a_long_merge_goes_on_with_what_comes_in_and_survives_a_restart() {
    let (mut replica, _) = with_boundaries(0);
    replica.rows.change(0..4000, 100);
    replica.boundary(3);
    settle(&mut replica.storage);
    let (mut restarted, mut merged_bytes) = (Replica::new(), Vec::new());
    for index in 4..30 {
        let before = replica.disk.counters().bytes_written;
        for one in [&mut replica, &mut restarted].into_iter().take(if index > 10 { 2 } else { 1 }) {
            one.rows.change((0..100).map(|key| (key * 97 + index * 1009) % 10_000), 100);
            one.boundary(index);
            settle(&mut one.storage);
        }
        merged_bytes.push(replica.disk.counters().bytes_written - before);
        if index == 10 {
            assert!(replica.disk.files().iter().any(|path| path.starts_with("snaps/merging-")));
            restarted.disk = replica.disk.duplicate();
            restarted.restart(&replica.rows);
            assert_eq!(restarted.files(".tmp"), 0, "what was begun");
        }
        if index >= 10 {
            let [one, other] =
                [&replica, &restarted].map(|it| open(&it.disk.duplicate()).unwrap().1.snapshot);
            assert_eq!(one, other, "at {index}");
        }
    }
    let meta = open(&replica.disk.duplicate()).unwrap().1.snapshot.unwrap();
    assert!(replica.check(&meta).runs[0].bytes < 1_180_000, "it is over, and what was gone is dropped");
    assert!(
        merged_bytes.iter().all(|bytes| *bytes < 300_000),
        "{merged_bytes:?} bytes in one go, of a merge of 1,600,000"
    );
}

/// What a manifest names is decided by the log; merges only have to be done by then.
#[test]
fn when_merges_are_done_changes_nothing() {
    let (mut slow, mut fast) = (Replica::new(), Replica::new());
    let mut drafts = Vec::new();
    for index in 2..40 {
        for replica in [&mut slow, &mut fast] {
            replica.rows.change((0..100).map(|key| (key * 97 + index * 1009) % 1000), 100);
        }
        let draft = slow.draft(index, false);
        drafts.push(Job::Checkpoint(draft));
        fast.boundary(index);
        settle(&mut fast.storage);
    }
    // All at once: each waits for the merge before it, in larger slices.
    slow.storage.perform(drafts).unwrap();
    settle(&mut slow.storage);
    let [slow_meta, fast_meta] = [&slow, &fast].map(|replica| open(&replica.disk).unwrap().1.snapshot);
    assert_eq!(slow_meta, fast_meta);
    assert_eq!(slow.check(&slow_meta.unwrap()), fast.check(&fast_meta.unwrap()));
}

#[test]
fn a_tail_is_no_part_of_the_chain() {
    let (mut replica, _) = with_boundaries(3);
    let mut other = Replica::new();
    other.disk = replica.disk.duplicate();
    replica.rows.change(40..90, 100);
    let now = replica.rows.clone();
    let meta = replica.tail(20);
    let manifest = replica.check(&meta);
    assert!(manifest.has_tail && manifest.boundary.index == 5 && manifest.boundary.command_bytes == 7);
    // One starts from the tail, one never took it, one starts from the boundary and applies again what follows.
    let mut restarted = Replica { disk: replica.disk.duplicate(), ..Replica::new() };
    assert_eq!(restarted.restart(&now), meta);
    assert!(other.restart(&now).last == LogId::new(1, 5));
    other.rows.counter -= 50;
    other.rows.change(40..90, 100);
    let metas = [&mut replica, &mut restarted, &mut other].map(|replica| {
        replica.rows.change(80..120, 100);
        replica.boundary(21)
    });
    assert_eq!(metas[0], metas[1]);
    assert_eq!(metas[0], metas[2]);
    replica.check(&metas[0]);
}

struct Transfer<'a> {
    from: &'a mut Storage<MemoryDisk>,
    to: &'a mut Storage<MemoryDisk>,
    meta: SnapshotMeta,
    sent_bytes: u64,
}

impl Transfer<'_> {
    /// Sends the piece at `offset`; the offset of the next, and whether all is there.
    fn send(&mut self, offset: u64) -> (u64, bool) {
        let reader = Reader::Peer(NodeId(2));
        let load = LoadSnapshot { reader, last: self.meta.last, offset, bytes: 30_000 };
        let done = self.from.perform(vec![Job::Core(quorate_raft::Job::LoadSnapshot(load))]).unwrap();
        let [Done::SnapshotLoaded { chunk: Some(chunk), .. }] = &done[..] else { panic!("{done:?}") };
        let chunk: Chunk = chunk.clone();
        self.sent_bytes += chunk.data.len() as u64;
        let store = StoreSnapshot { meta: Box::new(self.meta.clone()), chunk };
        let mut done = self.to.perform(vec![Job::Core(quorate_raft::Job::StoreSnapshot(store))]).unwrap();
        loop {
            let answer = done.iter().find_map(|done| match done {
                Done::SnapshotStored { meta, next, complete } if **meta == self.meta => {
                    Some((*next, *complete))
                }
                _ => None,
            });
            if let Some(answer) = answer {
                return answer;
            }
            assert!(self.to.busy(), "the answer comes when the runs that are there have been looked at");
            done = self.to.perform(Vec::new()).unwrap();
        }
    }

    fn send_all(&mut self) -> u64 {
        let mut offset = 0;
        loop {
            match self.send(offset) {
                (_, true) => return self.sent_bytes,
                (next, false) => offset = next,
            }
        }
    }
}

#[test]
fn only_the_runs_that_are_missing_travel() {
    let (mut leader, _) = with_boundaries(2);
    let mut follower = Replica { disk: leader.disk.duplicate(), ..Replica::new() };
    follower.restart(&leader.rows);
    leader.rows.change(40..90, 100);
    let meta = leader.boundary(20);
    let (from, to) = (&mut leader.storage, &mut follower.storage);
    let sent = Transfer { from, to, meta: meta.clone(), sent_bytes: 0 }.send_all();
    // The first piece may hold more than the manifest; what belongs to a run that is there is passed over.
    assert!(sent < 30_000 + 50 * 118 + 1, "{sent} bytes of {}", meta.bytes);
    follower.begin_from(&meta, &leader.rows);
    assert!(follower.rows.all == leader.rows.all);
    // All are there: the manifest alone travels, under another description.
    let again = SnapshotMeta { last: LogId { term: Term(1), ..meta.last }, ..meta.clone() };
    let (from, to) = (&mut leader.storage, &mut follower.storage);
    assert_eq!(Transfer { from, to, meta: again, sent_bytes: 0 }.send_all(), 30_000);
    // The chain goes on from it, as on the leader.
    let metas = [&mut leader, &mut follower].map(|replica| {
        replica.rows.counter = 1_000_000;
        replica.rows.change(80..120, 100);
        replica.boundary(21)
    });
    assert_eq!(metas[0], metas[1]);
}

#[test]
fn a_run_that_is_here_and_rotten_travels_again() {
    let (mut leader, _) = with_boundaries(0);
    let mut follower = Replica { disk: leader.disk.duplicate(), ..Replica::new() };
    let old = follower.restart(&leader.rows);
    let base = run_path(&follower.check(&old).runs[0]);
    leader.rows.change(40..90, 100);
    let meta = leader.boundary(20);
    follower.disk.flip_bit(&base, 8 * 600_000);
    let (from, to) = (&mut leader.storage, &mut follower.storage);
    let sent = Transfer { from, to, meta: meta.clone(), sent_bytes: 0 }.send_all();
    assert!(sent > 10_000 * 110, "{sent} bytes");
    assert_eq!(open(&follower.disk).unwrap().1.snapshot, Some(meta));
}

/// What has come stays, whoever sends the rest: of another checkpoint, only what is not here.
#[test]
fn the_next_leader_sends_what_the_last_one_had_not() {
    let (mut leader, meta) = with_boundaries(3);
    let mut follower = Replica::new();
    let (from, to) = (&mut leader.storage, &mut follower.storage);
    let mut transfer = Transfer { from, to, meta: meta.clone(), sent_bytes: 0 };
    let mut offset = 0;
    let runs_end = meta.bytes - 100 * 118;
    while offset < runs_end {
        offset = transfer.send(offset).0;
    }
    leader.rows.change(40..90, 100);
    let newer = leader.boundary(20);
    let (from, to) = (&mut leader.storage, &mut follower.storage);
    let sent = Transfer { from, to, meta: newer.clone(), sent_bytes: 0 }.send_all();
    assert!(sent < 30_000 + 400 * 118, "{sent} bytes of {}", newer.bytes);
    assert_eq!(open(&follower.disk).unwrap().1.snapshot, Some(newer));
}

/// The state in memory is sound: it is written once more as a whole, and all goes on from that.
#[test]
fn a_run_that_rots_under_a_merge_costs_one_whole_checkpoint() {
    let (mut replica, meta) = with_boundaries(0);
    let base = run_path(&replica.check(&meta).runs[0]);
    replica.disk.flip_bit(&base, 8 * 600_000);
    replica.rows.change(0..4000, 100);
    replica.boundary(19);
    replica.rows.change(0..3000, 100);
    replica.boundary(20);
    let done = settle(&mut replica.storage);
    let lost = done.into_iter().find(|done| matches!(done, Done::SnapshotLost(_)));
    assert_eq!(lost, Some(Done::SnapshotLost(LogId::new(1, 20))));
    // Whatever builds on it is refused as well.
    let draft = replica.draft(21, true);
    let mut done = replica.storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    while done.is_empty() {
        done = replica.storage.perform(Vec::new()).unwrap();
    }
    assert_eq!(done, [Done::SnapshotLost(LogId::new(1, 21))]);
    replica.boundary = LogId::ZERO;
    replica.rows.everything_changed();
    let meta = replica.tail(22);
    assert_eq!(replica.check(&meta).runs.len(), 1);
    assert_eq!(open(&replica.disk).unwrap().1.snapshot, Some(meta));
    let meta = replica.boundary(23);
    assert_eq!(replica.check(&meta).runs.len(), 1);
}

/// A full disk while a checkpoint, a merge or a manifest is written: nothing is lost, nothing ends, nothing half done
/// is left; when there is room again it goes on by itself.
#[test]
fn a_full_disk_only_delays_checkpoints() {
    let (whole, _) = with_boundaries(3);
    let plain = |replica: &mut Replica| {
        let drafts = [0..4000, 4000..7000].into_iter().zip(20..).map(|(keys, index)| {
            replica.rows.change(keys, 100);
            Job::Checkpoint(replica.draft(index, false))
        });
        let drafts = drafts.collect();
        replica.storage.perform(drafts)
    };
    let mut reference = Replica { disk: whole.disk.duplicate(), ..Replica::new() };
    reference.restart(&whole.rows);
    plain(&mut reference).unwrap();
    settle(&mut reference.storage);
    let expected = open(&reference.disk).unwrap().1.snapshot;
    let used = whole.disk.bytes_used();
    let mut waited = 0;
    for room in (0..2_200_000).step_by(90_001) {
        let disk = whole.disk.duplicate();
        let mut replica = Replica { disk, ..Replica::new() };
        replica.restart(&whole.rows);
        settle(&mut replica.storage);
        // What the ballast keeps for a checkpoint is room as well.
        let ballast = replica.disk.len("log/ballast").unwrap_or(0);
        let full = used.max(replica.disk.bytes_used());
        replica.disk.set_capacity(Some((full + room).saturating_sub(ballast)));
        plain(&mut replica).unwrap();
        settle(&mut replica.storage);
        if replica.storage.waits_for_space() {
            waited += 1;
            assert_eq!(replica.files(".tmp"), 0, "{room} bytes of room");
            // Later, it is still full.
            for _ in 0..200 {
                replica.storage.perform(Vec::new()).unwrap();
            }
            assert!(replica.storage.waits_for_space() || replica.storage.busy());
        }
        replica.disk.set_capacity(None);
        for _ in 0..200 {
            replica.storage.perform(Vec::new()).unwrap();
        }
        settle(&mut replica.storage);
        assert!(!replica.storage.waits_for_space());
        assert_eq!(open(&replica.disk).unwrap().1.snapshot, expected, "{room} bytes of room");
    }
    assert!(waited > 5, "{waited} times full");
}

/// Any other error ends the process, as ever.
#[test]
fn other_errors_on_checkpoints_end_the_process() {
    for operation in [Operation::Write, Operation::Sync, Operation::Name, Operation::SyncDirectory] {
        let (mut replica, _) = with_boundaries(1);
        settle(&mut replica.storage);
        replica.disk.fail_below("snaps/", operation, 0);
        replica.rows.change(0..100, 100);
        let draft = replica.draft(20, false);
        let mut failed = replica.storage.perform(vec![Job::Checkpoint(draft)]).is_err();
        while !failed && replica.storage.busy() {
            failed = replica.storage.perform(Vec::new()).is_err();
        }
        assert!(failed, "{operation:?}");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Change { from: u64, count: u64 },
    Boundary,
    Tail,
    Work(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..300_u64, 1..150_u64).prop_map(|(from, count)| Step::Change { from, count }),
        4 => Just(Step::Boundary),
        1 => Just(Step::Tail),
        2 => (0..20_u8).prop_map(Step::Work),
    ];
    prop::collection::vec(step, 5..60)
}

/// Takes the steps until the power goes. Tells what the state was at each checkpoint, and which one was promised.
fn play(steps: &[Step], replica: &mut Replica, states: &mut BTreeMap<LogId, Rows>, promised: &mut LogId) {
    let mut index = 2;
    for step in steps {
        let draft = match step {
            Step::Change { from, count } => {
                replica.rows.change(*from..from + count, 300);
                continue;
            }
            Step::Boundary => replica.draft(index, false),
            Step::Tail => replica.draft(index, true),
            Step::Work(times) => {
                if (0..*times).any(|_| replica.storage.perform(Vec::new()).is_err()) {
                    return;
                }
                continue;
            }
        };
        states.insert(draft.last, replica.rows.clone());
        match take(&mut replica.storage, draft) {
            Ok(meta) => *promised = meta.last,
            Err(_) => return,
        }
        index += 1;
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: trials(24),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A crash at any change of the disk leaves a checkpoint that was taken or just being taken, and nothing that is
    /// half done; the chain goes on from it.
    #[test]
    fn a_crash_leaves_the_last_checkpoint_or_the_next(
        steps in steps(),
        share in 0..100_u64,
        seed in any::<u64>(),
    ) {
        let (mut states, mut promised) = (BTreeMap::new(), LogId::ZERO);
        let mut replica = Replica::new();
        let start = replica.disk.changes();
        play(&steps, &mut replica, &mut states, &mut promised);
        let total = replica.disk.changes() - start;
        let (mut states, mut promised) = (BTreeMap::new(), LogId::ZERO);
        let mut replica = Replica::new();
        replica.disk.cut_power_at(replica.disk.changes() + total * share / 100);
        play(&steps, &mut replica, &mut states, &mut promised);
        replica.disk.crash(seed);
        let (storage, found) = open(&replica.disk).unwrap();
        replica.storage = storage;
        let last = found.snapshot.as_ref().map_or(LogId::ZERO, |meta| meta.last);
        prop_assert!(last >= promised, "{} was promised, {} found", promised, last);
        prop_assert_eq!(replica.files(".tmp") + replica.files(".damaged"), 0);
        if let Some(meta) = &found.snapshot {
            let then = states[&meta.last].clone();
            replica.begin_from(meta, &then);
            prop_assert!(replica.rows.all == then.all);
            replica.rows.change(0..50, 300);
            let meta = replica.boundary(meta.last.index.0 + 1);
            replica.check(&meta);
        }
    }
}

#[test]
fn what_lies_around_without_a_name_is_removed_at_a_start() {
    let (mut replica, meta) = with_boundaries(2);
    settle(&mut replica.storage);
    let named: Vec<String> = replica.check(&meta).runs.iter().map(run_path).collect();
    let stray = format!("snaps/{}.run", "ab".repeat(32));
    for path in [&stray, &"snaps/merging.tmp".to_owned()] {
        use quorate_storage::{Disk, DiskFile};
        replica.disk.create(path).unwrap().write_at(&[1; 100], 0).unwrap();
    }
    open(&replica.disk).unwrap();
    let files = replica.disk.files();
    assert!(!files.contains(&stray) && replica.files(".tmp") == 0);
    assert!(named.iter().all(|run| files.contains(run)));
}

/// There may be little space, and it is needed.
#[test]
fn what_was_merged_goes_before_the_state_is_written_anew() {
    let mut replica = Replica::new();
    replica.rows.change(0..1000, 100);
    replica.boundary(2);
    let unnamed = |replica: &Replica| {
        let listing = list(&replica.disk, |_| {}).unwrap();
        let is_named = |run: &RunRef| listing.checkpoints.iter().any(|it| it.manifest.runs.contains(run));
        listing.runs.iter().filter(|run| !is_named(run)).count()
    };
    let mut index = 3;
    while unnamed(&replica) == 0 {
        assert!(index < 30, "nothing is merged before its time");
        replica.rows.change((0..100).map(|key| (key * 7 + index * 109) % 1000), 100);
        replica.boundary(index);
        settle(&mut replica.storage);
        index += 1;
    }
    replica.boundary = LogId::ZERO;
    replica.rows.everything_changed();
    let draft = replica.draft(index, true);
    replica.storage.perform(vec![Job::Checkpoint(draft)]).unwrap();
    replica.storage.perform(Vec::new()).unwrap();
    assert_eq!(unnamed(&replica), 0);
}
