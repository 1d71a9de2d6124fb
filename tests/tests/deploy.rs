//! What is shipped to run nodes: units, packages, images, manifests. Whether others accept these files,
//! `tests/packages/` finds out; this is about what only Quorate knows.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quorate_tests::program::Program;

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/deploy")
}

fn read(name: &str) -> String {
    fs::read_to_string(deploy().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What of a file is no comment.
fn without_comments(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n")
}

/// A wiped disk must not found an empty cluster at an old address.
#[test]
fn nothing_that_runs_again_founds_a_cluster() {
    for name in [
        "systemd/quorate.service",
        "compose/compose.yaml",
        "kubernetes/quorate.yaml",
        "container/Containerfile",
    ] {
        let lowercase = without_comments(&read(name)).to_lowercase();
        assert!(lowercase.contains("serve") || lowercase.contains("quorate_"), "{name} is another file");
        assert!(!lowercase.contains("bootstrap"), "{name} founds a cluster");
    }
    assert!(without_comments(&read("kubernetes/found.yaml")).contains("args: [bootstrap]"));
}

/// Packages and images carry the licences of all that is in the program, its every crate's.
#[test]
fn the_licences_of_others_go_along() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("licences");
    let made = Command::new(deploy().join("licenses")).arg(&file).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let text = fs::read_to_string(&file).unwrap();
    for crate_name in ["hyper", "ring", "rustls", "tokio"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{crate_name} "))), "{crate_name}");
    }
    for told in ["the Rust standard library", "Permission is hereby granted", "Apache License", "LLVM"] {
        assert!(text.contains(told), "{told}");
    }
    assert!(!text.lines().any(|line| line.starts_with("quorate-")), "what is ours is no other's");
}

/// Whoever has the CA's key can make a node of the cluster: it stays where certificates are made.
#[test]
fn the_key_of_the_ca_lies_on_no_node() {
    let install = fs::read_to_string(deploy().join("../../docs/INSTALL.md")).unwrap();
    let folders: BTreeSet<&str> =
        install.split("certs dev ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    assert_eq!(folders, BTreeSet::from(["pki"]), "where a CA is made");
    for name in ["compose/compose.yaml", "kubernetes/quorate.yaml", "kubernetes/found.yaml"] {
        let text = read(name);
        assert!(!text.contains("pki/") && !text.contains("ca.key"), "{name} takes it along");
    }
    let given = install.lines().filter(|line| line.contains("cp ") || line.contains("--from-file"));
    for line in given {
        assert!(!line.contains("ca.key") && !line.contains("pki/*"), "{line}");
    }
}

/// The variables of a text that begin with the program's name.
fn variables(text: &str) -> BTreeSet<String> {
    let part = |character: char| character.is_ascii_uppercase() || character == '_';
    let ends = text.match_indices("QUORATE_").map(|(at, _)| &text[at..]);
    ends.map(|rest| rest.split(|character| !part(character)).next().unwrap().to_owned()).collect()
}

#[test]
fn every_variable_in_a_manifest_is_a_flag() {
    let help: String = ["serve", "status"]
        .iter()
        .map(|command| Program::new(QUORATE, &[command, "--help"]).run().stdout)
        .collect();
    let known: BTreeSet<String> = help
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("--"))
        .map(|flag| format!("QUORATE_{}", flag.replace('-', "_").to_uppercase()))
        // Which image Compose shall take: nothing that a node knows of.
        .chain(["QUORATE_IMAGE".to_owned()])
        .collect();
    for name in ["compose/compose.yaml", "kubernetes/quorate.yaml", "container/Containerfile"] {
        let used = variables(&without_comments(&read(name)));
        assert!(used.contains("QUORATE_DATA_DIR") || used.len() > 10, "{name}: {used:?}");
        let unknown: Vec<_> = used.difference(&known).collect();
        assert!(unknown.is_empty(), "{name} has {unknown:?}");
    }
}

#[test]
fn versions_are_those_of_the_program() {
    for name in ["compose/compose.yaml", "kubernetes/quorate.yaml", "kubernetes/found.yaml"] {
        assert!(read(name).contains(&format!("quorate:{VERSION}")), "{name} is of another version");
    }
    assert!(read("debian/changelog").starts_with(&format!("quorate ({VERSION}-")), "the package's changelog");
}

/// The claim on which the cluster is founded is the one that the first pod gets.
#[test]
fn the_cluster_is_founded_on_the_first_pods_volume() {
    let (pods, founding) = (read("kubernetes/quorate.yaml"), read("kubernetes/found.yaml"));
    let (_, template) = pods.split_once("volumeClaimTemplates:").unwrap();
    let field = |text: &str, name: &str| {
        let rest = text.split_once(&format!("{name}: ")).unwrap().1;
        rest.lines().next().unwrap().trim().to_owned()
    };
    let claim = format!("{}-quorate-0", field(template, "name"));
    assert_eq!(field(&founding, "name"), claim);
    assert!(founding.contains(&format!("claimName: {claim}")), "the job uses another claim");
    assert_eq!(field(&founding, "  resources"), field(template, "  resources"), "the claims differ");
}
