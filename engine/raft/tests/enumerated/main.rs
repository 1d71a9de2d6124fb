//! Small worlds, enumerated: every combination of the inputs of a rule of `docs/PROTOCOL.md`, on the code that carries
//! it out, against a statement of the rule that shares nothing with that code.
#![allow(clippy::unwrap_used)]

mod answers;
mod host;
mod powers;
mod quorums;
mod reports;
