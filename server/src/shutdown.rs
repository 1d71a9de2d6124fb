//! How the parts of a server hear that it ends, and how it hears that they have ended.

use crate::watch;

/// A signal that is given once, and a count of those who still have work. Clones share both.
#[derive(Clone, Debug)]
pub struct Shutdown {
    begun: watch::Sender<bool>,
    guards: watch::Sender<usize>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown { begun: watch::Sender::new(false), guards: watch::Sender::new(0) }
    }
}

impl Shutdown {
    /// Gives the signal. Again is harmless.
    pub fn begin(&self) {
        self.begun.replace(true);
    }

    /// Whether the signal was given.
    pub fn has_begun(&self) -> bool {
        self.begun.current()
    }

    /// Ready once the signal was given.
    pub async fn begun(&self) {
        let mut receiver = self.begun.subscribe();
        // Can't fail: `self` holds the sender.
        let _ = receiver.wait_for(|begun| *begun).await;
    }

    /// Somebody has work that should be finished first (an open connection, say), until the guard is dropped.
    pub fn guard(&self) -> ShutdownGuard {
        self.guards.change(|count| *count += 1);
        ShutdownGuard { guards: self.guards.clone() }
    }

    /// Ready while nobody holds a guard.
    pub async fn drained(&self) {
        let mut receiver = self.guards.subscribe();
        let _ = receiver.wait_for(|count| *count == 0).await;
    }
}

/// Held while work goes on that a shutdown should wait for.
#[derive(Debug)]
pub struct ShutdownGuard {
    guards: watch::Sender<usize>,
}

impl Drop for ShutdownGuard {
    fn drop(&mut self) {
        self.guards.change(|count| *count -= 1);
    }
}
