//! What the files of the server take from `crate::sync`.

pub(crate) use loom::sync::atomic;
pub(crate) use loom::sync::{Mutex, MutexGuard};
pub(crate) use std::sync::PoisonError;

pub(crate) use crate::notify::Notify;
pub(crate) use crate::{mpsc, oneshot};
