//! A small blocking HTTP/1.1 client.
//!
//! It shares no code with the server or with Quorate's own client, on purpose: two ends that are wrong in the same
//! way would agree with each other. It keeps its connection, and tells apart what a test must tell apart: whether
//! a request that failed may have reached the server.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longer than the longest `?timeout=` that tests use, so that the server's own answer comes first.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, with lowercase names, in the order sent.
    pub headers: Vec<(String, String)>,
    /// The body, decoded when it was sent in chunks.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this (lowercase) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it isn't.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {} {}", self.status, self.text()))
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub enum RequestError {
    /// There was no connection, so the request has no effect.
    NotSent(io::Error),
    /// The request may have been received, and carried out.
    OutcomeUnknown(io::Error),
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(error) => write!(formatter, "not sent: {error}"),
            Self::OutcomeUnknown(error) => write!(formatter, "sent, but no answer: {error}"),
        }
    }
}

/// A client of one server, with at most one connection.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    answer_timeout: Duration,
    token: Option<String>,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    /// A client; it connects when first used, and again when its connection was closed.
    pub fn new(address: SocketAddr) -> Self {
        Self::with_timeout(address, ANSWER_TIMEOUT)
    }

    /// The same, with another limit for each wait for bytes.
    pub fn with_timeout(address: SocketAddr, answer_timeout: Duration) -> Self {
        Self { address, answer_timeout, token: None, connection: None }
    }

    /// The same, showing a token with each request, if there is one.
    #[must_use]
    pub fn bearing(self, token: Option<&str>) -> Self {
        Self { token: token.map(str::to_owned), ..self }
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// Without an answer; the variant says whether the request may have had an effect.
    pub fn request(&mut self, method: &str, target: &str, body: &[u8]) -> Result<Response, RequestError> {
        self.request_with(method, target, &[], body)
    }

    /// [`Self::request`] with headers of the caller's.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn request_with(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Response, RequestError> {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head.push_str(&format!("host: {}\r\n", self.address));
        }
        if let Some(token) = &self.token {
            head.push_str(&format!("authorization: Bearer {token}\r\n"));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() || matches!(method, "POST" | "PUT") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.exchange(&bytes, method == "HEAD")
    }

    /// Sends these very bytes, whatever they are, and reads one answer.
    ///
    /// # Errors
    /// As [`Self::request`].
    pub fn exchange(&mut self, bytes: &[u8], answer_has_no_body: bool) -> Result<Response, RequestError> {
        let mut connection = match self.connection.take() {
            Some(connection) if is_open(&connection) => connection,
            _ => self.connect().map_err(RequestError::NotSent)?,
        };
        // A server may answer, and close, before it has read a large request: the answer still counts.
        let sent = connection.get_mut().write_all(bytes);
        let response = read_response(&mut connection, answer_has_no_body)
            .map_err(|error| RequestError::OutcomeUnknown(sent.err().unwrap_or(error)))?;
        if response.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Ok(response)
    }

    /// Sends a request without a body on a connection of its own, and does not wait for the answer: the server may be
    /// paused.
    ///
    /// # Errors
    /// When it could not be sent.
    pub fn send(&self, method: &str, target: &str) -> io::Result<Sent> {
        let mut connection = self.connect()?;
        write!(connection.get_mut(), "{method} {target} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address)?;
        Ok(Sent { connection })
    }

    fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect_timeout(&self.address, CONNECT_TIMEOUT)?;
        stream.set_read_timeout(Some(self.answer_timeout))?;
        stream.set_write_timeout(Some(self.answer_timeout))?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    /// GETs a path.
    ///
    /// # Panics
    /// Without an answer.
    #[track_caller]
    pub fn get(&mut self, target: &str) -> Response {
        self.must("GET", target, b"")
    }

    /// POSTs a body.
    ///
    /// # Panics
    /// Without an answer.
    #[track_caller]
    pub fn post(&mut self, target: &str, body: &[u8]) -> Response {
        self.must("POST", target, body)
    }

    /// DELETEs a path.
    ///
    /// # Panics
    /// Without an answer.
    #[track_caller]
    pub fn delete(&mut self, target: &str) -> Response {
        self.must("DELETE", target, b"")
    }

    /// A request that must be answered.
    ///
    /// # Panics
    /// Without an answer.
    #[track_caller]
    pub fn must(&mut self, method: &str, target: &str, body: &[u8]) -> Response {
        let address = self.address;
        self.request(method, target, body)
            .unwrap_or_else(|error| panic!("{method} {target} at {address}: {error}"))
    }
}

/// A request on its way.
#[derive(Debug)]
pub struct Sent {
    connection: BufReader<TcpStream>,
}

impl Sent {
    /// Waits for the answer.
    ///
    /// # Errors
    /// When none comes.
    pub fn answer(mut self) -> io::Result<Response> {
        read_response(&mut self.connection, false)
    }
}

/// Whether a kept connection can still carry a request: one that the server closed meanwhile shows its end at once.
///
/// Without this look, a request on a dead connection would count as "may have been received".
fn is_open(connection: &BufReader<TcpStream>) -> bool {
    let stream = connection.get_ref();
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let nothing_yet = matches!(
        stream.peek(&mut [0; 1]), Err(error) if error.kind() == io::ErrorKind::WouldBlock
    );
    stream.set_nonblocking(false).is_ok() && nothing_yet
}

/// Reads one answer, of whatever kind of connection.
///
/// # Errors
/// When it is none, or not all of it comes.
pub fn read_response(reader: &mut impl BufRead, without_body: bool) -> io::Result<Response> {
    loop {
        let (status, headers) = read_head(reader)?;
        // 1xx answers are announcements; the real one follows.
        if status >= 200 {
            let mut response = Response { status, headers, body: Vec::new() };
            if !without_body && status != 204 && status != 304 {
                response.body = read_body(reader, &response)?;
            }
            return Ok(response);
        }
    }
}

fn read_head(reader: &mut impl BufRead) -> io::Result<(u16, Vec<(String, String)>)> {
    let status_line = read_line(reader)?;
    let status = status_line
        .strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1))
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| invalid(&status_line))?;
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid(&line))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn read_body(reader: &mut impl BufRead, response: &Response) -> io::Result<Vec<u8>> {
    if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return read_chunks(reader);
    }
    let mut body = Vec::new();
    match response.header("content-length") {
        Some(length) => {
            body.resize(length.parse().map_err(|_| invalid(length))?, 0);
            reader.read_exact(&mut body)?;
        }
        None => drop(reader.read_to_end(&mut body)?),
    }
    Ok(body)
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| invalid(&line))?;
        if size == 0 {
            while !read_line(reader)?.is_empty() {}
            return Ok(body);
        }
        let start = body.len();
        body.resize(start + size, 0);
        reader.read_exact(&mut body[start..])?;
        if !read_line(reader)?.is_empty() {
            return Err(invalid("a chunk that is longer than its size"));
        }
    }
}

fn read_line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not HTTP/1.1: {what:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(bytes: &str) -> io::Result<Response> {
        read_response(&mut bytes.as_bytes(), false)
    }

    #[test]
    fn a_body_ends_where_its_length_says() {
        let answer = response("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "ab"));
    }

    #[test]
    fn chunks_are_joined() {
        let answer = response(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n",
        );
        assert_eq!(answer.unwrap().text(), "abc0123456789");
    }

    #[test]
    fn announcements_are_skipped() {
        let answer =
            response("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(answer.unwrap().status, 404);
    }

    #[test]
    fn a_cut_answer_is_an_error() {
        for cut in
            ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", "SSH-2.0\r\n"]
        {
            assert!(response(cut).is_err(), "{cut:?}");
        }
    }
}
