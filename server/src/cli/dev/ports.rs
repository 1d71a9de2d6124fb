//! The ports of an earlier run on the same folder.
//!
//! Nodes know each other by their addresses, which stand in their log. When all of them move at once, none finds the
//! others to tell them, and no leader is ever elected. So the folder remembers where its nodes live.

use crate::cli::exit::{Exit, Failure};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The port to use: the one given, unless nodes live in the folder and know each other by another one. With 0 it is
/// theirs; without nodes it stays 0.
pub(crate) fn of_nodes_in(folder: &Path, given: u16) -> Result<u16, Failure> {
    let file = file(folder);
    // Without a first node there is nothing to remember: the run before ended before it began.
    let has_nodes = folder.join("node-1").join("node.toml").exists();
    let text = match std::fs::read_to_string(&file) {
        Ok(text) if has_nodes => text,
        Ok(_) => return Ok(given),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(given),
        Err(error) => return Err(unusable(&file, &error.to_string())),
    };
    let known = match text.trim().parse() {
        Ok(port) if port > 0 => port,
        _ => return Err(unusable(&file, &format!("{text:?} is no port"))),
    };
    if given == 0 || given == known {
        return Ok(known);
    }
    let folder = folder.display();
    Err(Failure::Ended(
        Exit::BadConfiguration,
        format!(
            "the nodes in {folder} know each other by ports from {known} on, and would not find each other from \
             {given} on: give --port {known}, or another --data-dir"
        ),
    ))
}

/// Remembers where the nodes live, before the first one does.
pub(crate) fn remember(folder: &Path, first: u16) -> Result<(), Failure> {
    let file = file(folder);
    std::fs::write(&file, format!("{first}\n")).map_err(|error| unusable(&file, &error.to_string()))
}

fn file(folder: &Path) -> PathBuf {
    folder.join("first-port")
}

fn unusable(file: &Path, reason: &str) -> Failure {
    Failure::Ended(
        Exit::BadConfiguration,
        format!("{} can't be used: {reason}; it holds the first node's HTTP port", file.display()),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    fn refusal(folder: &Path, given: u16) -> String {
        match of_nodes_in(folder, given).unwrap_err() {
            Failure::Ended(Exit::BadConfiguration, message) => message,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nodes_stay_where_they_know_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert_eq!(of_nodes_in(folder, 8080).unwrap(), 8080);
        remember(folder, 8080).unwrap();
        assert_eq!(of_nodes_in(folder, 9000).unwrap(), 9000, "no node lives there yet");

        std::fs::create_dir(folder.join("node-1")).unwrap();
        std::fs::write(folder.join("node-1").join("node.toml"), "").unwrap();
        assert_eq!(of_nodes_in(folder, 8080).unwrap(), 8080);
        assert_eq!(of_nodes_in(folder, 0).unwrap(), 8080);
        let message = refusal(folder, 9000);
        assert!(message.contains("--port 8080") && message.contains("9000"), "{message}");

        std::fs::write(file(folder), "zebra\n").unwrap();
        assert!(refusal(folder, 8080).contains("first-port can't be used"), "names the file");
    }
}
