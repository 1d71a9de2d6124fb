//! Tests of the data dir.

use super::*;
use quorate_raft::NodeId;

fn identity() -> Identity {
    Identity { node: NodeId(7), cluster: Some(ClusterId(8)), history: Some(HistoryId(9)) }
}

fn error(path: &Path) -> DataDirError {
    DataDir::open(path).unwrap_err()
}

#[test]
fn an_empty_directory_becomes_a_nodes() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("made/on/the/way");
    for harmless in ["lost+found", "data.json", "node.toml.tmp"] {
        let directory = DataDir::open(&path).unwrap();
        assert_eq!(directory.identity(), None, "before {harmless}");
        fs::write(path.join(harmless), "{}").unwrap();
    }
    let joining = Identity { cluster: None, history: None, ..identity() };
    let mut directory = DataDir::open(&path).unwrap();
    directory.identify(joining).unwrap();
    drop(directory);
    let mut directory = DataDir::open(&path).unwrap();
    assert_eq!(directory.identity(), Some(&joining));
    begin_storage(&path);
    directory.identify(identity()).unwrap();
    drop(directory);
    assert_eq!(DataDir::open(&path).unwrap().identity(), Some(&identity()));
}

/// What storage leaves at its first open, as far as it matters here.
fn begin_storage(path: &Path) {
    fs::create_dir_all(path.join(STABLE)).unwrap();
    fs::write(path.join(STABLE).join("a"), "term and vote").unwrap();
}

#[test]
fn a_member_without_term_and_vote_is_not_a_newcomer() {
    let root = tempfile::tempdir().unwrap();
    DataDir::open(root.path()).unwrap().identify(identity()).unwrap();
    assert!(matches!(error(root.path()), DataDirError::StateMissing { .. }));
    fs::create_dir(root.path().join(STABLE)).unwrap();
    let refused = error(root.path());
    assert!(matches!(refused, DataDirError::StateMissing { cluster: ClusterId(8), .. }));
    assert!(refused.to_string().contains("stable"));
    fs::write(root.path().join(STABLE).join("b"), [0; 512]).unwrap();
    assert!(matches!(error(root.path()), DataDirError::StateMissing { .. }), "files of zeros");
    begin_storage(root.path());
    assert!(DataDir::open(root.path()).is_ok());
}

#[test]
fn a_second_process_is_refused_and_told_who_is_first() {
    let root = tempfile::tempdir().unwrap();
    let _first = DataDir::open(root.path()).unwrap();
    let refused = error(root.path());
    assert!(matches!(refused, DataDirError::Locked { pid: Some(pid), .. } if pid == std::process::id()));
    assert!(refused.to_string().contains(&std::process::id().to_string()));
}

#[test]
fn a_foreign_directory_is_named() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("thesis.doc"), "").unwrap();
    let refused = error(root.path());
    assert!(matches!(&refused, DataDirError::Foreign { entry, .. } if entry == "thesis.doc"));
    assert!(refused.to_string().contains(&root.path().display().to_string()));
}

#[test]
fn a_path_that_is_no_writable_directory_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let refused = error(&path);
        assert!(matches!(refused, DataDirError::Unusable { .. }), "{refused}");
        assert!(refused.to_string().contains(&file.display().to_string()));
    }
}

#[test]
fn a_node_file_that_is_lost_or_rotten_is_never_an_empty_directory() {
    let root = tempfile::tempdir().unwrap();
    DataDir::open(root.path()).unwrap().identify(identity()).unwrap();
    let node = root.path().join(NODE);
    let good = fs::read(&node).unwrap();
    fs::write(&node, &good[1..]).unwrap();
    assert!(matches!(error(root.path()), DataDirError::NodeFileDamaged { .. }));
    fs::remove_file(&node).unwrap();
    for remains in OF_A_NODE {
        let _ = fs::remove_file(root.path().join(VERSION));
        fs::write(root.path().join(remains), VERSION_TEXT).unwrap();
        let refused = error(root.path());
        assert!(matches!(&refused, DataDirError::NodeFileMissing { entry, .. } if entry == remains));
        fs::remove_file(root.path().join(remains)).unwrap();
    }
}

#[test]
fn another_releases_directory_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let joining = Identity { cluster: None, history: None, ..identity() };
    DataDir::open(root.path()).unwrap().identify(joining).unwrap();
    let version = root.path().join(VERSION);
    fs::write(&version, "quorate 2\n").unwrap();
    let refused = error(root.path());
    assert!(matches!(&refused, DataDirError::UnknownVersion { found, .. } if found == "quorate 2\n"));
    // What a newer release says of a node is its own business.
    let node = fs::read(root.path().join(NODE)).unwrap();
    fs::write(root.path().join(NODE), "node = 7").unwrap();
    assert!(matches!(error(root.path()), DataDirError::UnknownVersion { .. }));
    fs::write(root.path().join(NODE), node).unwrap();
    // A crash right after node.toml: there is nothing of storage yet.
    fs::remove_file(&version).unwrap();
    assert!(DataDir::open(root.path()).is_ok());
    assert_eq!(fs::read(&version).unwrap(), VERSION_TEXT.as_bytes());
    assert_eq!(VERSION_TEXT, format!("quorate {FORMAT_VERSION}\n"));
    fs::remove_file(&version).unwrap();
    fs::create_dir(root.path().join("log")).unwrap();
    assert!(matches!(error(root.path()), DataDirError::UnknownVersion { .. }));
}

/// A recovery can do without term and vote where there is a log; without both nothing is left.
#[test]
fn a_recovery_needs_a_log_or_term_and_vote() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(VERSION), VERSION_TEXT).unwrap();
    fs::write(root.path().join(NODE), NodeFile::new(identity()).encode()).unwrap();
    let refused = DataDir::open_for_recovery(root.path());
    assert!(matches!(refused, Err(DataDirError::StateMissing { cluster: ClusterId(8), .. })), "{refused:?}");
    fs::create_dir(root.path().join("log")).unwrap();
    fs::write(root.path().join("log/00000001.spare"), "").unwrap();
    assert!(DataDir::open_for_recovery(root.path()).is_err(), "a spare is no log");
    fs::write(root.path().join("log/00000001.log"), "").unwrap();
    assert!(DataDir::open_for_recovery(root.path()).is_ok());
}

#[test]
fn a_recovery_that_was_begun_can_only_be_gone_on_with() {
    let root = tempfile::tempdir().unwrap();
    assert!(matches!(DataDir::open_for_recovery(root.path()), Err(DataDirError::NoMember { .. })));
    begin_storage(root.path());
    fs::write(root.path().join(VERSION), VERSION_TEXT).unwrap();
    fs::write(root.path().join(NODE), NodeFile::new(identity()).encode()).unwrap();
    let new = HistoryId(10);
    let mut directory = DataDir::open_for_recovery(root.path()).unwrap();
    assert_eq!(directory.recovering(), None);
    directory.begin_recovery(new).unwrap();
    drop(directory);

    let refused = error(root.path());
    assert!(matches!(refused, DataDirError::RecoveryUnfinished { cluster: ClusterId(8), .. }));
    assert!(refused.to_string().contains("quorate recover apply"), "{refused}");
    let mut directory = DataDir::open_for_recovery(root.path()).unwrap();
    assert_eq!((directory.recovering(), directory.identity()), (Some(new), Some(&identity())));
    let recovered = Identity { history: Some(new), ..identity() };
    directory.identify(recovered).unwrap();
    drop(directory);
    assert_eq!(DataDir::open(root.path()).unwrap().identity(), Some(&recovered));
}

#[test]
fn data_json_is_put_aside_once() {
    let root = tempfile::tempdir().unwrap();
    let directory = DataDir::open(root.path()).unwrap();
    assert_eq!(directory.data_json().unwrap(), None);
    directory.retire_data_json().unwrap();
    fs::write(root.path().join(DATA_JSON), "{}").unwrap();
    assert_eq!(directory.data_json().unwrap(), Some(b"{}".to_vec()));
    directory.retire_data_json().unwrap();
    directory.retire_data_json().unwrap();
    assert_eq!(directory.data_json().unwrap(), None);
    assert!(root.path().join(IMPORTED).exists());
}

/// What can't be read is not what is not there: a node must not begin anew because of it.
#[test]
fn what_can_not_be_read_is_not_taken_for_absent() {
    let root = tempfile::tempdir().unwrap();
    let directory = DataDir::open(root.path()).unwrap();
    directory.retire_data_json().unwrap();
    for name in [DATA_JSON, NODE, VERSION] {
        fs::create_dir(root.path().join(name)).unwrap();
    }
    let unusable = |error: Option<DataDirError>| matches!(error, Some(DataDirError::Unusable { .. }));
    assert!(unusable(directory.data_json().err()));
    assert!(unusable(read_node_file(root.path()).err()));
    assert!(unusable(has_version(root.path()).err()));
    fs::create_dir_all(root.path().join(IMPORTED).join("full")).unwrap();
    assert!(unusable(directory.retire_data_json().err()));
}
