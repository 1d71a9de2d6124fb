//! `quorate bench`: load, and how the cluster bears it.
//!
//! Each connection sends a request, waits for the answer, and sends the next, at once or when it is due. The generator
//! usually shares its machine with the servers it measures, so it does as little as it can: one thread, requests
//! patched in place, answers read by a parser that knows only what it must.
//!
//! | module | what it holds |
//! |---|---|
//! | `answer` | the parser of answers |
//! | `connection` | one keep-alive connection, and its prepared requests |
//! | `load` | the workers |
//! | `report` | what is measured, and how it is printed |

mod answer;
mod connection;
mod load;
mod report;

use crate::cli::arguments::{ClientFlags, parse_timeout};
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{self, OutputFlags};
use crate::config::parse_size;
use crate::real::block_on;
use clap::{Args, value_parser};
use connection::MOST_KEYS;
use quorate_client::Endpoint;
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Args)]
pub(crate) struct BenchFlags {
    #[command(flatten)]
    client: ClientFlags,
    /// How many connections, each with one request under way
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Measure with 1 connection, with 2, with 4, and so on up to --connections, and name the knee: the first number
    /// that gives nine tenths of the most
    #[arg(long, conflicts_with = "rate")]
    ramp: bool,
    /// Send so many requests per second, whether the cluster keeps up or not; one that is late counts from when it was
    /// due
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// How long to measure, each time
    #[arg(long, default_value = "10s", value_parser = parse_timeout)]
    duration: Duration,
    /// The size of a value
    #[arg(long, value_name = "SIZE", default_value = "256", value_parser = parse_size)]
    value_size: usize,
    /// How many keys, chosen at random
    #[arg(long, default_value = "100000", value_parser = value_parser!(u32).range(1..=MOST_KEYS))]
    #[arg(value_name = "N")]
    keys: u32,
    /// How many requests in a hundred are reads; the keys are written first, then
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = value_parser!(u8).range(0..=100))]
    reads: u8,
    /// Spread the connections over all endpoints, instead of the leader alone
    #[arg(long)]
    any_endpoint: bool,
    #[command(flatten)]
    output: OutputFlags,
}

pub(crate) fn run(flags: &BenchFlags) -> Result<(), Failure> {
    let reports = block_on(tokio::task::LocalSet::new().run_until(measure(flags)))??;
    report::print(&reports, flags.output.output)?;
    if flags.ramp {
        output::say(&report::knee(&reports));
    }
    reports.iter().try_for_each(report::Report::verdict)
}

/// How many connections each measurement has.
fn steps(flags: &BenchFlags) -> Vec<u32> {
    let doubled = std::iter::successors(Some(1_u32), |connections| connections.checked_mul(2));
    let below = doubled.take_while(|connections| flags.ramp && *connections < flags.connections);
    below.chain([flags.connections]).collect()
}

async fn measure(flags: &BenchFlags) -> Result<Vec<report::Report>, Failure> {
    let targets = match flags.any_endpoint {
        true => flags.client.endpoints.clone(),
        false => vec![find_leader(&flags.client).await?],
    };
    let load = load::Load {
        targets,
        connections: flags.connections,
        rate: flags.rate,
        value_bytes: flags.value_size,
        keys: flags.keys,
        reads_percent: flags.reads,
        patience: flags.client.timeout,
        tls: flags.client.tls.tls()?,
        token: flags.client.tls.token()?,
    };
    if flags.reads > 0 {
        output::say(&format!("quorate: writing the {} keys to be read", flags.keys));
        load::fill(&load).await?;
    }
    let mut reports = Vec::new();
    for connections in steps(flags) {
        let load = load::Load { connections, ..load.clone() };
        output::say(&format!("quorate: measuring {}", load.description(flags.duration)));
        reports.push(load::measure(load, flags.duration).await);
    }
    Ok(reports)
}

/// The leader that the first answering endpoint knows; waits for an election to end.
async fn find_leader(flags: &ClientFlags) -> Result<Endpoint, Failure> {
    const PAUSE: Duration = Duration::from_millis(100);
    let client = flags.client()?;
    let deadline = Instant::now() + flags.timeout;
    loop {
        let status = client.status().await?;
        if let Some(url) = status.leader.and_then(|leader| leader.url) {
            return url
                .parse()
                .map_err(|error| Failure::failed(format!("the leader's URL {url:?} is bad: {error}")));
        }
        if Instant::now() >= deadline {
            let message = "no endpoint knows a leader; --any-endpoint measures without one";
            return Err(Failure::Ended(Exit::Unavailable, message.to_owned()));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
