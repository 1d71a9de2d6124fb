//! One node alone: what a host sees.
#![allow(missing_docs, clippy::unwrap_used)]

mod host;
mod life;
mod store;
