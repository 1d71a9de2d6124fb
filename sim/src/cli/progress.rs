//! How far a campaign is: a bar on a terminal, a line now and then elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is printed where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);

/// Shows how far a campaign is.
pub(super) struct Progress {
    bar: ProgressBar,
    seeds: u64,
    done: u64,
    failed: u64,
    started: Instant,
    /// When the last line was printed, where there is no terminal.
    line: Option<Instant>,
}

impl Progress {
    pub(super) fn new(seeds: u64) -> Self {
        let terminal = stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(seeds), target);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} seeds, {msg}, {eta} left");
        bar.set_style(style.expect("the template is one that indicatif knows"));
        let started = Instant::now();
        Progress { bar, seeds, done: 0, failed: 0, started, line: (!terminal).then_some(started) }
    }

    /// One more seed is done.
    pub(super) fn step(&mut self, failed: bool) {
        self.done += 1;
        self.failed += u64::from(failed);
        let rate = self.done as f64 / self.started.elapsed().as_secs_f64().max(0.001);
        let message = format!("{rate:.1} seeds/s, {} failed", self.failed);
        if let Some(last) = &mut self.line
            && last.elapsed() >= LINE_EVERY
        {
            *last = Instant::now();
            eprintln!("{}/{} seeds, {message}", self.done, self.seeds);
        }
        self.bar.set_message(message);
        self.bar.inc(1);
    }

    /// Prints a line without tearing the bar.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
