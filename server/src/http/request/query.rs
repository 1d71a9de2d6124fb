//! The part of a request after the `?`.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use quorate_node::ReadLevel;
use quorate_node::kv::{LeaseId, Revision};

use super::ApiError;
use super::key::invalid_escape;
use super::ttl::parse_ttl;

/// How long a request may take when it doesn't say.
pub(crate) const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest that a request may ask for.
pub(crate) const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// A query parameter that some route takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// `timeout=5s`.
    Timeout,
    /// `consistency=linearizable|lease|stale`.
    Consistency,
    /// `wait=voter`.
    Wait,
    /// `verbose`.
    Verbose,
    /// `revision=7`.
    Revision,
    /// `ttl=30s`.
    Ttl,
    /// `lease=<16 hex>`.
    Lease,
    /// `ID=<who holds a lock>`, as Terraform writes it.
    Holder,
    /// `prefix=a`.
    Prefix,
    /// `start=a`.
    Start,
    /// `end=b`.
    End,
    /// `after=a`.
    After,
    /// `limit=100`.
    Limit,
    /// `values=false`.
    Values,
    /// `cursor=<where a list goes on>`.
    Cursor,
    /// `key=a`.
    Key,
    /// `from=7`.
    From,
    /// `events=put,delete`.
    Events,
    /// `previous=true`.
    Previous,
}

/// What a query says. A route that does not take a parameter sees its default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// How long the request may take.
    pub(super) timeout: Duration,
    /// How fresh a read must be.
    pub(super) level: ReadLevel,
    /// Answer only when the new member votes.
    pub(super) wait_for_voter: bool,
    /// Answer in detail.
    pub(super) verbose: bool,
    /// As it was then.
    pub(super) revision: Option<Revision>,
    /// How long a key lives, in milliseconds.
    pub(super) ttl_ms: Option<u64>,
    /// What a key goes with.
    pub(super) lease: Option<LeaseId>,
    /// Who is to hold the key's lock.
    pub(super) holder: Option<String>,
    /// What keys begin with.
    pub(super) prefix: Option<String>,
    /// The first key.
    pub(super) start: Option<String>,
    /// The first key that does not belong to it any more.
    pub(super) end: Option<String>,
    /// The last key that does not belong to it yet.
    pub(super) after: Option<String>,
    /// The most keys.
    pub(super) limit: Option<usize>,
    /// Whether values are wanted.
    pub(super) values: Option<bool>,
    /// Where a list goes on.
    pub(super) cursor: Option<String>,
    /// What is watched.
    pub(super) key: Option<String>,
    /// From which revision on it is.
    pub(super) from: Option<String>,
    /// The kinds of events that are wanted.
    pub(super) events: Option<String>,
    /// Whether they tell what was before.
    pub(super) previous: Option<String>,
}

impl Default for Query {
    fn default() -> Self {
        Query {
            timeout: DEFAULT_TIMEOUT,
            level: ReadLevel::Linearizable,
            wait_for_voter: false,
            verbose: false,
            revision: None,
            ttl_ms: None,
            lease: None,
            holder: None,
            prefix: None,
            start: None,
            end: None,
            after: None,
            limit: None,
            values: None,
            cursor: None,
            key: None,
            from: None,
            events: None,
            previous: None,
        }
    }
}

impl Parameter {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Parameter::Timeout => "timeout",
            Parameter::Consistency => "consistency",
            Parameter::Wait => "wait",
            Parameter::Verbose => "verbose",
            Parameter::Revision => "revision",
            Parameter::Ttl => "ttl",
            Parameter::Lease => "lease",
            Parameter::Holder => "ID",
            Parameter::Prefix => "prefix",
            Parameter::Start => "start",
            Parameter::End => "end",
            Parameter::After => "after",
            Parameter::Limit => "limit",
            Parameter::Values => "values",
            Parameter::Cursor => "cursor",
            Parameter::Key => "key",
            Parameter::From => "from",
            Parameter::Events => "events",
            Parameter::Previous => "previous",
        }
    }
}

impl Query {
    /// Reads a query, of which only the parameters in `allowed` may occur, each once.
    ///
    /// # Errors
    /// `bad_query`: a parameter that this route does not take is never ignored, because it might have meant something.
    pub(super) fn parse(query: Option<&str>, allowed: &[Parameter]) -> Result<Query, ApiError> {
        let mut parsed = Query::default();
        let mut seen: Vec<Parameter> = Vec::new();
        for pair in pairs(query) {
            let (name, value) = match pair.split_once('=') {
                Some((name, value)) => (name, Some(decode(value)?)),
                None => (pair, None),
            };
            let name = decode(name)?;
            let Some(parameter) = allowed.iter().find(|parameter| parameter.name() == name) else {
                return Err(unknown(&name, allowed));
            };
            if seen.contains(parameter) {
                return Err(ApiError::BadQuery(format!("the query parameter {name:?} is given twice")));
            }
            seen.push(*parameter);
            parsed.set(*parameter, value)?;
        }
        Ok(parsed)
    }

    fn set(&mut self, parameter: Parameter, value: Option<String>) -> Result<(), ApiError> {
        let name = parameter.name();
        match parameter {
            Parameter::Timeout => self.timeout = parse_timeout(value.as_deref().unwrap_or_default())?,
            Parameter::Consistency => {
                self.level = one_of(name, value.as_deref(), &LEVELS, "linearizable, lease or stale")?;
            }
            Parameter::Wait => {
                self.wait_for_voter = one_of(name, value.as_deref(), &[("voter", true)], "voter")?;
            }
            Parameter::Verbose => {
                let value = Some(value.as_deref().filter(|value| !value.is_empty()).unwrap_or("true"));
                self.verbose = one_of(name, value, &SWITCH, "true or false, or no value")?;
            }
            Parameter::Values => {
                self.values = Some(one_of(name, value.as_deref(), &SWITCH, "true or false")?);
            }
            Parameter::Revision => {
                let number = whole_number(value.as_deref());
                let revision = number.filter(|number| *number <= Revision::MAX.0).map(Revision);
                self.revision = Some(needed(
                    name,
                    value.as_deref(),
                    revision,
                    "a revision, as Quorate-Revision shows one",
                )?);
            }
            Parameter::Limit => {
                let limit = whole_number(value.as_deref()).filter(|limit| *limit > 0);
                let limit = limit.and_then(|limit| usize::try_from(limit).ok());
                self.limit = Some(needed(name, value.as_deref(), limit, "a whole number from 1 on")?);
            }
            Parameter::Ttl => {
                let ttl = parse_ttl(value.as_deref().unwrap_or_default());
                self.ttl_ms = Some(ttl.map_err(|wanted| bad_value(name, value.as_deref(), wanted))?);
            }
            Parameter::Lease => {
                let lease = value.as_deref().and_then(parse_lease);
                self.lease = Some(needed(
                    name,
                    value.as_deref(),
                    lease,
                    "the 16 hex digits that POST /leases answers",
                )?);
            }
            Parameter::Holder => self.holder = Some(text(name, value)?),
            Parameter::Prefix => self.prefix = Some(value.unwrap_or_default()),
            Parameter::Start => self.start = Some(value.unwrap_or_default()),
            Parameter::End => self.end = Some(text(name, value)?),
            Parameter::After => self.after = Some(text(name, value)?),
            Parameter::Cursor => self.cursor = Some(text(name, value)?),
            Parameter::Key => self.key = Some(value.unwrap_or_default()),
            Parameter::From => self.from = Some(value.unwrap_or_default()),
            Parameter::Events => self.events = Some(value.unwrap_or_default()),
            Parameter::Previous => self.previous = Some(value.unwrap_or_default()),
        }
        Ok(())
    }
}

const LEVELS: [(&str, ReadLevel); 3] =
    [("linearizable", ReadLevel::Linearizable), ("lease", ReadLevel::Lease), ("stale", ReadLevel::Stale)];

const SWITCH: [(&str, bool); 2] = [("true", true), ("false", false)];

/// The parts between the `&`, undecoded.
fn pairs(query: Option<&str>) -> impl Iterator<Item = &str> {
    query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty())
}

/// What of a query makes the request what it is: all but how long it may take.
pub(super) fn lasting_pairs(query: Option<&str>) -> impl Iterator<Item = &str> {
    pairs(query).filter(|pair| {
        let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
        decode(name).as_deref() != Ok(Parameter::Timeout.name())
    })
}

fn one_of<T: Copy>(
    name: &str,
    seen: Option<&str>,
    values: &[(&str, T)],
    wanted: &str,
) -> Result<T, ApiError> {
    let found = values.iter().find(|(text, _)| Some(*text) == seen);
    found.map(|(_, value)| *value).ok_or_else(|| bad_value(name, seen, wanted))
}

fn needed<T>(name: &str, seen: Option<&str>, value: Option<T>, wanted: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| bad_value(name, seen, wanted))
}

fn text(name: &str, value: Option<String>) -> Result<String, ApiError> {
    match value {
        Some(value) if !value.is_empty() => Ok(value),
        other => Err(bad_value(name, other.as_deref(), "something, or leave it out")),
    }
}

fn whole_number(text: Option<&str>) -> Option<u64> {
    text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// A lease as it is written: 16 hex digits.
pub(super) fn parse_lease(text: &str) -> Option<LeaseId> {
    let is_one = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| u64::from_str_radix(text, 16).ok()).flatten().map(LeaseId)
}

/// A time as in `5s`, `250ms` or `1m`: a whole number above zero and a unit.
///
/// # Errors
/// `bad_query`, also when it is above a minute.
pub fn parse_timeout(text: &str) -> Result<Duration, ApiError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let milliseconds_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        _ => 0,
    };
    let milliseconds =
        number.parse::<u64>().ok().and_then(|number| number.checked_mul(milliseconds_per_unit));
    match milliseconds.map(Duration::from_millis) {
        Some(timeout) if !timeout.is_zero() && timeout <= MAX_TIMEOUT => Ok(timeout),
        _ => Err(bad_value("timeout", Some(text), "a time from 1ms to 60s, for example 5s or 250ms")),
    }
}

/// Writes a time so that [`parse_timeout`] reads it.
pub(crate) fn format_timeout(timeout: Duration) -> String {
    format!("{}ms", timeout.as_millis().max(1))
}

/// As HTML forms encode: `+` is a space here, unlike in a path.
fn decode(text: &str) -> Result<String, ApiError> {
    if let Some(at) = invalid_escape(text) {
        return Err(ApiError::BadQuery(format!(
            "{text:?} in the query has a bad percent escape at byte {at}"
        )));
    }
    let spaced = text.replace('+', " ");
    match percent_decode_str(&spaced).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(ApiError::BadQuery(format!("{text:?} in the query is not valid UTF-8 when decoded"))),
    }
}

fn unknown(name: &str, allowed: &[Parameter]) -> ApiError {
    let names: Vec<&str> = allowed.iter().map(|parameter| parameter.name()).collect();
    let advice =
        if names.is_empty() { "it takes none".to_owned() } else { format!("it takes {}", names.join(", ")) };
    ApiError::BadQuery(format!("this route does not know the query parameter {name:?}: {advice}"))
}

pub(super) fn bad_value(name: &str, seen: Option<&str>, wanted: &str) -> ApiError {
    let seen = seen.map_or_else(|| "nothing".to_owned(), |value| format!("{value:?}"));
    ApiError::BadQuery(format!("the query parameter {name} is {seen}: give {wanted}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const ALL: &[Parameter] = &[
        Parameter::Timeout,
        Parameter::Consistency,
        Parameter::Wait,
        Parameter::Verbose,
        Parameter::Revision,
        Parameter::Ttl,
        Parameter::Lease,
        Parameter::Holder,
        Parameter::Prefix,
        Parameter::Start,
        Parameter::End,
        Parameter::After,
        Parameter::Limit,
        Parameter::Values,
        Parameter::Cursor,
    ];

    #[test]
    fn good_queries() {
        let (plain, given) = (Query::default, |text: &str| Some(text.to_owned()));
        let cases = [
            (None, plain()),
            (Some(""), plain()),
            (Some("&&"), plain()),
            (Some("timeout=250ms"), Query { timeout: Duration::from_millis(250), ..plain() }),
            (Some("timeout=1m"), Query { timeout: Duration::from_secs(60), ..plain() }),
            (Some("consistency=linearizable"), plain()),
            (Some("consistency=lease"), Query { level: ReadLevel::Lease, ..plain() }),
            (Some("consistency=stale"), Query { level: ReadLevel::Stale, ..plain() }),
            (Some("con%73istency=st%61le"), Query { level: ReadLevel::Stale, ..plain() }),
            (
                Some("wait=voter&timeout=2s"),
                Query { wait_for_voter: true, timeout: Duration::from_secs(2), ..plain() },
            ),
            (Some("verbose"), Query { verbose: true, ..plain() }),
            (Some("verbose="), Query { verbose: true, ..plain() }),
            (Some("verbose=false"), plain()),
            (Some("revision=7"), Query { revision: Some(Revision(7)), ..plain() }),
            (Some("ttl=1m30s"), Query { ttl_ms: Some(90_000), ..plain() }),
            (Some("lease=00000000000000aF"), Query { lease: Some(LeaseId(0xaf)), ..plain() }),
            (Some("ID=me+too"), Query { holder: Some("me too".to_owned()), ..plain() }),
            (Some("prefix=a%2F&limit=2"), Query { prefix: given("a/"), limit: Some(2), ..plain() }),
            (Some("prefix"), Query { prefix: given(""), ..plain() }),
            (
                Some("start=a&end=b&after=aa&values=false&cursor=x"),
                Query {
                    start: given("a"),
                    end: given("b"),
                    after: given("aa"),
                    values: Some(false),
                    cursor: given("x"),
                    ..plain()
                },
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(Query::parse(text, ALL).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn bad_queries_are_refused_and_say_why() {
        let cases = [
            ("timeout=0s", "from 1ms to 60s"),
            ("timeout=61s", "from 1ms to 60s"),
            ("timeout=5", "\"5\""),
            ("timeout=-5s", "\"-5s\""),
            ("timeout=+5s", "\" 5s\""),
            ("timeout=1.5s", "\"1.5s\""),
            ("timeout=s", "\"s\""),
            ("timeout=", "\"\""),
            ("timeout=99999999999999999999s", "from 1ms to 60s"),
            ("timeout=18446744073709551615m", "from 1ms to 60s"),
            ("timeout=1s&timeout=1s", "given twice"),
            ("consistency=strong", "linearizable, lease or stale"),
            ("consistency", "nothing"),
            ("wait=learner", "\"learner\""),
            ("verbose=1", "\"1\""),
            ("colour=red", "\"colour\""),
            ("revision=-1", "\"-1\""),
            ("revision", "nothing"),
            ("revision=18446744073709551615", "a revision"),
            ("ttl=999ms", "from 1s to 3650d"),
            ("ttl=3651d", "\"3651d\""),
            ("ttl=30", "\"30\""),
            ("ttl", "nothing"),
            ("lease=a1", "16 hex digits"),
            ("lease=00000000000000ag", "16 hex digits"),
            ("lease=%2B0000000000000a1", "16 hex digits"),
            ("limit=0", "from 1 on"),
            ("limit=+1", "from 1 on"),
            ("values=no", "true or false"),
            ("end=", "leave it out"),
            ("ID", "nothing"),
            ("=", "\"\""),
            ("%zz=1", "bad percent escape"),
            ("timeout=%FF", "not valid UTF-8"),
        ];
        for (text, expected) in cases {
            let error = Query::parse(Some(text), ALL).unwrap_err();
            assert_eq!(error.name().1, "bad_query", "{text}");
            assert!(error.to_string().contains(expected), "{text:?} gave {error}");
        }
    }

    #[test]
    fn a_route_refuses_what_another_takes() {
        let message = Query::parse(Some("wait=voter"), &[Parameter::Timeout]).unwrap_err().to_string();
        assert!(message.contains("\"wait\"") && message.contains("it takes timeout"), "{message}");
        let message = Query::parse(Some("timeout=1s"), &[]).unwrap_err().to_string();
        assert!(message.contains("it takes none"), "{message}");
    }

    #[test]
    fn timeouts_are_read_as_they_are_written() {
        for milliseconds in [1, 250, 5_000, 60_000] {
            let timeout = Duration::from_millis(milliseconds);
            assert_eq!(parse_timeout(&format_timeout(timeout)), Ok(timeout));
        }
        assert_eq!(format_timeout(Duration::ZERO), "1ms");
    }
}
