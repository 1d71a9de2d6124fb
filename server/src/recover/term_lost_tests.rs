//! Recoveries of nodes that have lost their term and vote.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use quorate_node::raft::{HardState, Index, Job, LogId, NodeId, Term, Write, WriteId};
use quorate_node::wire::HistoryId;
use quorate_storage::data_dir::{DataDir, DataDirError};
use quorate_storage::{FileDisk, OpenError, Storage, write_term_anew};

use super::apply::{Applied, ApplyError};
use super::apply_tests::{
    CLUSTER, Folder, HISTORY, applied, content, leads, members, options, order, refused, rot_a_value,
    segments,
};
use super::aside::copy_aside;
use super::plan::{Loss, Plan};
use super::survivor::{Holdings, Survivor};
use crate::context::Identity;
use crate::paths::with_suffix;

/// Both files are bad, or both are gone.
fn lose_term(directory: &Path, are_gone: bool) {
    for name in ["stable/a", "stable/b"].map(|name| directory.join(name)) {
        if are_gone { fs::remove_file(name).unwrap() } else { fs::write(name, [0xa5; 512]).unwrap() }
    }
}

/// The best one, how many voters are not found, and what is lost.
fn plan(paths: &[&Path]) -> (u128, usize, Loss) {
    let survivors: Vec<Survivor> = paths.iter().map(|path| Survivor::at(path).unwrap()).collect();
    let plan = Plan::of(&survivors, &BTreeSet::new());
    assert!(plan.ahead.is_none());
    (plan.best.unwrap().node().0, plan.missing.len(), plan.loss)
}

/// It may have voted, and acknowledged, beyond what it shows: for the others it is as good as missing. What its log
/// shows is worth as much as any.
#[test]
fn a_survivor_that_lost_its_term_and_vote_is_the_last_resort() {
    for are_gone in [false, true] {
        let folder = Folder::new();
        let (lost, sound) = (folder.node(1, &[1, 2, 2]), folder.node(2, &[1, 2, 2]));
        let short = folder.node(3, &[1, 2]);
        lose_term(&lost, are_gone);
        let before = content(&lost);
        assert_eq!(plan(&[&lost, &sound]), (2, 1, Loss::Unknown), "two of three are there, and one counts");
        assert_eq!(plan(&[&lost, &short]), (1, 1, Loss::Unknown), "the one that shows more");
        assert_eq!(plan(&[&lost]), (1, 2, Loss::Unknown));
        assert_eq!(content(&lost), before, "a plan changes nothing");

        let (code, error) = refused(&order(&lost, &[&sound]), &folder);
        assert!(matches!(error, ApplyError::SurvivorSounder { .. }) && code == 4, "{error}");
        let (code, error) = refused(&order(&short, &[&lost]), &folder);
        assert!(matches!(error, ApplyError::SurvivorAhead { .. }) && code == 4, "{error}");
        let Applied::Recovered { entry, aside, was_term_lost, .. } =
            applied(&order(&lost, &[&short])).unwrap()
        else {
            panic!("it was not alone")
        };
        assert!(was_term_lost);
        assert_eq!(entry, LogId::new(4, 5), "above a term that is above all in the log");
        assert_eq!(content(&aside.unwrap()), before);
        assert!(leads(FileDisk::new(&lost), NodeId(1)));
        let held = Holdings::in_directory(&lost).unwrap();
        assert!(!held.is_term_lost && (1..=4).all(|index| held.terms.term(Index(index)).is_some()));
        let of_sound = applied(&order(&sound, &[])).unwrap();
        assert!(matches!(of_sound, Applied::Recovered { was_term_lost: false, .. }), "{of_sound:?}");
    }
}

/// It waited to be taken in under a new id, and then those who could have done so were lost for good.
#[test]
fn one_that_was_coming_back_can_be_recovered_from() {
    let folder = Folder::new();
    let lost = folder.node(1, &[1, 2, 2]);
    lose_term(&lost, false);
    DataDir::open(&lost).unwrap().begin_succession(NodeId(9)).unwrap();
    assert_eq!(plan(&[&lost]), (1, 2, Loss::Unknown));
    let Applied::Recovered { identity, .. } = applied(&order(&lost, &[])).unwrap() else {
        panic!("it was not alone")
    };
    assert_eq!(identity.node, NodeId(1));
    assert_eq!(DataDir::open(&lost).unwrap().successor(), None);
    assert!(leads(FileDisk::new(&lost), NodeId(1)));
}

/// It has a term again before it is the only voter. What it lost is lost all the same.
#[test]
fn an_attempt_that_was_interrupted_does_not_make_up_for_the_loss() {
    let folder = Folder::new();
    let (lost, sound) = (folder.node(1, &[1, 2, 2]), folder.node(2, &[1, 2, 2]));
    lose_term(&lost, false);
    let aside = with_suffix(&lost.canonicalize().unwrap(), ".before-recovery-00000000");
    copy_aside(&lost, &aside, &[]).unwrap();
    DataDir::open_for_recovery(&lost).unwrap().begin_recovery(HistoryId(0xe)).unwrap();
    write_term_anew(&FileDisk::new(&lost)).unwrap();
    assert!(!Holdings::in_directory(&lost).unwrap().is_term_lost);
    let (code, error) = refused(&order(&lost, &[&sound]), &folder);
    assert!(matches!(error, ApplyError::SurvivorSounder { .. }) && code == 4, "{error}");
    let Applied::Recovered { was_term_lost, entry, .. } = applied(&order(&lost, &[])).unwrap() else {
        panic!("it was not alone")
    };
    assert_eq!((was_term_lost, entry), (true, LogId::new(4, 5)));
}

/// What the system refuses to open may be sound. Taken for lost, a node would count for less than it is.
#[test]
fn term_and_vote_that_can_not_be_opened_are_not_lost() {
    let folder = Folder::new();
    let (one, two) = (folder.node(1, &[1, 2, 2]), folder.node(2, &[1, 2, 2]));
    for name in ["a", "b"] {
        let path = one.join("stable").join(name);
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(name, path).unwrap();
    }
    let survivor = Survivor::at(&one).unwrap();
    let error = survivor.unread().unwrap().to_string();
    assert!(error.contains("stable/a") && error.contains("try again") && !survivor.is_term_lost(), "{error}");
    drop(survivor);
    let (code, error) = refused(&order(&one, &[]), &folder);
    assert!(code == 1 && matches!(error, ApplyError::Storage(OpenError::Unread { .. })), "{error}");
    let (code, error) = refused(&order(&two, &[&one]), &folder);
    assert!(code == 4 && matches!(error, ApplyError::SurvivorUnreadable { .. }), "{error}");
}

/// A log without a term says little; nothing at all says nothing.
#[test]
fn without_a_log_there_is_nothing_to_tell_a_term_by() {
    for are_gone in [false, true] {
        let folder = Folder::new();
        let nothing = folder.node(1, &[1]);
        lose_term(&nothing, are_gone);
        segments(&nothing).iter().for_each(|path| fs::remove_file(path).unwrap());
        let (code, error) = refused(&order(&nothing, &[]), &folder);
        match Survivor::at(&nothing) {
            Err(DataDirError::StateMissing { .. }) => assert!(are_gone && code == 78, "{code} {error}"),
            seen => assert!(!are_gone && code == 4 && seen.unwrap().flaw().is_some(), "{code} {error}"),
        }
    }
}

/// It shows as much of the log, and can't be gone on with.
#[test]
fn a_sound_term_beside_a_damaged_log_stands_in_nobodys_way() {
    let folder = Folder::new();
    let (lost, damaged) = (folder.node(1, &[1, 2, 2]), folder.node(2, &[1, 2, 2]));
    lose_term(&lost, false);
    rot_a_value(&damaged);
    let survivor = Survivor::at(&damaged).unwrap();
    let held = survivor.holdings.as_ref().unwrap();
    assert!(survivor.flaw().is_some() && held.unknown.is_none() && held.last() == LogId::new(2, 4));
    drop(survivor);
    assert_eq!(plan(&[&lost, &damaged]), (1, 1, Loss::Unknown));
    applied(&order(&lost, &[&damaged])).unwrap();
}

/// Nobody else has a vote, and it can't be started as it is: what it had acknowledged may be gone.
#[test]
fn the_only_voter_begins_a_history_too() {
    let identity = Identity { node: NodeId(1), cluster: CLUSTER, history: HISTORY };
    for (terms, expected) in [(&[][..], LogId::new(3, 2)), (&[1, 1], LogId::new(3, 4))] {
        let folder = Folder::new();
        let one = folder.node_of(identity, members(&[1]), terms);
        lose_term(&one, false);
        assert_eq!(plan(&[&one]), (1, 0, Loss::Unknown));
        let Applied::Recovered { identity: after, entry, .. } = applied(&order(&one, &[])).unwrap() else {
            panic!("it can't be started")
        };
        assert_eq!(entry, expected, "behind all of its log, in a term of its own");
        assert_ne!(after.history, HISTORY);
        assert!(leads(FileDisk::new(&one), NodeId(1)));
        assert_eq!(applied(&order(&one, &[])).unwrap(), Applied::AlreadyAlone(after));
    }
}

/// Whoever compares the logs afterwards must not find one id twice.
#[test]
fn the_new_term_is_above_those_of_the_other_survivors() {
    let folder = Folder::new();
    let (one, two) = (folder.node(1, &[1, 2, 2]), folder.node(2, &[1]));
    // It called for votes, and nobody answered.
    let (mut storage, _) = Storage::open(FileDisk::new(&two), options()).unwrap();
    let write = Write {
        id: WriteId(1),
        hard: Some(HardState { term: Term(9), vote: Some(NodeId(2)) }),
        commit_hint: Index(0),
        install: None,
        truncate_from: None,
        repair: Vec::new(),
        append: Vec::new(),
        compact_to: None,
    };
    storage.perform(vec![Job::Write(write).into()]).unwrap();
    drop(storage);
    lose_term(&one, true);
    let Applied::Recovered { entry, .. } = applied(&order(&one, &[&two])).unwrap() else {
        panic!("it was not alone")
    };
    assert_eq!(entry, LogId::new(10, 5));
}
