//! The copy of the code that bugs are put into, with a target directory of its own.
//!
//! Only what differs is written: what cargo has built of the rest stays good.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::bug::Bug;

/// How the simulator is built: the fastest way to a program that is fast enough.
const PROFILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
    ("CARGO_INCREMENTAL", "1"),
];

/// A copy of what git knows of the code, in the state it has on the disk.
pub(super) struct Scratch {
    /// Held as long as this is: two at once would patch the same files.
    _lock: File,
    root: PathBuf,
    tree: PathBuf,
    target: PathBuf,
}

impl Scratch {
    /// Brings the copy up to date, or makes it.
    ///
    /// # Errors
    /// What could not be read or written.
    pub(super) fn of(root: &Path) -> Result<Scratch, String> {
        let folder = root.join("target/zoo");
        let (tree, target) = (folder.join("tree"), folder.join("target"));
        let failed = |error| format!("{}: {error}", folder.display());
        fs::create_dir_all(&tree).map_err(failed)?;
        let lock = File::create(folder.join("lock")).map_err(failed)?;
        lock.try_lock()
            .map_err(|error| format!("{}: {error}: does another cargo zoo run?", folder.display()))?;
        let copy = Scratch { _lock: lock, root: root.to_owned(), tree, target };
        let listed = run(Command::new("git").current_dir(root).args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]))?;
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        let names: BTreeSet<&str> = names.split('\0').filter(|name| root.join(name).is_file()).collect();
        names.iter().try_for_each(|name| copy.refresh(name))?;
        copy.remove_others(&copy.tree, &names)?;
        Ok(copy)
    }

    /// Copies a file when it is another.
    fn refresh(&self, name: &str) -> Result<(), String> {
        let (from, to) = (self.root.join(name), self.tree.join(name));
        let failed = |error| format!("{} can't be copied: {error}", from.display());
        let content = fs::read(&from).map_err(failed)?;
        if fs::read(&to).is_ok_and(|there| there == content) {
            return Ok(());
        }
        to.parent().map_or(Ok(()), fs::create_dir_all).map_err(failed)?;
        fs::write(&to, content).map_err(failed)
    }

    /// Removes files that the code does not have any more.
    fn remove_others(&self, folder: &Path, names: &BTreeSet<&str>) -> Result<(), String> {
        let failed = |error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                self.remove_others(&path, names)?;
            } else if !path
                .strip_prefix(&self.tree)
                .is_ok_and(|name| names.contains(&*name.to_string_lossy()))
            {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Whether the bug's patch applies.
    ///
    /// # Errors
    /// What git has to say.
    pub(super) fn check(&self, bug: &Bug) -> Result<(), String> {
        self.apply(bug, &["--check"])
    }

    /// Builds the simulator without any bug; its path.
    ///
    /// # Errors
    /// What the compiler has to say.
    pub(super) fn build_sound(&self) -> Result<PathBuf, String> {
        let (built, kept) = (self.build()?, self.target.join("sound-sim"));
        // The next one built takes its place.
        fs::copy(&built, &kept).map_err(|error| format!("{}: {error}", kept.display()))?;
        Ok(kept)
    }

    /// Puts the bug in and builds the simulator; its path.
    ///
    /// # Errors
    /// What git or the compiler has to say. The copy is mended then.
    pub(super) fn build_with(&self, bug: &Bug) -> Result<PathBuf, String> {
        self.apply(bug, &[])?;
        self.build().or_else(|error| {
            self.mend(bug)?;
            Err(format!("bug {} does not build: {error}", bug.number))
        })
    }

    fn build(&self) -> Result<PathBuf, String> {
        let arguments =
            ["build", "--locked", "--quiet", "--release", "--package", "quorate-sim", "--bin", "sim"];
        let mut cargo = Command::new("cargo");
        cargo.current_dir(&self.tree).args(arguments).arg("--target-dir").arg(&self.target).envs(PROFILE);
        run(&mut cargo)?;
        Ok(self.target.join("release/sim"))
    }

    /// Takes the bug out again.
    ///
    /// # Errors
    /// What could not be written.
    pub(super) fn mend(&self, bug: &Bug) -> Result<(), String> {
        bug.files.iter().try_for_each(|name| {
            if self.root.join(name).is_file() {
                return self.refresh(name);
            }
            // The bug has a file of its own.
            fs::remove_file(self.tree.join(name)).map_err(|error| format!("{name}: {error}"))
        })
    }

    fn apply(&self, bug: &Bug, how: &[&str]) -> Result<(), String> {
        let mut git = Command::new("git");
        // The copy lies inside a repository that it is no part of.
        git.current_dir(&self.tree).env("GIT_CEILING_DIRECTORIES", self.tree.parent().unwrap_or(&self.tree));
        git.arg("apply").args(how).arg(&bug.path);
        run(&mut git).map(drop).map_err(|error| format!("bug {} does not apply: {error}", bug.number))
    }
}

/// Runs a command to its end; what it said when it failed.
fn run(command: &mut Command) -> Result<Output, String> {
    let output = command.output().map_err(|error| format!("{command:?} could not be started: {error}"))?;
    if output.status.success() {
        return Ok(output);
    }
    Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
}
