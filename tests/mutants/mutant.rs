//! Which mutant is on, by the environment; and which were reached, in a file.

use std::io::Write as _;
use std::string::String;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const MOST: usize = 8192;

static REACHED: [AtomicU64; MOST / 64] = [const { AtomicU64::new(0) }; MOST / 64];

struct Plan {
    on: Option<u32>,
    reached: Option<String>,
}

fn plan() -> &'static Plan {
    static PLAN: OnceLock<Plan> = OnceLock::new();
    PLAN.get_or_init(|| Plan {
        on: std::env::var("MUTANT").ok().map(|number| number.parse().expect("a number")),
        reached: std::env::var("MUTANTS_REACHED").ok(),
    })
}

pub fn is(number: u32) -> bool {
    let plan = plan();
    if let Some(path) = &plan.reached {
        note(path, number);
    }
    plan.on == Some(number)
}

fn note(path: &str, number: u32) {
    let bit = 1_u64 << (number % 64);
    if REACHED[number as usize / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0 {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("opens");
        writeln!(file, "{number}").expect("writes");
    }
}
