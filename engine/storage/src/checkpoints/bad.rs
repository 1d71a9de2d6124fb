//! Runs that were found bad, and that a kept checkpoint names.

use std::collections::BTreeSet;

use quorate_wire::checkpoint::RunRef;

use super::Described;

/// What reading at rest has found, round by round. What the last round found counts until this one has come to its end:
/// it is bad whether it has been read again or not.
#[derive(Default)]
pub(super) struct BadRuns {
    found: BTreeSet<RunRef>,
    before: BTreeSet<RunRef>,
}

impl BadRuns {
    /// A round begins: what has not been mended since the last one is said once more.
    pub(super) fn begin_round(&mut self) {
        self.before = std::mem::take(&mut self.found);
    }

    /// Everything has been read again.
    pub(super) fn end_round(&mut self) {
        self.before.clear();
    }

    /// Notes a run; whether that is news in this round.
    pub(super) fn note(&mut self, run: RunRef) -> bool {
        self.found.insert(run)
    }

    /// Whether a run is bad.
    pub(super) fn contains(&self, run: &RunRef) -> bool {
        self.found.contains(run) || self.before.contains(run)
    }

    /// Whether a run of this checkpoint is.
    pub(super) fn spoil(&self, described: &Described) -> bool {
        described.manifest.runs.iter().any(|run| self.contains(run))
    }

    /// All runs of this checkpoint have just been written or verified.
    pub(super) fn forget(&mut self, described: &Described) {
        for runs in [&mut self.found, &mut self.before] {
            runs.retain(|run| !described.manifest.runs.contains(run));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It counts until it has been read again, and no longer: the file may be another by then.
    #[test]
    fn what_was_bad_in_one_round_and_sound_in_the_next_is_good() {
        let run = RunRef { digest: [7; 32], bytes: 9 };
        let mut bad = BadRuns::default();
        assert!(bad.note(run) && !bad.note(run), "news once a round");
        bad.begin_round();
        assert!(bad.contains(&run), "not read again yet");
        bad.end_round();
        assert!(!bad.contains(&run));
        assert!(bad.note(run));
    }
}
