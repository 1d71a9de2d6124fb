//! How far something is that takes long.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::output;

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(2);

/// A bar on a terminal, a line now and then elsewhere.
pub(crate) struct Progress {
    bar: ProgressBar,
    total: u64,
    done: u64,
    /// What is being done to the bytes, in the past tense.
    what: &'static str,
    /// When the last line was printed, where there is no terminal.
    line: Option<Instant>,
}

impl Progress {
    /// Of so many bytes.
    pub(crate) fn new(total: u64, what: &'static str) -> Self {
        let terminal = stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style =
            ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left");
        bar.set_style(style.expect("the template is one that indicatif knows"));
        Progress { bar, total, done: 0, what, line: (!terminal).then(Instant::now) }
    }

    /// So many bytes were there before, and say nothing about the speed.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.done += bytes;
        self.bar.set_position(self.done);
        self.bar.reset_eta();
    }

    /// So many more are done.
    pub(crate) fn step(&mut self, bytes: u64) {
        self.done += bytes;
        self.bar.inc(bytes);
        if let Some(last) = &mut self.line
            && last.elapsed() >= LINE_EVERY
        {
            *last = Instant::now();
            output::say(&format!("{} of {} bytes {}", self.done, self.total, self.what));
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
