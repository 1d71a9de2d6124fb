//! Puts over HTTP/1.1 that write each key once, or any key at random; wrk knows neither how many nor which are written.
//! Both systems get them from the same connections of the same thread.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clusters::Kind;
use crate::keys::{self, Random, VALUE_BYTES};
use crate::results::Latencies;

/// One request is under way on each.
pub(crate) const CONNECTIONS: usize = 64;

/// Which keys are written next; nothing when it is enough.
pub(crate) type NextKey<'a> = Box<dyn FnMut() -> Option<usize> + 'a>;

/// Each of these once.
pub(crate) fn in_order<'a>(mut keys: Range<usize>) -> NextKey<'a> {
    Box::new(move || keys.next())
}

/// Any of so many, as long as it is wanted.
pub(crate) fn at_random<'a>(keys: usize, mut goes_on: impl FnMut() -> bool + 'a) -> NextKey<'a> {
    let mut random = Random::new(1);
    Box::new(move || goes_on().then(|| random.one_of(keys)))
}

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Loaded {
    pub(crate) per_second: f64,
    pub(crate) latencies: Latencies,
    /// The longest time in which no put at all was answered.
    pub(crate) silence_us: f64,
}

/// What all connections share.
struct Shared<'a> {
    kind: Kind,
    address: SocketAddr,
    next_key: RefCell<NextKey<'a>>,
    times_us: RefCell<Vec<u32>>,
    answered_at: Cell<Instant>,
    silence_us: Cell<f64>,
}

/// Writes until there is no next key.
pub(crate) fn put(kind: Kind, address: SocketAddr, next_key: NextKey<'_>) -> Result<Loaded> {
    let began = Instant::now();
    let shared = Rc::new(Shared {
        kind,
        address,
        next_key: RefCell::new(next_key),
        times_us: RefCell::default(),
        answered_at: Cell::new(began),
        silence_us: Cell::new(0.0),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connections = (0..CONNECTIONS).map(|_| work(Rc::clone(&shared)));
        futures_util::future::try_join_all(connections).await
    })?;
    let times_us = shared.times_us.take();
    let per_second = times_us.len() as f64 / began.elapsed().as_secs_f64();
    Ok(Loaded { per_second, latencies: Latencies::of(times_us), silence_us: shared.silence_us.get() })
}

async fn work(shared: Rc<Shared<'_>>) -> Result<()> {
    let mut stream = TcpStream::connect(shared.address).await?;
    stream.set_nodelay(true)?;
    let (mut request, mut answer) = (Vec::new(), Vec::new());
    loop {
        let Some(key) = shared.next_key.borrow_mut()() else { return Ok(()) };
        write_request(&mut request, shared.kind, shared.address, key)?;
        let sent = Instant::now();
        stream.write_all(&request).await?;
        answer.clear();
        while !is_whole(&answer)? {
            ensure!(stream.read_buf(&mut answer).await? > 0, "the connection was closed");
        }
        let now = Instant::now();
        shared.times_us.borrow_mut().push(u32::try_from((now - sent).as_micros())?);
        let silence_us = (now - shared.answered_at.replace(now)).as_secs_f64() * 1e6;
        shared.silence_us.set(shared.silence_us.get().max(silence_us));
    }
}

fn write_request(request: &mut Vec<u8>, kind: Kind, address: SocketAddr, key: usize) -> Result<()> {
    use std::io::Write as _;
    let key = keys::name(key);
    let value = [b'x'; VALUE_BYTES];
    request.clear();
    match kind {
        Kind::Quorate => {
            write!(
                request,
                "POST /key/{key} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {VALUE_BYTES}\r\n\r\n"
            )?;
            request.extend(value);
        }
        Kind::Etcd => {
            let (key, value) = (STANDARD.encode(key), STANDARD.encode(value));
            let body = format!(r#"{{"key":"{key}","value":"{value}"}}"#);
            let length = body.len();
            write!(
                request,
                "POST /v3/kv/put HTTP/1.1\r\nHost: {address}\r\nContent-Length: {length}\r\n\r\n{body}"
            )?;
        }
    }
    Ok(())
}

/// Whether this is a whole answer, which must be a good one.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return Ok(false) };
    let head = std::str::from_utf8(&answer[..end])?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{}", String::from_utf8_lossy(answer));
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
    });
    Ok(answer.len() >= end + 4 + length.context("an answer without a length")??)
}
