//! The base URL of a node.

use crate::address::{Address, AddressError};
use std::fmt;
use std::str::FromStr;

/// Where a node serves HTTP: `http://host:port`, or `https://host:port` over TLS, without a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    address: Address,
    is_https: bool,
}

/// Why a text is not an [`Endpoint`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// It begins with something other than `http://` or `https://`.
    #[error("it does not begin with http:// or https://; write for example http://{0}")]
    NoScheme(String),
    /// More than a host and a port.
    #[error("an endpoint has no path, query or user; write only the scheme, host and port, without {0:?}")]
    Trailing(String),
    /// The part after `://` is no address.
    #[error("{0}")]
    Address(#[from] AddressError),
    /// Port 0 can't be dialled.
    #[error("port 0 can't be dialled; write the port that the node serves on")]
    PortZero,
}

impl Endpoint {
    /// Plain HTTP at an address.
    pub fn new(address: Address) -> Self {
        Self { address, is_https: false }
    }

    /// HTTP over TLS at an address.
    pub fn https(address: Address) -> Self {
        Self { address, is_https: true }
    }

    /// Whether it is spoken to over TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// The host and port to dial.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Takes `http://host:port` and `https://host:port`; the port may be left out (80, or 443), and a final slash is
    /// ignored.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let (is_https, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some((_, rest)) => return Err(EndpointError::NoScheme(rest.to_owned())),
            None if text.is_empty() => return Err(EndpointError::NoScheme("127.0.0.1:8080".to_owned())),
            None => return Err(EndpointError::NoScheme(text.to_owned())),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if let Some(start) = authority.find(['/', '?', '#']) {
            return Err(EndpointError::Trailing(authority[start..].to_owned()));
        }
        if let Some(end) = authority.find('@') {
            return Err(EndpointError::Trailing(authority[..=end].to_owned()));
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
        let default_port = if is_https { 443 } else { 80 };
        let address: Address =
            if has_port { authority.parse()? } else { format!("{authority}:{default_port}").parse()? };
        if address.port() == 0 {
            return Err(EndpointError::PortZero);
        }
        Ok(Self { address, is_https })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}", if self.is_https { "https" } else { "http" }, self.address)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn good_endpoints() {
        let cases = [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost:8080/", "http://localhost:8080"),
            ("http://node-1", "http://node-1:80"),
            ("http://[::1]", "http://[::1]:80"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("https://node-1:8080/", "https://node-1:8080"),
            ("https://node-1", "https://node-1:443"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn bad_endpoints_say_what_to_write_instead() {
        let cases = [
            ("", "write for example http://127.0.0.1:8080"),
            ("127.0.0.1:8080", "write for example http://127.0.0.1:8080"),
            ("ftp://a:1", "write for example http://a:1"),
            ("https://a:1/key", "without \"/key\""),
            ("http://a:1/key", "without \"/key\""),
            ("http://a:1?x", "without \"?x\""),
            ("http://user:word@a:1", "without \"user:word@\""),
            ("http://a:b", "\"b\" is not a number"),
            ("http://a:0", "port 0"),
            ("http://", "no host"),
        ];
        for (text, expected) in cases {
            let message = text.parse::<Endpoint>().unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?} gave {message:?}");
        }
    }
}
