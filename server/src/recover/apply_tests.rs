//! Recoveries of data dirs that a test makes: what is refused, and what a crash leaves.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use quorate_node::kv::Kv;
use quorate_node::raft::{
    Config, Contact, Done, Entry, HardState, Index, Input, Job, Learner, LogId, Members, NodeId, Output,
    Payload, Raft, Role, Term, Time, Write, WriteId,
};
use quorate_node::wire::{ClusterId, HistoryId};
use quorate_storage::data_dir::{self, DataDir, DataDirError};
use quorate_storage::{Content, Disk, DiskFile, Draft, FileDisk, MemoryDisk, Options, Storage};

use super::apply::{Applied, ApplyError, Order, apply, become_only_voter};
use super::aside::AsideError;
use super::plan::{Loss, Plan};
use super::survivor::{Holdings, Survivor};
use crate::context::Identity;
use crate::real::RealRuntime;

pub(super) const CLUSTER: ClusterId = ClusterId(0xc);
pub(super) const HISTORY: HistoryId = HistoryId(0xd);

pub(super) fn options() -> Options {
    Options { segment_bytes: 16 << 10, spare_segments: 1, ..Options::new(7).in_slices(8 << 10) }
}

fn contact(node: u128) -> Contact {
    Contact { address: format!("127.0.0.1:{node}"), ..Contact::default() }
}

pub(super) fn members(voters: &[u128]) -> Members {
    let mut members = Members::default();
    for node in voters {
        members.voters.insert(NodeId(*node));
        members.contacts.insert(NodeId(*node), contact(*node));
    }
    members
}

fn command(term: u64, index: u64) -> Entry {
    Entry { id: LogId::new(term, index), payload: Payload::Command(vec![7; 600].into()) }
}

/// A log of a membership and one entry for each of `terms`, in the last of them.
fn fill<D: Disk>(disk: D, members: Members, terms: &[u64]) {
    let (mut storage, _) = Storage::open(disk, options()).unwrap();
    let mut append = vec![Entry { id: LogId::new(1, 1), payload: Payload::Members(Box::new(members)) }];
    append.extend((2..).zip(terms).map(|(index, term)| command(*term, index)));
    let term = Term(terms.iter().copied().max().unwrap_or(1));
    let write = Write {
        id: WriteId(1),
        hard: Some(HardState { term, vote: Some(NodeId(3)) }),
        commit_hint: Index(1),
        install: None,
        truncate_from: None,
        repair: Vec::new(),
        append,
        compact_to: None,
    };
    storage.perform(vec![Job::Write(write).into()]).unwrap();
}

/// The segments of a log, the oldest first.
pub(super) fn segments(directory: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(directory.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        names.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    segments.sort();
    segments
}

/// Rot takes the last entries whole, so that nobody can tell what they were.
fn cut_off_the_end(directory: &Path) {
    let last = segments(directory).pop().unwrap();
    let mut bytes = fs::read(&last).unwrap();
    bytes[8192..].iter_mut().filter(|byte| **byte != 0).for_each(|byte| *byte ^= 0x55);
    fs::write(last, bytes).unwrap();
}

/// A value of the log rots.
pub(super) fn rot_a_value(directory: &Path) {
    for segment in segments(directory) {
        let mut bytes = fs::read(&segment).unwrap();
        // Where entries are: elsewhere are zeros.
        let Some(at) =
            (4096..bytes.len() - 1000).rfind(|at| bytes[*at..*at + 1000].iter().all(|byte| *byte != 0))
        else {
            continue;
        };
        bytes[at + 10] ^= 0xff;
        fs::write(&segment, bytes).unwrap();
    }
}

/// A folder of data dirs.
pub(super) struct Folder {
    root: tempfile::TempDir,
}

impl Folder {
    pub(super) fn new() -> Folder {
        Folder { root: tempfile::tempdir().unwrap() }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// The data dir of a node of a cluster of three.
    pub(super) fn node(&self, node: u128, terms: &[u64]) -> PathBuf {
        let identity = Identity { node: NodeId(node), cluster: CLUSTER, history: HISTORY };
        self.node_of(identity, members(&[1, 2, 3]), terms)
    }

    pub(super) fn node_of(&self, identity: Identity, members: Members, terms: &[u64]) -> PathBuf {
        let path = self.path(&identity.node.to_string());
        let mut dir = DataDir::open(&path).unwrap();
        fill(FileDisk::new(&path), members, terms);
        let Identity { node, cluster, history } = identity;
        dir.identify(data_dir::Identity { node, cluster: Some(cluster), history: Some(history) }).unwrap();
        path
    }

    fn names(&self) -> BTreeSet<String> {
        let entries = fs::read_dir(self.root.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

pub(super) fn order(dir: &Path, survivors: &[&Path]) -> Order {
    let survivors = survivors.iter().map(|path| path.to_path_buf()).collect();
    Order { dir: dir.to_owned(), confirm: CLUSTER, survivors, aside: None }
}

pub(super) fn applied(order: &Order) -> Result<Applied, ApplyError> {
    apply(order, &RealRuntime::start())
}

#[track_caller]
pub(super) fn refused(order: &Order, folder: &Folder) -> (u8, ApplyError) {
    let before = folder.names();
    let node_file = fs::read(order.dir.join("node.toml")).ok();
    let error = applied(order).unwrap_err();
    assert_eq!(folder.names(), before, "{error}");
    assert_eq!(fs::read(order.dir.join("node.toml")).ok(), node_file, "{error}");
    (error.exit_code(), error)
}

/// All files of a directory but its lock, with what they hold.
pub(super) fn content(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(next) = directories.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if !path.ends_with("LOCK") {
                files.push((path.strip_prefix(directory).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

#[test]
fn the_most_ahead_goes_on_alone_with_all_it_holds() {
    let folder = Folder::new();
    let (ahead, behind) = (folder.node(1, &[1, 2, 2]), folder.node(2, &[1, 1, 1, 1]));
    let before = content(&ahead);
    let Applied::Recovered { identity, before: old, entry, aside, .. } =
        applied(&order(&ahead, &[&behind])).unwrap()
    else {
        panic!("it was not alone before")
    };
    assert_eq!(
        (identity.node, identity.cluster, old, entry),
        (NodeId(1), CLUSTER, HISTORY, LogId::new(3, 5))
    );
    assert_ne!(identity.history, HISTORY);
    let aside = aside.unwrap();
    assert_eq!(content(&aside), before, "the copy is of the data dir as it was");
    assert_eq!(aside.parent(), ahead.canonicalize().unwrap().parent());

    let dir = DataDir::open(&ahead).unwrap();
    assert_eq!(dir.identity().and_then(|found| found.history), Some(identity.history));
    drop(dir);
    let held = Holdings::in_directory(&ahead).unwrap();
    assert_eq!((held.term, held.last(), held.members_at), (Term(3), entry, entry));
    assert_eq!(held.members, Members::founder(NodeId(1), contact(1)));
    assert!((1..=4).all(|index| held.terms.term(Index(index)).is_some()));
    assert!(leads(FileDisk::new(&ahead), NodeId(1)));

    // Whoever is not sure that it was done may do it again.
    assert_eq!(applied(&order(&ahead, &[&behind])).unwrap(), Applied::AlreadyAlone(identity));
    assert_eq!(folder.names().len(), 3, "and makes no second copy");
}

/// Whether the core, opened on this, becomes leader by itself and commits all it has.
pub(super) fn leads<D: Disk>(disk: D, node: NodeId) -> bool {
    let (mut storage, found) = Storage::open(disk, options()).unwrap();
    let last = found.terms.last();
    let mut now = Time(0);
    let mut raft = Raft::open(Config::new(node, 1), found, now).unwrap();
    for _ in 0..20 {
        while let Some(output) = raft.poll() {
            match output {
                Output::Job(job) => {
                    for done in storage.perform(vec![job.into()]).unwrap() {
                        raft.handle(now, Input::Done(done));
                    }
                }
                Output::Apply(entries) => {
                    let applied = entries.last().unwrap().id.index;
                    raft.handle(now, Input::Applied(applied));
                }
                Output::Install(meta) => raft.handle(now, Input::Applied(meta.last.index)),
                _ => {}
            }
        }
        if raft.status().role == Role::Leader && raft.status().commit > last.index {
            return true;
        }
        now = raft.deadline().unwrap();
        raft.handle(now, Input::Timeout);
    }
    false
}

#[test]
fn what_somebody_did_not_mean_is_refused_and_nothing_is_changed() {
    let folder = Folder::new();
    let one = folder.node(1, &[1, 2, 2]);
    let other = ClusterId(0xe);
    let (code, error) = refused(&Order { confirm: other, ..order(&one, &[]) }, &folder);
    assert!(
        code == 4 && matches!(error, ApplyError::OtherCluster { given, found: CLUSTER } if given == other)
    );
    for name in ["nowhere", "empty"] {
        fs::create_dir_all(folder.path("empty")).unwrap();
        let (code, error) = refused(&order(&folder.path(name), &[]), &folder);
        assert!(code == 4 || (code == 1 && name == "nowhere"), "{code} {error}");
    }
    let (code, error) = refused(&order(&one, &[&folder.path("empty")]), &folder);
    assert!(code == 4 && matches!(error, ApplyError::SurvivorUnreadable { .. }), "{error}");
    let (code, error) = refused(&order(&one, &[&one]), &folder);
    assert!(code == 4 && matches!(error, ApplyError::SameNode { .. }), "{error}");
    let _user = DataDir::open(&one).unwrap();
    let (code, error) = refused(&order(&one, &[]), &folder);
    assert!(code == 4 && matches!(error, ApplyError::DataDir(DataDirError::Locked { .. })), "{error}");
}

#[test]
fn a_survivor_that_is_ahead_live_or_elsewhere_stands_in_the_way() {
    let folder = Folder::new();
    let (one, longer, later) =
        (folder.node(1, &[1, 2, 2]), folder.node(2, &[1, 2, 2, 2]), folder.node(3, &[1, 3]));
    for ahead in [&longer, &later] {
        let (code, error) = refused(&order(&one, &[ahead]), &folder);
        assert!(code == 4 && matches!(error, ApplyError::SurvivorAhead { .. }), "{error}");
    }
    let user = DataDir::open(&one).unwrap();
    let (code, error) = refused(&order(&later, &[&longer, &one]), &folder);
    let our_pid = Some(std::process::id());
    assert!(code == 4 && matches!(error, ApplyError::SurvivorLive { pid, .. } if pid == our_pid), "{error}");
    drop(user);

    let stranger = Identity { node: NodeId(4), cluster: CLUSTER, history: HistoryId(0xe) };
    let stranger = folder.node_of(stranger, members(&[4]), &[1]);
    let (code, error) = refused(&order(&later, &[&stranger]), &folder);
    assert!(code == 4 && matches!(error, ApplyError::SurvivorElsewhere { .. }), "{error}");

    let mut begun = DataDir::open_for_recovery(&longer).unwrap();
    begun.begin_recovery(HistoryId(0xf)).unwrap();
    drop(begun);
    let (code, error) = refused(&order(&later, &[&longer]), &folder);
    assert!(code == 4 && matches!(error, ApplyError::SurvivorRecovering { .. }), "{error}");
}

#[test]
fn a_node_that_could_never_go_on_is_refused() {
    let folder = Folder::new();
    let removed = Identity { node: NodeId(4), cluster: CLUSTER, history: HISTORY };
    let removed = folder.node_of(removed, members(&[1, 2, 3]), &[1]);
    let (code, error) = refused(&order(&removed, &[]), &folder);
    assert!(code == 4 && error.to_string().contains("no member"), "{error}");

    // The node is the only one that is left to have had it.
    let damaged = folder.node(1, &[1, 2, 2]);
    rot_a_value(&damaged);
    let (code, error) = refused(&order(&damaged, &[]), &folder);
    assert!(code == 4 && matches!(error, ApplyError::Flawed(_)), "{error}");
    assert!(error.to_string().contains("damaged") || error.to_string().contains("lost"), "{error}");
}

/// Of what a checkpoint covers, nothing is ever asked for again.
#[test]
fn damage_below_the_checkpoint_hinders_nothing_and_above_it_everything() {
    let disk = MemoryDisk::new();
    fill(disk.clone(), members(&[1, 2, 3]), &[1, 2, 2]);
    let checkpoint = |last: LogId| {
        let (mut storage, _) = Storage::open(disk.clone(), options()).unwrap();
        let draft = Draft {
            last,
            members: members(&[1, 2, 3]),
            members_at: LogId::new(1, 1),
            base: LogId::ZERO,
            tail_bytes: Some(0),
            totals: Kv::new().totals(),
            rows: Content::new(std::iter::empty()),
        };
        let mut done = storage.perform(vec![quorate_storage::Job::Checkpoint(draft)]).unwrap();
        while done.is_empty() {
            done = storage.perform(Vec::new()).unwrap();
        }
        assert!(matches!(done[..], [Done::SnapshotTaken(_)]), "{done:?}");
    };
    let newest = disk.files().into_iter().rfind(|path| path.ends_with(".log")).unwrap();
    let bytes = disk.content(&newest).unwrap();
    // In the last payload, a value of 600 bytes: at most the rest of a sector stands behind it, then zeros.
    let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    disk.garbage(&newest, end - 560..end - 550, 1);
    checkpoint(LogId::new(2, 3));
    let held = Holdings::on(disk.clone()).unwrap();
    assert!(held.flaw(NodeId(1)).is_some() && held.checkpoint == Some(LogId::new(2, 3)), "{held:?}");
    assert!(matches!(
        become_only_voter(disk.clone(), NodeId(1), Term(0), options()),
        Err(ApplyError::Flawed(_))
    ));

    checkpoint(LogId::new(2, 4));
    assert_eq!(Holdings::on(disk.clone()).unwrap().flaw(NodeId(1)), None);
    assert_eq!(become_only_voter(disk.clone(), NodeId(1), Term(0), options()).unwrap(), LogId::new(3, 5));
    assert!(leads(disk, NodeId(1)));
}

/// Every prefix of the steps, as a crash leaves it; then all of it again.
#[test]
fn an_attempt_that_was_interrupted_is_finished_by_the_next_one() {
    for steps in 0..=3 {
        let folder = Folder::new();
        let (one, two) = (folder.node(1, &[1, 2, 2]), folder.node(2, &[1]));
        let old = content(&one);
        let order = order(&one, &[&two]);
        let aside = crate::paths::with_suffix(&one.canonicalize().unwrap(), ".before-recovery-00000000");
        let new = HistoryId(0xe);
        if steps > 0 {
            crate::recover::aside::copy_aside(&one, &aside, &[]).unwrap();
            assert_eq!(content(&one), old, "a crash here leaves the old data dir");
        }
        if steps > 1 {
            DataDir::open_for_recovery(&one).unwrap().begin_recovery(new).unwrap();
        }
        if steps > 2 {
            become_only_voter(FileDisk::new(&one), NodeId(1), Term(0), options()).unwrap();
        }
        let unfinished = matches!(DataDir::open(&one), Err(DataDirError::RecoveryUnfinished { .. }));
        assert_eq!(unfinished, steps > 1, "after {steps} steps");

        let Applied::Recovered { identity, entry, aside: copy, .. } = applied(&order).unwrap() else {
            panic!("after {steps} steps")
        };
        assert_eq!((copy, entry), (Some(aside.clone()), LogId::new(3, 5)), "after {steps} steps");
        assert_eq!(identity.history == new, steps > 1, "the history that was begun is kept");
        assert_eq!(content(&aside), old, "after {steps} steps");
        assert!(DataDir::open(&one).is_ok());
        assert_eq!(Holdings::in_directory(&one).unwrap().last(), entry);
    }
}

#[test]
fn a_copy_of_something_else_is_left_alone() {
    let folder = Folder::new();
    let one = folder.node(1, &[1, 2]);
    let aside = folder.path("aside");
    fs::create_dir(&aside).unwrap();
    let order = Order { aside: Some(aside.clone()), ..order(&one, &[]) };
    let (code, error) = refused(&order, &folder);
    assert!(code == 4 && matches!(error, ApplyError::Aside(AsideError::Exists(_))), "{error}");
    fs::remove_dir(&aside).unwrap();
    assert!(applied(&order).is_ok() && aside.join("node.toml").exists());
}

#[test]
fn a_power_cut_leaves_the_old_log_or_the_new_one() {
    let disk = MemoryDisk::new();
    fill(disk.clone(), members(&[1, 2, 3]), &[1, 2, 2]);
    cut_everywhere(&disk, LogId::new(3, 5));
    // Without term and vote it is put into a term above the log's first.
    for path in ["stable/a", "stable/b"] {
        disk.open(path).unwrap().write_at(&[0xa5; 512], 0).unwrap();
        disk.open(path).unwrap().sync_data().unwrap();
    }
    cut_everywhere(&disk, LogId::new(4, 5));
}

/// The power goes at every change that the log's step makes, with any of what was not synced kept or lost.
fn cut_everywhere(disk: &MemoryDisk, new: LogId) {
    let old = LogId::new(2, 4);
    let cuts = Cell::new(0);
    for after in 0.. {
        let mut whole = false;
        for seed in 0..6 {
            let disk = disk.duplicate();
            disk.cut_power_at(disk.changes() + after);
            whole = become_only_voter(disk.clone(), NodeId(1), Term(0), options()).is_ok();
            disk.crash(seed);
            let held = Holdings::on(disk.clone()).unwrap();
            assert_eq!(held.flaw(NodeId(1)), None, "cut at {after}, seed {seed}");
            let voters = if held.last() == new { 1 } else { 3 };
            assert_eq!(held.members.voters.len(), voters, "cut at {after}, seed {seed}");
            assert!(held.last() == new || held.last() == old, "cut at {after}, seed {seed}: {held:?}");
            assert!(!whole || held.last() == new, "it was durable, and is lost");
            // Once more, over what is there.
            let entry = become_only_voter(disk.clone(), NodeId(1), Term(0), options()).unwrap();
            let held = Holdings::on(disk.clone()).unwrap();
            assert_eq!((held.last(), held.members_at, held.last().index), (entry, entry, Index(5)));
            assert_eq!(held.members, Members::founder(NodeId(1), contact(1)));
            assert_eq!(become_only_voter(disk.clone(), NodeId(1), Term(0), options()).unwrap(), entry);
            assert!(leads(disk, NodeId(1)), "cut at {after}, seed {seed}");
            cuts.set(cuts.get() + 1);
        }
        if whole {
            break;
        }
    }
    assert!(cuts.get() > 6 * 10, "{} cuts are too few to have met every step", cuts.get());
}

#[test]
fn the_plan_names_the_most_ahead_and_what_may_be_lost() {
    let folder = Folder::new();
    let of =
        |paths: &[&Path]| -> Vec<Survivor> { paths.iter().map(|path| Survivor::at(path).unwrap()).collect() };
    let (one, two) = (folder.node(1, &[1, 2, 2]), folder.node(2, &[1, 1, 1, 1]));
    let before = (content(&one), content(&two));

    let both = of(&[&two, &one]);
    let plan = Plan::of(&both, &BTreeSet::new());
    assert_eq!(plan.best.map(|best| best.node()), Some(NodeId(1)), "the later term, not the longer log");
    assert_eq!((plan.missing.clone(), plan.loss), (vec![NodeId(3)], Loss::QuorumIsThere));
    let alone = of(&[&one]);
    let plan = Plan::of(&alone, &BTreeSet::new());
    assert_eq!((plan.missing.clone(), plan.loss), (vec![NodeId(2), NodeId(3)], Loss::Unknown));
    let plan = Plan::of(&alone, &BTreeSet::from([NodeId(2)]));
    assert_eq!(plan.loss, Loss::QuorumIsThere, "one that answers counts");
    assert_eq!((content(&one), content(&two)), before, "a plan changes nothing");
    drop((both, alone));

    // Of four voters two are left: the other two are no majority.
    let four = |node| Identity { node: NodeId(node), cluster: CLUSTER, history: HISTORY };
    let five = folder.node_of(four(5), members(&[5, 6, 7, 8]), &[1]);
    let mut with_learner = members(&[5, 6, 7, 8]);
    with_learner.learners.insert(NodeId(9), Learner::Standing);
    with_learner.contacts.insert(NodeId(9), contact(9));
    let six = folder.node_of(four(6), with_learner, &[1]);
    let pair = of(&[&five, &six]);
    assert_eq!(Plan::of(&pair, &BTreeSet::new()).loss, Loss::Nothing);
}

/// Its leader added a voter, was cut off, and nobody knows whether that came to be.
#[test]
fn a_change_that_may_not_have_come_to_be_does_not_decide_what_is_lost() {
    let folder = Folder::new();
    let (one, two) = (folder.node(1, &[1, 2]), folder.node(2, &[1, 2]));
    let four = folder.node(4, &[1]);
    {
        let (mut storage, _) = Storage::open(FileDisk::new(&one), options()).unwrap();
        let change =
            Entry { id: LogId::new(2, 4), payload: Payload::Members(Box::new(members(&[1, 2, 3, 4]))) };
        let write = Write {
            id: WriteId(1),
            hard: None,
            commit_hint: Index(0),
            install: None,
            truncate_from: None,
            repair: Vec::new(),
            append: vec![change],
            compact_to: None,
        };
        storage.perform(vec![Job::Write(write).into()]).unwrap();
    }
    let of = |paths: &[&Path]| -> Loss {
        let survivors: Vec<Survivor> = paths.iter().map(|path| Survivor::at(path).unwrap()).collect();
        Plan::of(&survivors, &BTreeSet::new()).loss
    };
    assert_eq!(of(&[&one, &four]), Loss::Unknown, "2 and 3 may have gone on without the change");
    assert_eq!(of(&[&one, &two]), Loss::Nothing, "two of four, and of three");
    assert_eq!(of(&[&one, &two, &four]), Loss::QuorumIsThere);
}

#[test]
fn a_survivor_that_lost_the_end_of_its_log_counts_as_missing() {
    let folder = Folder::new();
    let (one, two) = (folder.node(1, &[1, 2, 2]), folder.node(2, &[1, 2, 2]));
    cut_off_the_end(&two);
    let survivors = [&one, &two].map(|path| Survivor::at(path).unwrap());
    let plan = Plan::of(&survivors, &BTreeSet::new());
    assert_eq!((plan.best.map(Survivor::node), plan.loss), (Some(NodeId(1)), Loss::Unknown));
    drop(survivors);
    let (code, error) = refused(&order(&one, &[&two]), &folder);
    assert!(matches!(error, ApplyError::SurvivorUnreadable { .. }), "{code} {error}");
}

/// A membership that only this node has a part in needs no recovery.
#[test]
fn a_node_that_is_alone_anyway_is_told_so() {
    let folder = Folder::new();
    let identity = Identity { node: NodeId(1), cluster: CLUSTER, history: HISTORY };
    let one = folder.node_of(identity, members(&[1]), &[1]);
    assert_eq!(applied(&order(&one, &[])).unwrap(), Applied::AlreadyAlone(identity));
}
