//! What threads and tasks share, under one name each.
//!
//! The files that take it from here are compiled a second time in `server/threads`, where loom stands behind these
//! names and looks at every order of what they do ([ADR 9](../../docs/adr/0009-loom.md)).

pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};

pub(crate) use tokio::sync::{Notify, mpsc, oneshot};
