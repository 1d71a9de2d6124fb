//! A server that answers each request as its script says, byte for byte, and writes down what it was asked.

use quorate_client::{Client, Endpoint};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A timeout that is far away.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A timeout for what is tried until it passes.
pub(crate) const SHORT: Duration = Duration::from_millis(300);

/// What is answered to one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// The whole answer.
    Whole(u16, String, String),
    /// Headers, and the beginning of a body; then the connection breaks.
    Broken(String, String),
    /// Headers, and the beginning of a body; then nothing more.
    Open(String, String),
    /// The connection breaks without an answer.
    Nothing,
}

/// An answer without headers of its own.
pub(crate) fn whole(status: u16, body: &str) -> Reply {
    Reply::Whole(status, String::new(), body.to_owned())
}

/// The answer of an error.
pub(crate) fn error(status: u16, code: &str) -> Reply {
    whole(status, &format!(r#"{{"error":"words","code":"{code}"}}"#))
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Method and target.
    pub(crate) line: String,
    /// Headers, with lowercase names.
    pub(crate) headers: BTreeMap<String, String>,
    /// The body.
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Method and target without the deadline, which no script knows.
    pub(crate) fn call(&self) -> String {
        let without = |separator| self.line.rsplit_once(&format!("{separator}timeout="));
        without('?').or_else(|| without('&')).map_or(self.line.clone(), |(call, _)| call.to_owned())
    }
}

pub(crate) struct Server {
    pub(crate) endpoint: Endpoint,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// The last reply repeats.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, replies.clone(), Arc::clone(&log)));
            }
        });
        Self { endpoint, seen }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.seen().iter().map(Seen::call).collect()
    }

    pub(crate) fn client(&self) -> Client {
        client(&[self], PATIENCE)
    }
}

pub(crate) fn client(servers: &[&Server], timeout: Duration) -> Client {
    Client::new(servers.iter().map(|server| server.endpoint.clone()).collect(), timeout)
}

async fn serve(mut stream: TcpStream, replies: Vec<Reply>, log: Arc<Mutex<Vec<Seen>>>) {
    while let Some(seen) = request(&mut stream).await {
        let reply = {
            let mut log = log.lock().unwrap();
            log.push(seen);
            replies[(log.len() - 1).min(replies.len() - 1)].clone()
        };
        // A client that has gone away needs no answer.
        match reply {
            Reply::Whole(status, headers, body) => {
                let text = format!(
                    "HTTP/1.1 {status} Words\r\n{headers}Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(text.as_bytes()).await;
            }
            Reply::Broken(headers, body) => {
                let _ = stream.write_all(begun(&headers, &body).as_bytes()).await;
                return;
            }
            Reply::Open(headers, body) => {
                let _ = stream.write_all(begun(&headers, &body).as_bytes()).await;
            }
            Reply::Nothing => return,
        }
    }
}

fn begun(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n", body.len())
}

/// Reads a request; nothing when the connection has ended.
async fn request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        bytes.push(stream.read_u8().await.ok()?);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.split("\r\n");
    let line = lines.next()?.strip_suffix(" HTTP/1.1").unwrap().to_owned();
    let headers: BTreeMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { line, headers, body: String::from_utf8(body).unwrap() })
}
