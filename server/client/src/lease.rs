//! Leases: keys that go together when nobody keeps them alive.

use crate::client::Client;
use crate::entry::LeaseId;
use crate::error::ClientError;
use crate::exchange::{Call, Effect};
use crate::kept::KeptLease;
use hyper::Method;
use serde::{Deserialize, Deserializer, Serialize};
use std::time::{Duration, Instant};

/// A lease that was begun or kept alive.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Lease {
    /// Its name.
    #[serde(rename = "lease")]
    pub id: LeaseId,
    /// How long it lives without being kept alive.
    #[serde(deserialize_with = "duration")]
    pub ttl: Duration,
}

/// What the cluster knows of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct LeaseState {
    /// Its name.
    #[serde(rename = "lease")]
    pub id: LeaseId,
    /// How long it lives without being kept alive, as in `30s`.
    pub ttl: String,
    /// How long it lives still, as in `12.3s`.
    pub remaining: String,
    /// The keys that go with it.
    pub keys: Vec<String>,
}

impl Client {
    /// Begins a lease: 1 s to 10 years.
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when there may be a lease now that nobody knows; it ends by itself.
    pub async fn grant(&self, ttl: Duration) -> Result<Lease, ClientError> {
        let body = serde_json::json!({ "ttl": ttl_text(ttl) }).to_string().into();
        self.call_for(Call::write(Method::POST, "/leases".to_owned()).with_json(body)).await
    }

    /// Lets a lease live for its whole time again.
    ///
    /// # Errors
    /// [`ClientError::LeaseNotFound`] when it has ended.
    pub async fn keep_alive(&self, lease: &LeaseId) -> Result<Lease, ClientError> {
        let call = Call::write(Method::POST, format!("/leases/{lease}/keepalive"));
        // Done twice it is the same as once, so it needs no key.
        self.call_for(Call { effect: Effect::Repeatable, ..call }).await
    }

    /// What there is to know about a lease.
    ///
    /// # Errors
    /// [`ClientError::LeaseNotFound`] when it has ended.
    pub async fn lease(&self, lease: &LeaseId) -> Result<LeaseState, ClientError> {
        self.call_for(Call::read(format!("/leases/{lease}"))).await
    }

    /// Ends a lease, and deletes its keys.
    ///
    /// # Errors
    /// [`ClientError::LeaseNotFound`] when it has ended already.
    pub async fn revoke(&self, lease: &LeaseId) -> Result<(), ClientError> {
        self.call(Call::write(Method::DELETE, format!("/leases/{lease}"))).await.map(drop)
    }

    /// Begins a lease and keeps it alive in the background, until what is returned is dropped.
    ///
    /// ```no_run
    /// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::ClientError> {
    /// # use std::time::Duration;
    /// let mut lease = client.grant_kept(Duration::from_secs(15)).await?;
    /// client.put("services/mail/1", "10.0.0.7:25".into()).lease(lease.id()).await?;
    /// lease.lost().await;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Client::grant`].
    pub async fn grant_kept(&self, ttl: Duration) -> Result<KeptLease, ClientError> {
        let asked_at = Instant::now();
        let lease = self.grant(ttl).await?;
        Ok(KeptLease::start(self, lease, asked_at))
    }
}

impl std::str::FromStr for LeaseId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_one = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_one
            .then(|| LeaseId(text.to_ascii_lowercase()))
            .ok_or_else(|| "a lease is 16 hex digits".to_owned())
    }
}

/// A time to live as the server reads it.
pub(crate) fn ttl_text(ttl: Duration) -> String {
    format!("{}ms", ttl.as_millis())
}

/// Reads a time as the server writes it: numbers with units, as in `30s`, `1500ms` or `1h30m`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_duration(&text).ok_or_else(|| serde::de::Error::custom(format!("{text:?} is no duration")))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() || text.is_empty() {
        let number = rest.find(|character: char| !character.is_ascii_digit())?;
        let unit = rest[number..].find(|character: char| character.is_ascii_digit());
        let unit = unit.map_or(rest.len(), |length| number + length);
        let milliseconds: u64 = match &rest[number..unit] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let part = rest[..number].parse::<u64>().ok()?.checked_mul(milliseconds)?;
        sum = sum.checked_add(Duration::from_millis(part))?;
        rest = &rest[unit..];
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_the_server_writes_them() {
        let cases = [
            ("30s", 30_000),
            ("1500ms", 1_500),
            ("1h30m", 5_400_000),
            ("3650d", 315_360_000_000),
            ("1m1ms", 60_001),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in ["", "s", "30", "30x", "30s5", "1.5s", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_lease_is_sixteen_hex_digits() {
        assert_eq!("00000000000000A1".parse(), Ok(LeaseId("00000000000000a1".to_owned())));
        for text in ["", "a1", "00000000000000g1", "00000000000000a11"] {
            assert!(text.parse::<LeaseId>().is_err(), "{text}");
        }
    }
}
