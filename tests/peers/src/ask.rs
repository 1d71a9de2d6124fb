//! Single requests, to look at servers and to steer them; the load is put on by others.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

const TIMEOUT: Duration = Duration::from_secs(5);

/// Asks over a connection of its own; the status and the body of the answer.
pub(crate) fn ask(address: SocketAddr, method: &str, target: &str, body: &str) -> Result<(u16, String)> {
    ask_for(address, method, target, body, TIMEOUT)
}

/// The same, for what takes long.
pub(crate) fn ask_for(
    address: SocketAddr,
    method: &str,
    target: &str,
    body: &str,
    timeout: Duration,
) -> Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    let length = body.len();
    let head = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
    let status = head.split(' ').nth(1).context("the answer has no status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// Asks for JSON, which must come with 200.
pub(crate) fn ask_json(address: SocketAddr, method: &str, target: &str, body: &str) -> Result<Value> {
    let (status, body) = ask(address, method, target, body)?;
    ensure!(status == 200, "{method} {target}: {status} {body}");
    Ok(serde_json::from_str(&body)?)
}
