//! `host:port`, as flags, files and bodies write it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host (name, IPv4 or IPv6 address) and a TCP port. Written `host:port`, with brackets around an IPv6 address.
///
/// Invariants: the host is an IP address, or 1 to 253 letters, digits, `.`, `-` and `_`. Port 0 stands for "any free
/// port" where something listens, and is never a thing to dial.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    host: String,
    port: u16,
}

/// Why a text is not an [`Address`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Only a host, or nothing at all.
    #[error("it has no port; write host:port, for example 127.0.0.1:8080")]
    NoPort,
    /// Only a number: surely a port.
    #[error("it has no host; write 127.0.0.1:{0}")]
    OnlyPort(u16),
    /// `:8080`, which elsewhere means every interface.
    #[error("it has no host; write 127.0.0.1{0} for this machine only, or 0.0.0.0{0} for every interface")]
    NoHost(String),
    /// The port is not a number from 0 to 65535.
    #[error("its port {0:?} is not a number from 0 to 65535")]
    BadPort(String),
    /// The host can't be a host name.
    #[error("its host {0:?} is neither an IP address nor a host name")]
    BadHost(String),
    /// An IPv6 address without brackets, whose last group would be taken for the port.
    #[error("an IPv6 address needs brackets before the port; write for example [::1]:8080")]
    NoBrackets,
}

impl Address {
    /// An address of parts.
    ///
    /// # Errors
    /// When `host` (without brackets) is neither an IP address nor a host name.
    pub fn new(host: &str, port: u16) -> Result<Self, AddressError> {
        let name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_name = !host.is_empty() && host.len() <= 253 && host.bytes().all(name_byte);
        if !is_name && host.parse::<IpAddr>().is_err() {
            return Err(AddressError::BadHost(host.to_owned()));
        }
        Ok(Self { host: host.to_owned(), port })
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 where any free port will do.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same host with another port.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self { host: self.host.clone(), port }
    }

    /// Whether only this machine can dial it: a loopback address, or the name `localhost`. What another name leads to
    /// is not known.
    pub fn is_loopback(&self) -> bool {
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(is_loopback)
    }

    /// Whether this is `0.0.0.0` or `::`: fine to listen on, impossible to dial from elsewhere.
    pub fn is_unspecified(&self) -> bool {
        self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| match text.parse() {
            Ok(port) => AddressError::OnlyPort(port),
            Err(_) => AddressError::NoPort,
        })?;
        let bare_host = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inside) => inside,
            None if host.contains(':') => return Err(AddressError::NoBrackets),
            None if host.is_empty() => return Err(AddressError::NoHost(text.to_owned())),
            None => host,
        };
        if port.is_empty() {
            return Err(AddressError::NoPort);
        }
        // `u16::from_str` would take "+80".
        let all_digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(number) if all_digits => Self::new(bare_host, number),
            _ => Err(AddressError::BadPort(port.to_owned())),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn good_addresses_are_written_as_they_were_read() {
        for text in ["127.0.0.1:8080", "localhost:0", "[::1]:8080", "node-1.example.com:65535", "my_node:1"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("[::1]:80".parse::<Address>().unwrap().host(), "::1");
    }

    #[test]
    fn bad_addresses_say_what_to_write_instead() {
        let cases = [
            ("", "no port"),
            ("localhost", "no port"),
            ("localhost:", "no port"),
            ("8080", "write 127.0.0.1:8080"),
            (":8080", "0.0.0.0:8080 for every interface"),
            ("localhost:http", "\"http\" is not a number"),
            ("localhost:65536", "\"65536\" is not a number"),
            ("localhost:+80", "\"+80\" is not a number"),
            ("::1:8080", "needs brackets"),
            ("[::zz]:8080", "\"::zz\" is neither"),
            ("a host:8080", "\"a host\" is neither"),
            ("[]:8080", "\"\" is neither"),
        ];
        for (text, expected) in cases {
            let message = text.parse::<Address>().unwrap_err().to_string();
            assert!(message.contains(expected), "{text:?} gave {message:?}");
        }
    }

    #[test]
    fn loopback_is_what_only_this_machine_can_dial() {
        let loopback = ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1", "LocalHost:1"];
        let others =
            ["0.0.0.0:1", "[::]:1", "10.0.0.1:1", "[::ffff:10.0.0.1]:1", "node:1", "localhost.evil:1"];
        for (texts, expected) in [(&loopback[..], true), (&others, false)] {
            for text in texts {
                assert_eq!(text.parse::<Address>().unwrap().is_loopback(), expected, "{text}");
            }
        }
    }

    #[test]
    fn only_the_two_wildcards_are_unspecified() {
        for (text, expected) in
            [("0.0.0.0:1", true), ("[::]:1", true), ("127.0.0.1:1", false), ("localhost:1", false)]
        {
            assert_eq!(text.parse::<Address>().unwrap().is_unspecified(), expected, "{text}");
        }
    }
}
