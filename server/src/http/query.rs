//! The part of a request after the `?`.

use std::time::Duration;

use percent_encoding::percent_decode_str;
use quorate_node::ReadLevel;

use super::error::ApiError;
use super::key::invalid_escape;

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
}

/// What a query says. A route that does not take a parameter sees its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// How long the request may take.
    pub(crate) timeout: Duration,
    /// How fresh a read must be.
    pub(crate) level: ReadLevel,
    /// Answer only when the new member votes.
    pub(crate) wait_for_voter: bool,
    /// Answer in detail.
    pub(crate) verbose: bool,
}

impl Default for Query {
    fn default() -> Self {
        Query {
            timeout: DEFAULT_TIMEOUT,
            level: ReadLevel::Linearizable,
            wait_for_voter: false,
            verbose: false,
        }
    }
}

impl Parameter {
    fn name(self) -> &'static str {
        match self {
            Parameter::Timeout => "timeout",
            Parameter::Consistency => "consistency",
            Parameter::Wait => "wait",
            Parameter::Verbose => "verbose",
        }
    }
}

impl Query {
    /// Reads a query, of which only the parameters in `allowed` may occur, each once.
    ///
    /// # Errors
    /// `bad_query`: a parameter that this route does not take is never ignored, because it might have meant something.
    pub(crate) fn parse(query: Option<&str>, allowed: &[Parameter]) -> Result<Query, ApiError> {
        let mut parsed = Query::default();
        let mut seen: Vec<Parameter> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
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
            parsed.set(*parameter, value.as_deref())?;
        }
        Ok(parsed)
    }

    fn set(&mut self, parameter: Parameter, value: Option<&str>) -> Result<(), ApiError> {
        match (parameter, value) {
            (Parameter::Timeout, value) => self.timeout = parse_timeout(value.unwrap_or_default())?,
            (Parameter::Consistency, Some("linearizable")) => self.level = ReadLevel::Linearizable,
            (Parameter::Consistency, Some("lease")) => self.level = ReadLevel::Lease,
            (Parameter::Consistency, Some("stale")) => self.level = ReadLevel::Stale,
            (Parameter::Wait, Some("voter")) => self.wait_for_voter = true,
            (Parameter::Verbose, None | Some("" | "true")) => self.verbose = true,
            (Parameter::Verbose, Some("false")) => self.verbose = false,
            (Parameter::Consistency, other) => {
                return Err(bad_value("consistency", other, "linearizable, lease or stale"));
            }
            (Parameter::Wait, other) => return Err(bad_value("wait", other, "voter")),
            (Parameter::Verbose, other) => {
                return Err(bad_value("verbose", other, "true or false, or no value"));
            }
        }
        Ok(())
    }
}

/// A time as in `5s`, `250ms` or `1m`: a whole number above zero and a unit.
///
/// # Errors
/// `bad_query`, also when it is above [`MAX_TIMEOUT`].
pub(crate) fn parse_timeout(text: &str) -> Result<Duration, ApiError> {
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
pub(super) fn decode(text: &str) -> Result<String, ApiError> {
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

    const ALL: &[Parameter] =
        &[Parameter::Timeout, Parameter::Consistency, Parameter::Wait, Parameter::Verbose];

    #[test]
    fn good_queries() {
        let plain = Query::default();
        let cases = [
            (None, plain),
            (Some(""), plain),
            (Some("&&"), plain),
            (Some("timeout=250ms"), Query { timeout: Duration::from_millis(250), ..plain }),
            (Some("timeout=1m"), Query { timeout: Duration::from_secs(60), ..plain }),
            (Some("consistency=linearizable"), plain),
            (Some("consistency=lease"), Query { level: ReadLevel::Lease, ..plain }),
            (Some("consistency=stale"), Query { level: ReadLevel::Stale, ..plain }),
            (Some("con%73istency=st%61le"), Query { level: ReadLevel::Stale, ..plain }),
            (
                Some("wait=voter&timeout=2s"),
                Query { wait_for_voter: true, timeout: Duration::from_secs(2), ..plain },
            ),
            (Some("verbose"), Query { verbose: true, ..plain }),
            (Some("verbose="), Query { verbose: true, ..plain }),
            (Some("verbose=false"), plain),
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
            ("ttl=30s", "\"ttl\""),
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
