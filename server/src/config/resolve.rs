//! From texts to a [`ServeConfig`].

use super::collector::parse_collector;
use super::duration::{duration_text, parse_duration};
use super::error::{ConfigError, Origin, place};
use super::lookup::{Flags, Found, Lookup, Surroundings};
use super::size::parse_size;
use super::tls::{check_schemes, file, tls_files};
use super::{LogConfig, LogFormat, ServeConfig};
use quorate_client::{Address, Endpoint};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

const DEFAULT_HOST: &str = "127.0.0.1";
const DEFAULT_PORT: u16 = 8080;
/// How far the peers' port is above the HTTP port, unless it is given.
const RAFT_PORT_OFFSET: u16 = 1000;
/// A request becomes one entry of the log, which is read into memory whole.
const LARGEST_REQUEST_BYTES: usize = 64 << 20;
const MOST_TXN_OPERATIONS: usize = 10_000;
const LONGEST_NAME_BYTES: usize = 64;
/// What an entry takes in a segment beside its value: headers, a key, padding.
const SEGMENT_OVERHEAD_BYTES: usize = 64 << 10;
const SEGMENT_BYTES: RangeInclusive<u32> = 128 << 10..=1 << 30;
/// What a flight recorder has at least, if there is to be one.
const LEAST_RECORDER_BYTES: usize = 4 << 20;
/// And at most: a recording is made to be sent and replayed.
const MOST_RECORDER_BYTES: usize = 1 << 30;
/// In bytes a second.
const SLOWEST_RATE: usize = 64 << 10;

/// A configuration, and where each of its settings came from (those that are absent here are defaults).
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The configuration.
    pub config: ServeConfig,
    /// The origins, by setting.
    pub origins: BTreeMap<&'static str, Origin>,
}

/// Finds every setting and checks that they go together.
///
/// # Errors
/// [`ConfigError`], which names the place, the value and what to write instead.
pub fn resolve(flags: &Flags, surroundings: &Surroundings<'_>) -> Result<Resolved, ConfigError> {
    let mut lookup = Lookup::new(flags, surroundings)?;
    let (listen, raft_listen) = listen_addresses(&mut lookup)?;
    let tls = tls_files(&mut lookup)?;
    let (advertised, advertise_raft) = advertised(&mut lookup, surroundings, &listen, &raft_listen)?;
    let advertised_https = advertised.as_ref().map(Endpoint::is_https);
    let config = ServeConfig {
        data_dir: data_dir(&mut lookup)?,
        listen: listen.clone(),
        raft_listen,
        advertise_http: advertised.map_or(listen, |url| url.address().clone()),
        advertise_raft,
        tls,
        tokens: file(&mut lookup, "tokens")?,
        probes_need_token: lookup.single("probes-need-token", "false", parse_switch)?,
        node_token_file: file(&mut lookup, "node-token-file")?,
        join_token_file: file(&mut lookup, "join-token-file")?,
        insecure: lookup.single("insecure", "false", parse_switch)?,
        bootstrap: lookup.single("bootstrap", "false", parse_switch)?,
        join: joins(&mut lookup)?,
        name: lookup.optional("name", &[], parse_name)?,
        max_value_bytes: lookup.single("max-value-bytes", "1MiB", parse_limit)?,
        max_request_bytes: lookup.single("max-request-bytes", "4MiB", parse_limit)?,
        max_pending_bytes: lookup.single("max-pending-bytes", "256MiB", parse_pending)?,
        max_pending_requests: lookup.single("max-pending-requests", "16384", parse_count)?,
        max_connections: lookup.single("max-connections", "10000", parse_count)?,
        max_watchers: lookup.single("max-watchers", "8000", parse_count)?,
        max_txn_operations: lookup.single("max-txn-operations", "128", parse_txn_operations)?,
        history_revisions: lookup.single("history-revisions", "100000", parse_whole)?,
        history_bytes: lookup.single("history-bytes", "64MiB", parse_bytes)?,
        idempotency_keys: lookup.single("idempotency-keys", "100000", parse_whole)?,
        idempotency_bytes: lookup.single("idempotency-bytes", "64MiB", parse_bytes)?,
        segment_bytes: lookup.single("segment-bytes", "16MiB", parse_segment)?,
        keep_snapshots: lookup.single("keep-snapshots", "5", parse_count)?,
        snapshot_entries: lookup.single("snapshot-entries", "200000", parse_count)?,
        election_timeout: lookup.single("election-timeout", "500ms", parse_interval)?,
        heartbeat_interval: lookup.single("heartbeat-interval", "50ms", parse_interval)?,
        scrub_bytes_per_second: lookup.single("scrub-rate", "1MiB", parse_bytes)?,
        snapshot_bytes_per_second: lookup.single("snapshot-rate", "128MiB", parse_rate)?,
        backup_bytes_per_second: lookup.single("backup-rate", "64MiB", parse_rate)?,
        flight_recorder_bytes: lookup.single("flight-recorder-bytes", "32MiB", parse_recorder)?,
        remove_dead_voters_after: lookup.single("remove-dead-voters-after", "never", parse_patience)?,
        min_voters: lookup.single("min-voters", "3", parse_count)?,
        otlp_endpoint: lookup.optional("otlp-endpoint", &[], parse_collector)?,
        log: LogConfig {
            format: lookup.single("log-format", "auto", parse_log_format)?,
            level: lookup.single("log-level", "info", parse_log_level)?,
        },
    };
    check(&config)?;
    check_schemes(&config, advertised_https)?;
    let mut origins = lookup.origins;
    origins.retain(|_, origin| *origin != Origin::Default);
    Ok(Resolved { config, origins })
}

fn data_dir(lookup: &mut Lookup<'_>) -> Result<PathBuf, ConfigError> {
    let seed: Vec<_> = lookup.seed("data-dir", "STORAGE_PATH")?.into_iter().collect();
    let parse = |text: &str| match text {
        "" => Err("it is empty; name a directory"),
        path => Ok(PathBuf::from(path)),
    };
    let found = lookup.optional("data-dir", &seed, parse)?;
    found.ok_or_else(|| ConfigError::Missing("data-dir", "QUORATE_DATA_DIR".to_owned()))
}

/// The seed's `HOST` and `PORT` are each one half of an address; its `RAFT_PORT` goes with the host of HTTP.
fn listen_addresses(lookup: &mut Lookup<'_>) -> Result<(Address, Address), ConfigError> {
    let host = lookup.seed("listen", "HOST")?;
    let port = lookup.seed("listen", "PORT")?;
    let host_text = host.as_ref().map_or(DEFAULT_HOST, |found| &found.texts[0]);
    let port_text = port.as_ref().map_or(DEFAULT_PORT.to_string(), |found| found.texts[0].clone());
    let variables = match (&host, &port) {
        (Some(_), Some(_)) => "HOST and PORT",
        (Some(_), None) => "HOST",
        (None, _) => "PORT",
    };
    let seed = Found {
        texts: vec![joined(host_text, &port_text)],
        origin: Origin::Environment(variables.to_owned()),
    };
    let seed = if host.is_some() || port.is_some() { vec![seed] } else { Vec::new() };
    let given = lookup.optional("listen", &seed, str::parse::<Address>)?;
    let default = || Address::new(DEFAULT_HOST, DEFAULT_PORT).expect("the default host is an address");
    let listen = given.unwrap_or_else(default);

    let seed = lookup
        .seed("raft-listen", "RAFT_PORT")?
        .map(|found| Found { texts: vec![joined(listen.host(), &found.texts[0])], origin: found.origin });
    let given = lookup.optional("raft-listen", seed.as_slice(), str::parse::<Address>)?;
    let raft_listen = given.unwrap_or_else(|| listen.with_port(default_raft_port(listen.port())));
    Ok((listen, raft_listen))
}

/// 0, any free port, when HTTP itself takes any free port or the sum is no port.
fn default_raft_port(http_port: u16) -> u16 {
    if http_port == 0 { 0 } else { http_port.checked_add(RAFT_PORT_OFFSET).unwrap_or(0) }
}

fn joined(host: &str, port: &str) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// What is told to others: the URL only if it was given. A wildcard address can't be dialled, so it is never told, and
/// never silently replaced by a guess: a cluster whose members know each other by a wrong address works until the
/// first restart.
fn advertised(
    lookup: &mut Lookup<'_>,
    surroundings: &Surroundings<'_>,
    listen: &Address,
    raft_listen: &Address,
) -> Result<(Option<Endpoint>, Address), ConfigError> {
    let url = lookup.optional("advertise-url", &[], str::parse::<Endpoint>)?;
    let raft = lookup.optional("advertise-raft", &[], parse_dialled)?;
    let example = || (surroundings.own_address)().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_string();

    let http = url.as_ref().map_or(listen, Endpoint::address);
    if http.is_unspecified() {
        let setting = if url.is_some() { "advertise-url" } else { "listen" };
        return Err(ConfigError::Unusable(format!(
            "{} is {http}, which means every interface: no other machine can dial it; \
             give an address that they can dial, for example --advertise-url http://{}",
            place(setting, lookup.origins.get(setting).unwrap_or(&Origin::Default)),
            joined(&example(), &port_or(http.port(), "PORT"))
        )));
    }
    let raft_given = raft.is_some();
    // The host under which HTTP is reached is the best word for the same machine.
    let raft = raft.unwrap_or_else(|| match Address::new(http.host(), raft_listen.port()) {
        Ok(same_host) if raft_listen.is_unspecified() => same_host,
        _ => raft_listen.clone(),
    });
    if raft.is_unspecified() {
        assert!(raft_given, "a default that can't be dialled was replaced above");
        return Err(ConfigError::Unusable(format!(
            "{} is {raft}, which means every interface: no other machine can dial it; \
             give an address that they can dial, for example --advertise-raft {}",
            place("advertise-raft", lookup.origins.get("advertise-raft").unwrap_or(&Origin::Default)),
            joined(&example(), &raft.port().to_string())
        )));
    }
    Ok((url, raft))
}

fn port_or(port: u16, placeholder: &str) -> String {
    if port == 0 { placeholder.to_owned() } else { port.to_string() }
}

fn joins(lookup: &mut Lookup<'_>) -> Result<Vec<Endpoint>, ConfigError> {
    let seed: Vec<_> = lookup.seed("join", "RAFT_LEADER")?.into_iter().collect();
    lookup.list("join", &seed, str::parse::<Endpoint>)
}

/// What no setting alone can know.
fn check(config: &ServeConfig) -> Result<(), ConfigError> {
    let unusable = |problem: String| Err(ConfigError::Unusable(problem));
    if config.listen == config.raft_listen && config.listen.port() != 0 {
        let address = &config.listen;
        return unusable(format!("--listen and --raft-listen are both {address}; give them different ports"));
    }
    if config.probes_need_token && config.tokens.is_none() {
        return unusable(
            "--probes-need-token is given and --tokens is not: no token is known that they could need; give --tokens"
                .to_owned(),
        );
    }
    if config.heartbeat_interval * 3 > config.election_timeout {
        return unusable(format!(
            "--heartbeat-interval is {} and --election-timeout {}: three heartbeats have to fit into an election \
             timeout, or followers run against a living leader; give at least --election-timeout {}",
            duration_text(config.heartbeat_interval),
            duration_text(config.election_timeout),
            duration_text(config.heartbeat_interval * 3),
        ));
    }
    if let Some(after) = config.remove_dead_voters_after.filter(|after| *after < config.election_timeout * 2)
    {
        return unusable(format!(
            "--remove-dead-voters-after is {} and --election-timeout {}: a voter that restarts would be taken for dead; \
             give at least --remove-dead-voters-after {}",
            duration_text(after),
            duration_text(config.election_timeout),
            duration_text(config.election_timeout * 2),
        ));
    }
    if config.max_value_bytes > config.max_request_bytes {
        return unusable(format!(
            "--max-value-bytes is {} and --max-request-bytes {}: the largest value has to fit into a request; \
             raise --max-request-bytes",
            config.max_value_bytes, config.max_request_bytes
        ));
    }
    let value_room = config.segment_bytes as usize - SEGMENT_OVERHEAD_BYTES;
    if config.max_value_bytes > value_room {
        return unusable(format!(
            "--segment-bytes is {} and --max-value-bytes {}: the largest value has to fit into a file of the log, with \
             {SEGMENT_OVERHEAD_BYTES} bytes to spare, or a full disk could not be told in time; raise --segment-bytes",
            config.segment_bytes, config.max_value_bytes
        ));
    }
    // The body of an import may be twice as large as what is in it.
    if config.max_pending_bytes < 2 * config.max_request_bytes {
        return unusable(format!(
            "--max-pending-bytes is {} and --max-request-bytes {}: two of the largest requests have to fit; \
             give at least --max-pending-bytes {}",
            config.max_pending_bytes,
            config.max_request_bytes,
            2 * config.max_request_bytes
        ));
    }
    Ok(())
}

fn parse_dialled(text: &str) -> Result<Address, String> {
    match text.parse::<Address>() {
        Ok(address) if address.port() == 0 => Err("port 0 can't be dialled; write the real port".to_owned()),
        Ok(address) => Ok(address),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_switch(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err("write true or false"),
    }
}

/// A node's name, which is shown in tables and logs.
pub(crate) fn parse_name(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > LONGEST_NAME_BYTES || text.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {LONGEST_NAME_BYTES} bytes and no control characters"));
    }
    Ok(text.to_owned())
}

fn parse_limit(text: &str) -> Result<usize, String> {
    match parse_size(text) {
        Ok(0) => Err("nothing would fit; write for example 1MiB".to_owned()),
        Ok(size) if size > LARGEST_REQUEST_BYTES => Err("at most 64MiB is possible".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_segment(text: &str) -> Result<u32, String> {
    let size = parse_size(text).map_err(|error| error.to_string())?;
    match u32::try_from(size) {
        Ok(size) if SEGMENT_BYTES.contains(&size) && size.is_multiple_of(4096) => Ok(size),
        _ => Err("it has to be a multiple of 4KiB, from 128KiB to 1GiB".to_owned()),
    }
}

/// A size in bytes, of which 0 makes sense.
fn parse_bytes(text: &str) -> Result<u64, String> {
    parse_size(text).map(|size| size as u64).map_err(|error| error.to_string())
}

fn parse_recorder(text: &str) -> Result<usize, String> {
    match parse_size(text) {
        Ok(size) if size > 0 && size < LEAST_RECORDER_BYTES => {
            Err("less than 4MiB holds next to nothing; write 0 for none".to_owned())
        }
        Ok(size) if size > MOST_RECORDER_BYTES => {
            Err("more than 1GiB would hold the node up while it is saved".to_owned())
        }
        Ok(size) => Ok(size),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_pending(text: &str) -> Result<usize, String> {
    parse_size(text).map_err(|error| error.to_string())
}

fn parse_count<T: std::str::FromStr + PartialEq + From<u8>>(text: &str) -> Result<T, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && number != T::from(0) => Ok(number),
        _ => Err("it is not a whole number from 1 on"),
    }
}

/// A number of which 0 makes sense: none at all.
fn parse_whole(text: &str) -> Result<u64, &'static str> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or("it is not a whole number")
}

fn parse_txn_operations(text: &str) -> Result<usize, &'static str> {
    match parse_count(text) {
        Ok(count) if count <= MOST_TXN_OPERATIONS => Ok(count),
        Ok(_) => Err("at most 10000 are possible: all are carried out at once, while everything else waits"),
        Err(error) => Err(error),
    }
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    let possible = Duration::from_millis(1)..=Duration::from_secs(60);
    if possible.contains(&duration) { Ok(duration) } else { Err("it has to be from 1ms to 60s".to_owned()) }
}

/// How long somebody may be silent: days, where it is about machines.
fn parse_patience(text: &str) -> Result<Option<Duration>, String> {
    if text == "never" {
        return Ok(None);
    }
    let duration = parse_duration(text).map_err(|error| error.to_string())?;
    let possible = Duration::from_millis(1)..=Duration::from_hours(24 * 365);
    if possible.contains(&duration) {
        Ok(Some(duration))
    } else {
        Err("it has to be from 1ms to 365d, or never".to_owned())
    }
}

/// How much passes in a second, in bytes.
pub(crate) fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_size(text) {
        Ok(size) if size < SLOWEST_RATE => Err("it would never arrive; at least 64KiB".to_owned()),
        Ok(size) => Ok(size as u64),
        Err(error) => Err(error.to_string()),
    }
}

fn parse_log_format(text: &str) -> Result<LogFormat, &'static str> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        "auto" => Ok(LogFormat::Auto),
        _ => Err("write text, json or auto"),
    }
}

fn parse_log_level(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    // A lone word is a target to the filter's own parser, so a mistyped level would silence everything else.
    let is_filter = text.contains(['=', ',']) && EnvFilter::try_new(text).is_ok();
    if LEVELS.contains(&text) || is_filter {
        return Ok(text.to_owned());
    }
    Err(format!("write one of {}, or a filter such as info,quorate_server=debug", LEVELS.join(", ")))
}

#[cfg(test)]
#[path = "resolve_tests.rs"]
mod tests;
