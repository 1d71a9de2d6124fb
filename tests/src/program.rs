//! The program under test as a process: run to its end, or left running with its output in files.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::deadline::{PATIENCE, wait_until};

/// The variables that would change what the program does, were they set where the tests run.
const FOREIGN_VARIABLES: [&str; 5] = ["PORT", "HOST", "RAFT_PORT", "RAFT_LEADER", "STORAGE_PATH"];

/// A command line of the program, not yet started.
#[derive(Debug)]
pub struct Program {
    command: Command,
}

/// What a run to the end left.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Program {
    /// The program at `path` with these arguments, in an environment without the variables that it reads.
    pub fn new(path: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("QUORATE_")
                || name.starts_with("OTEL_")
                || FOREIGN_VARIABLES.contains(&name.as_ref())
            {
                command.env_remove(name.as_ref());
            }
        }
        Self { command }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it can't be started, or is still running after [`PATIENCE`].
    #[track_caller]
    pub fn run(self) -> Finished {
        let folder = tempfile::tempdir().expect("the system has room for a temporary folder");
        let what = format!("{:?} to end", self.command);
        let mut running = self.start(folder.path(), "run");
        let status = running.wait(&what, PATIENCE);
        Finished { code: status.code(), stdout: running.stdout(), stderr: running.stderr() }
    }

    /// Starts it, with its output going to `<name>.stdout` and `<name>.stderr` in `folder`, after what is there.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn start(mut self, folder: &Path, name: &str) -> Running {
        let (stdout, stderr) = (folder.join(format!("{name}.stdout")), folder.join(format!("{name}.stderr")));
        let child = self
            .command
            .stdout(append_to(&stdout))
            .stderr(append_to(&stderr))
            .spawn()
            .unwrap_or_else(|error| panic!("{:?} could not be started: {error}", self.command));
        Running { child, stdout, stderr }
    }

    /// As [`Self::start`], and the process ends with this one, even if this one is killed.
    ///
    /// # Panics
    /// When it can't be started.
    #[track_caller]
    pub fn start_tied(mut self, folder: &Path, name: &str) -> Running {
        self.command.env("QUORATE_TEST_TIED", "1").stdin(Stdio::piped());
        self.start(folder, name)
    }
}

fn append_to(path: &Path) -> File {
    File::options().create(true).append(true).open(path).expect("a temporary folder is writable")
}

/// A process that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to its standard output so far.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours can be waited for")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it is still running after `limit`.
    #[track_caller]
    pub fn wait(&mut self, what: &str, limit: Duration) -> ExitStatus {
        wait_until(what, limit, || self.ended())
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself: then there is nothing left to kill, and the wait reports that.
        let _ = self.child.kill();
        self.child.wait().expect("a child of ours can be waited for");
    }

    /// Asks it to end as a service manager does.
    pub fn terminate(&self) {
        signal("TERM", self.pid());
    }

    /// Stops it in its tracks, as if the machine had hung; [`Self::resume`] lets it go on.
    pub fn pause(&self) {
        signal("STOP", self.pid());
    }

    /// Lets a paused process go on.
    pub fn resume(&self) {
        signal("CONT", self.pid());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process; `std` alone can send no other than KILL, and to none but its children.
///
/// # Panics
/// When there is no such process.
#[track_caller]
pub fn signal(name: &str, pid: u32) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status();
    assert!(status.is_ok_and(|status| status.success()), "could not send SIG{name} to process {pid}");
}

/// Whether a process of this id is running (a zombie is not).
pub fn is_running(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with(['Z', 'X']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reports_its_code_and_output() {
        let finished = Program::new("sh", &["-c", "echo out; echo err >&2; exit 3"]).run();
        let expected = (Some(3), "out\n", "err\n");
        assert_eq!((finished.code, finished.stdout.as_str(), finished.stderr.as_str()), expected);
    }

    #[test]
    fn a_dropped_process_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let running =
            Program::new("sh", &["-c", "exec cat /dev/zero > /dev/null"]).start(folder.path(), "cat");
        let pid = running.pid();
        assert!(is_running(pid));
        drop(running);
        assert!(!is_running(pid));
    }
}
