//! What threads and tasks share, under one name each.
//!
//! The files that take it from here are compiled a second time in `server/threads`, where loom stands behind these
//! names and looks at the orders of what they do ([ADR 11](../../docs/adr/0011-loom.md)).

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};

pub(crate) use tokio::sync::{Notify, mpsc, oneshot};
