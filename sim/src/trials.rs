//! How long campaigns run.

/// `count`, times the factor in the environment variable `QUORATE_TRIALS` when it is set.
///
/// A campaign has a fixed size in `cargo test`, a middle one in `.ci/run`, and its full one when somebody asks.
///
/// # Panics
/// When the variable is no whole number above zero: a campaign that silently was short would be worse.
pub fn scaled(count: usize) -> usize {
    let factor = match std::env::var("QUORATE_TRIALS") {
        Err(_) => 1,
        Ok(text) if text.is_empty() => 1,
        Ok(text) => text.parse().ok().filter(|factor| *factor > 0).unwrap_or_else(|| {
            panic!("QUORATE_TRIALS is {text:?}: give a whole number above zero, for example 10")
        }),
    };
    count * factor
}

/// Says loudly that a test can't run here, or fails it where nothing may be left out (`QUORATE_REQUIRE_ALL_TESTS`).
///
/// # Panics
/// With `QUORATE_REQUIRE_ALL_TESTS`.
#[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
pub fn skip(test: &str, reason: &str) {
    assert!(std::env::var_os("QUORATE_REQUIRE_ALL_TESTS").is_none(), "{test} must run, but {reason}");
    eprintln!("SKIPPED: {test}: {reason}");
}
