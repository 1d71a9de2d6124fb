//! Lost quorum: a way back when a majority of the voters is gone for good.
//!
//! What is left are data dirs of a minority, and nobody can know what the others had acknowledged without them. So a
//! person decides; this module says what there is to decide about ([`Plan`]), and does it so that it can't be done
//! to the wrong directory, by halves, or in two places ([`apply`]). The procedure, and what is lost, is
//! `docs/RECOVERY.md`.
//!
//! | file | what it holds |
//! |---|---|
//! | `survivor` | what one data dir holds |
//! | `plan` | which is the most ahead, what the others hold beyond it, what may be lost |
//! | `apply` | making a survivor the only voter, step by step |
//! | `aside` | the copy that is made before anything is changed |

mod apply;
#[cfg(test)]
mod apply_tests;
mod aside;
mod plan;
mod survivor;
#[cfg(test)]
mod term_lost_tests;

pub(crate) use apply::{Applied, ApplyError, Order, apply};
pub(crate) use plan::{Loss, Plan, beyond};
pub(crate) use survivor::Survivor;
