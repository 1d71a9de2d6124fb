//! What systemd is told of this process (sd_notify(3)); nobody, where it did not start it.
//!
//! Ready is a node that serves: one that joins, or mends its checkpoints, is not yet. Whether it has a leader and has
//! caught up is what `/readyz` says: the first node of a cluster that is started again must not wait for the second one
//! before its start counts as done.

use std::sync::atomic::{AtomicBool, Ordering};

use sd_notify::NotifyState;

/// Whether the node serves: only then does a reload begin and end.
static SERVES: AtomicBool = AtomicBool::new(false);

/// It serves.
pub(crate) fn ready() {
    SERVES.store(true, Ordering::Relaxed);
    tell(&[NotifyState::Ready, NotifyState::Status("serves")]);
}

/// It runs, and does not serve yet.
pub(crate) fn starting() {
    tell(&[NotifyState::Status("not ready yet: opens its data dir, joins, or mends its checkpoints")]);
}

/// It ends.
pub(crate) fn stopping() {
    SERVES.store(false, Ordering::Relaxed);
    tell(&[NotifyState::Stopping, NotifyState::Status("hands over, and finishes the requests that it has")]);
}

/// Does what a reload is, and says when it begins and ends.
pub(crate) fn while_reloading(reload: impl FnOnce()) {
    if !SERVES.load(Ordering::Relaxed) {
        return reload();
    }
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
    reload();
    if SERVES.load(Ordering::Relaxed) {
        ready();
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
