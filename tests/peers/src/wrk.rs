//! The load over HTTP/1.1, for both systems alike: wrk, with `load.lua`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::keys::{KEYS, VALUE_BYTES};
use crate::results::{Latencies, Operation};

/// So many requests are made ahead by each thread.
const POOL: usize = 4_000;

/// What came of a load.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) operations: f64,
    pub(crate) seconds: f64,
    pub(crate) errors: u64,
    pub(crate) latencies: Latencies,
}

/// How the requests look.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Dialect {
    Quorate,
    Etcd,
}

/// The program, and its script in a file.
#[derive(Debug)]
pub(crate) struct Wrk {
    script: PathBuf,
}

impl Wrk {
    pub(crate) fn new(folder: &Path) -> Result<Self> {
        let script = folder.join("load.lua");
        fs::write(&script, include_str!("../load.lua"))?;
        Ok(Self { script })
    }

    /// Keeps so many connections busy, one request under way on each.
    pub(crate) fn run(
        &self,
        dialect: Dialect,
        address: SocketAddr,
        operation: Operation,
        connections: usize,
        seconds: u64,
    ) -> Result<Outcome> {
        let system = match dialect {
            Dialect::Quorate => "quorate",
            Dialect::Etcd => "etcd",
        };
        let output = Command::new("wrk")
            .arg(format!("-t{}", connections.min(2)))
            .arg(format!("-c{connections}"))
            .arg(format!("-d{seconds}s"))
            .args(["--timeout", "10s", "--latency", "-s"])
            .arg(&self.script)
            .arg(format!("http://{address}"))
            .envs([("SYSTEM", system), ("OPERATION", operation.name())])
            .env("KEYS", KEYS.to_string())
            .env("VALUE_BYTES", VALUE_BYTES.to_string())
            .env("POOL", POOL.to_string())
            .output()
            .context("wrk can't be started")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let line = text.lines().rfind(|line| line.starts_with("RESULT "));
        let line = line.with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))?;
        parse(line)
    }
}

fn parse(line: &str) -> Result<Outcome> {
    let field = |name: &str| -> Result<f64> {
        let found = line.split(' ').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
        Ok(found.with_context(|| format!("no {name} in {line:?}"))?.parse()?)
    };
    let (requests, errors) = (field("requests")?, field("errors")?);
    ensure!(requests > errors, "nothing but errors: {line}");
    let latencies = Latencies {
        p50_us: field("p50")?,
        p90_us: field("p90")?,
        p99_us: field("p99")?,
        p999_us: field("p99.9")?,
        most_us: field("max")?,
    };
    let seconds = field("microseconds")? / 1e6;
    Ok(Outcome { operations: requests - errors, seconds, errors: errors as u64, latencies })
}
