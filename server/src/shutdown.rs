//! How the parts of a server hear that it ends, and how it hears that they have ended.

use crate::watch;

/// How far a server is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// It stays.
    Serving,
    /// It serves on, but asks whoever talks to it to look for another node next time.
    Leaving,
    /// It takes nothing new.
    Ending,
    /// What still waits is given up.
    LastCall,
}

/// A signal that is given in three steps, each once, and a count of those who still have work. Clones share both.
#[derive(Clone, Debug)]
pub struct Shutdown {
    stage: watch::Sender<Stage>,
    guards: watch::Sender<usize>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Shutdown { stage: watch::Sender::new(Stage::Serving), guards: watch::Sender::new(0) }
    }
}

impl Shutdown {
    /// Says that the end is near: connections should not be kept for later. Again is harmless.
    pub fn leave(&self) {
        self.stage.change(|stage| *stage = Stage::Leaving.max(*stage));
    }

    /// Whether the end is near, or has begun.
    pub fn is_leaving(&self) -> bool {
        self.stage.current() >= Stage::Leaving
    }

    /// Gives the signal. Again is harmless.
    pub fn begin(&self) {
        self.stage.change(|stage| *stage = Stage::Ending.max(*stage));
    }

    /// Whether the signal was given.
    pub fn has_begun(&self) -> bool {
        self.stage.current() >= Stage::Ending
    }

    /// Ready once the signal was given.
    pub async fn begun(&self) {
        let mut receiver = self.stage.subscribe();
        // Can't fail: `self` holds the sender.
        let _ = receiver.wait_for(|stage| *stage >= Stage::Ending).await;
    }

    /// Says that there is hardly time left for an answer. Again is harmless.
    pub fn call_last(&self) {
        self.stage.change(|stage| *stage = Stage::LastCall);
    }

    /// Ready once there is hardly time left: who waits for something that may never come says so instead.
    pub async fn called_last(&self) {
        let mut receiver = self.stage.subscribe();
        // Can't fail: `self` holds the sender.
        let _ = receiver.wait_for(|stage| *stage == Stage::LastCall).await;
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
