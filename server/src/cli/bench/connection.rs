//! One keep-alive connection, and its prepared requests.

use crate::cli::bench::answer::{self, Answer};
use quorate_client::tls::{NO_AUTHORITY, Tls, explained};
use quorate_client::{Endpoint, Token};
use std::fmt;
use std::io;
use std::ops::Range;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// Keys have a number of this many digits, so that a request can be patched in place.
const KEY_DIGITS: usize = 8;
/// As many keys as those digits can number.
pub(crate) const MOST_KEYS: i64 = 100_000_000;

/// What is asked of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Put,
    Get,
}

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
        }
    }
}

/// With TLS or without.
trait Stream: AsyncRead + AsyncWrite + fmt::Debug + Unpin {}
impl<T: AsyncRead + AsyncWrite + fmt::Debug + Unpin> Stream for T {}

/// A connection that is made when it is needed, and again after it was lost.
#[derive(Debug)]
pub(crate) struct Connection {
    address: String,
    host: String,
    is_https: bool,
    tls: Option<Tls>,
    stream: Option<Box<dyn Stream>>,
    put: Prepared,
    get: Prepared,
    received: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(
        target: &Endpoint,
        (tls, token): (Option<&Tls>, Option<&Token>),
        value_bytes: usize,
    ) -> Self {
        let address = target.address().to_string();
        let host = target.address().host().to_owned();
        let (is_https, tls) = (target.is_https(), tls.cloned());
        let put = Prepared::new("POST", &address, token, Some(value_bytes));
        let get = Prepared::new("GET", &address, token, None);
        Self { address, host, is_https, tls, stream: None, put, get, received: Vec::with_capacity(4096) }
    }

    async fn dial(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect(&self.address).await?;
        stream.set_nodelay(true)?;
        if !self.is_https {
            return Ok(Box::new(stream));
        }
        let tls = self.tls.as_ref().ok_or_else(|| io::Error::other(NO_AUTHORITY))?;
        Ok(Box::new(tls.connect(&self.host, stream).await.map_err(explained)?))
    }

    /// Sends one request and returns the status of its answer.
    pub(crate) async fn call(&mut self, operation: Operation, key: u32) -> io::Result<u16> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.dial().await?,
        };
        let prepared = match operation {
            Operation::Put => &mut self.put,
            Operation::Get => &mut self.get,
        };
        stream.write_all(prepared.with_key(key)).await?;
        stream.flush().await?;
        let answer = read_answer(&mut *stream, &mut self.received).await?;
        if !answer.closes {
            self.stream = Some(stream);
        }
        Ok(answer.status)
    }
}

async fn read_answer(stream: &mut (dyn Stream + 'static), received: &mut Vec<u8>) -> io::Result<Answer> {
    received.clear();
    loop {
        if stream.read_buf(received).await? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the connection was closed before the answer",
            ));
        }
        match answer::parse(received) {
            Ok(None) => {}
            Ok(Some(answer)) if answer.bytes == received.len() => return Ok(answer),
            // Nothing was asked that more bytes could be an answer to.
            Ok(Some(_)) | Err(answer::Malformed) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the answer is malformed"));
            }
        }
    }
}

/// A whole request, in which only the key's number changes (and with it the start of the value, so that no two
/// writes of neighbouring keys are alike).
#[derive(Debug)]
struct Prepared {
    bytes: Vec<u8>,
    key_digits: Range<usize>,
    value_digits: Option<Range<usize>>,
}

impl Prepared {
    fn new(method: &str, host: &str, token: Option<&Token>, value_bytes: Option<usize>) -> Self {
        let start = format!("{method} /key/bench-");
        let key_digits = start.len()..start.len() + KEY_DIGITS;
        let length = value_bytes.map(|bytes| format!("content-length: {bytes}\r\n")).unwrap_or_default();
        let digits = "0".repeat(KEY_DIGITS);
        let token = token.and_then(|token| token.authorization().to_str().ok());
        let token = token.map(|token| format!("authorization: {token}\r\n")).unwrap_or_default();
        let head = format!("{start}{digits} HTTP/1.1\r\nhost: {host}\r\n{token}{length}\r\n");
        let mut bytes = head.into_bytes();
        let value_start = bytes.len();
        let value_bytes = value_bytes.unwrap_or(0);
        bytes.extend((b'a'..=b'z').cycle().take(value_bytes));
        let value_digits = (value_bytes >= KEY_DIGITS).then_some(value_start..value_start + KEY_DIGITS);
        Self { bytes, key_digits, value_digits }
    }

    fn with_key(&mut self, key: u32) -> &[u8] {
        let mut rest = key;
        for index in self.key_digits.clone().rev() {
            self.bytes[index] = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
        }
        if let Some(value_digits) = &self.value_digits {
            self.bytes.copy_within(self.key_digits.clone(), value_digits.start);
        }
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn requests_are_patched_in_place() {
        let mut put = Prepared::new("POST", "h:1", None, Some(10));
        let expected =
            "POST /key/bench-00000042 HTTP/1.1\r\nhost: h:1\r\ncontent-length: 10\r\n\r\n00000042ij";
        assert_eq!(put.with_key(42), expected.as_bytes());
        assert_eq!(put.with_key(99_999_999), expected.replace("00000042", "99999999").as_bytes());
        let mut small = Prepared::new("POST", "h:1", None, Some(3));
        assert!(small.with_key(42).ends_with(b"\r\n\r\nabc"));
        let token = Token::parse("q1.a.b").unwrap();
        let mut get = Prepared::new("GET", "h:1", Some(&token), None);
        let expected =
            "GET /key/bench-00000007 HTTP/1.1\r\nhost: h:1\r\nauthorization: Bearer q1.a.b\r\n\r\n";
        assert_eq!(get.with_key(7), expected.as_bytes());
    }
}
