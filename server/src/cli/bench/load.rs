//! The workers.

use crate::cli::bench::connection::{Connection, Operation};
use crate::cli::bench::report::{Measured, Report};
use crate::cli::exit::Failure;
use crate::config::duration_text;
use quorate_client::tls::Tls;
use quorate_client::{Endpoint, Token};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// A worker whose request failed waits this long, so that a cluster without a leader is not flooded.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(10);

/// What the workers do.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    /// Connections are spread over these in turn.
    pub(crate) targets: Vec<Endpoint>,
    pub(crate) connections: u32,
    /// How many requests are due in a second, over all connections; without it each sends when it has its answer.
    pub(crate) rate: Option<u32>,
    pub(crate) value_bytes: usize,
    pub(crate) keys: u32,
    pub(crate) reads_percent: u8,
    /// How long after the end an answer is still waited for.
    pub(crate) patience: Duration,
    /// What https:// targets are spoken to with.
    pub(crate) tls: Option<Tls>,
    /// What is shown to them.
    pub(crate) token: Option<Token>,
}

impl Load {
    #[cfg(test)]
    pub(crate) fn to_nobody() -> Self {
        Self {
            targets: vec!["http://127.0.0.1:8080".parse().expect("it is an endpoint")],
            tls: None,
            token: None,
            connections: 64,
            rate: None,
            value_bytes: 256,
            keys: 10,
            reads_percent: 50,
            patience: Duration::from_secs(5),
        }
    }

    pub(crate) fn description(&self, duration: Duration) -> String {
        let targets = self.targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let rate = self.rate.map(|rate| format!(", {rate} requests per second")).unwrap_or_default();
        format!(
            "{targets} for {}: {} connections{rate}, {} keys, {}-byte values, {}% reads",
            duration_text(duration),
            self.connections,
            self.keys,
            self.value_bytes,
            self.reads_percent
        )
    }

    fn open(&self) -> impl Iterator<Item = (u32, Connection)> {
        let targets = self.targets.iter().cycle();
        (0..self.connections).zip(targets).map(|(index, target)| {
            let shown = (self.tls.as_ref(), self.token.as_ref());
            (index, Connection::new(target, shown, self.value_bytes))
        })
    }
}

/// Writes every key once; reads of keys that are not there would measure nothing.
pub(crate) async fn fill(load: &Load) -> Result<(), Failure> {
    let next = Rc::new(Cell::new(0));
    let mut workers = JoinSet::new();
    for (_, mut connection) in load.open() {
        let (next, keys) = (Rc::clone(&next), load.keys);
        workers.spawn_local(async move {
            while next.get() < keys {
                let key = next.replace(next.get() + 1);
                checked(&mut connection, Operation::Put, key).await?;
            }
            Ok(())
        });
    }
    while let Some(ended) = workers.join_next().await {
        let result: Result<(), String> = ended.unwrap_or_else(|error| Err(error.to_string()));
        result
            .map_err(|problem| Failure::failed(format!("the keys to be read can't be written: {problem}")))?;
    }
    Ok(())
}

/// Keeps every connection busy for `duration`.
pub(crate) async fn measure(load: Load, duration: Duration) -> Report {
    let measured = Rc::new(RefCell::new(Measured::new()));
    let started = Instant::now();
    let end = started + duration;
    let mut workers = JoinSet::new();
    for (index, connection) in load.open() {
        let random = Random(u64::from(index));
        let schedule = Schedule::new(&load, index, started);
        workers.spawn_local(work((connection, schedule), random, load.clone(), end, Rc::clone(&measured)));
    }
    let all_ended = async { while workers.join_next().await.is_some() {} };
    // The rest hangs in requests without an answer; an error each.
    let _ = tokio::time::timeout(duration + load.patience, all_ended).await;
    let elapsed = started.elapsed();
    for _ in 0..workers.len() {
        measured.borrow_mut().error(format!("no answer within {}", duration_text(load.patience)));
    }
    workers.abort_all();
    let measured = measured.replace(Measured::new());
    Report { load, elapsed, measured }
}

/// When the requests of one connection are due.
struct Schedule {
    /// The next one, and how long after it the one behind it is; without a rate each is due when it can be sent.
    paced: Option<(Instant, Duration)>,
}

impl Schedule {
    /// Connections take turns.
    fn new(load: &Load, index: u32, started: Instant) -> Self {
        let paced = load.rate.map(|rate| {
            let turn = Duration::from_secs(1) / rate;
            (started + turn * index, turn * load.connections)
        });
        Self { paced }
    }

    /// When the next request is due, if not at once.
    fn next(&mut self) -> Option<Instant> {
        let (due, interval) = self.paced.as_mut()?;
        let next = *due;
        *due += *interval;
        Some(next)
    }

    /// Waits until the next request is due, and returns when that was: it may be long ago, when answers took longer
    /// than the rate allows.
    async fn wait(&mut self) -> Instant {
        let Some(due) = self.next() else { return Instant::now() };
        tokio::time::sleep_until(due.into()).await;
        due
    }
}

async fn work(
    (mut connection, mut schedule): (Connection, Schedule),
    mut random: Random,
    load: Load,
    end: Instant,
    measured: Rc<RefCell<Measured>>,
) {
    loop {
        let read = random.below(100) < u32::from(load.reads_percent);
        let operation = if read { Operation::Get } else { Operation::Put };
        let due = schedule.wait().await;
        if due >= end || Instant::now() >= end {
            return;
        }
        let result = checked(&mut connection, operation, random.below(load.keys)).await;
        match result {
            Ok(()) => measured.borrow_mut().success(operation, due.elapsed()),
            Err(problem) => {
                measured.borrow_mut().error(problem);
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

async fn checked(connection: &mut Connection, operation: Operation, key: u32) -> Result<(), String> {
    match connection.call(operation, key).await {
        Ok(200) => Ok(()),
        Ok(status) => Err(format!("{} answered {status}", operation.name())),
        Err(error) => Err(format!("{}: {error}", operation.name())),
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014): a few instructions a draw, and the same keys in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        // The high half of the product of the upper 32 bits and the bound: Lemire's way without a division.
        let scaled = ((mixed >> 32) * u64::from(bound)) >> 32;
        u32::try_from(scaled).expect("a 32-bit number times a 32-bit number, shifted by 32, has 32 bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_take_turns_and_what_is_late_is_due_all_the_same() {
        let load = Load { connections: 4, rate: Some(100), ..Load::to_nobody() };
        let started = Instant::now();
        let mut second = Schedule::new(&load, 1, started);
        let due: Vec<_> = (0..3).map(|_| second.next()).collect();
        let after = |milliseconds| Some(started + Duration::from_millis(milliseconds));
        assert_eq!(due, [after(10), after(50), after(90)]);
        let mut hasty = Schedule::new(&Load { rate: None, ..load }, 1, started);
        assert_eq!(hasty.next(), None);
    }

    #[test]
    fn draws_stay_below_their_bound_and_reach_all_of_it() {
        let mut random = Random(1);
        let mut seen = [0_u32; 10];
        (0..10_000).for_each(|_| seen[random.below(10) as usize] += 1);
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
    }
}
