//! Properties of the core's parts, against models that are too simple to be wrong, and of one core that is fed
//! with anything.
#![allow(missing_docs, clippy::unwrap_used, clippy::cast_possible_truncation, clippy::panic)]

mod answers;
mod bounds;
mod full;
mod host;
mod lost;
mod mending;
mod one_core;
mod outlines;
mod patience;
mod quorums;
mod rules;
mod steps;
mod stories;
mod term_runs;
mod trace;

#[path = "../harness/disk.rs"]
#[expect(dead_code, reason = "scripts damage it in more ways")]
mod disk;

use proptest::prelude::ProptestConfig;

/// A fixed sample by default; `QUORATE_TRIALS` multiplies it.
#[expect(clippy::disallowed_methods, reason = "the size of a campaign, not a setting of the engine")]
fn cases(count: u32) -> ProptestConfig {
    let factor = std::env::var("QUORATE_TRIALS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(count * factor) }
}
