//! The load on etcd's own interface, gRPC. Its messages have two fields at most, so they are written by hand.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::{Connection, SendRequest};
use http::Request;
use tokio::net::TcpStream;

use crate::keys::{self, KEYS, Random, VALUE_BYTES};
use crate::results::{Latencies, Operation};
use crate::wrk::Outcome;

/// So many clients share a connection, as in the benchmarks of etcd's documentation.
const CLIENTS_PER_CONNECTION: usize = 10;

/// Keeps so many clients busy, one request under way for each.
pub(crate) fn run(
    address: SocketAddr,
    operation: Operation,
    clients: usize,
    seconds: u64,
) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, load(address, operation, clients, seconds))
}

async fn load(address: SocketAddr, operation: Operation, clients: usize, seconds: u64) -> Result<Outcome> {
    let mut senders = Vec::new();
    for _ in 0..clients.div_ceil(CLIENTS_PER_CONNECTION) {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection): (SendRequest<Bytes>, Connection<_, Bytes>) =
            h2::client::handshake(stream).await?;
        tokio::task::spawn_local(connection);
        senders.push(sender);
    }
    let began = Instant::now();
    let end = began + Duration::from_secs(seconds);
    let tasks: Vec<_> = (0..clients)
        .map(|client| {
            let sender = senders[client % senders.len()].clone();
            tokio::task::spawn_local(work(sender, address, operation, client, end))
        })
        .collect();
    let mut times_us = Vec::new();
    for task in tasks {
        times_us.extend(task.await??);
    }
    let seconds = began.elapsed().as_secs_f64();
    let operations = times_us.len() as f64;
    Ok(Outcome { operations, seconds, errors: 0, latencies: Latencies::of(times_us) })
}

/// One client: one request after the other. How long each took, in microseconds.
async fn work(
    mut sender: SendRequest<Bytes>,
    address: SocketAddr,
    operation: Operation,
    client: usize,
    end: Instant,
) -> Result<Vec<u32>> {
    let method = match operation {
        Operation::Put => "Put",
        Operation::Get => "Range",
    };
    let target = format!("http://{address}/etcdserverpb.KV/{method}");
    let mut times_us = Vec::new();
    let mut random = Random::new(client as u64);
    while Instant::now() < end {
        let began = Instant::now();
        let key = keys::name(random.one_of(KEYS));
        call(&mut sender, &target, message(&key, operation)).await?;
        times_us.push(u32::try_from(began.elapsed().as_micros())?);
    }
    Ok(times_us)
}

/// A `PutRequest` or `RangeRequest`: field 1 is the key, field 2 of the former the value; before it, five bytes that
/// say "not compressed" and how long it is.
fn message(key: &str, operation: Operation) -> Bytes {
    let mut message = BytesMut::with_capacity(300);
    message.put_bytes(0, 5);
    message.put_slice(&[0x0a, key.len() as u8]);
    message.put_slice(key.as_bytes());
    if operation == Operation::Put {
        // A length of two bytes: seven bits each, the lower ones first.
        message.put_slice(&[0x12, (VALUE_BYTES & 0x7f) as u8 | 0x80, (VALUE_BYTES >> 7) as u8]);
        message.put_bytes(b'x', VALUE_BYTES);
    }
    let length = (message.len() - 5) as u32;
    message[1..5].copy_from_slice(&length.to_be_bytes());
    message.freeze()
}

async fn call(sender: &mut SendRequest<Bytes>, target: &str, message: Bytes) -> Result<()> {
    let request =
        Request::post(target).header("content-type", "application/grpc").header("te", "trailers").body(())?;
    poll_fn(|context| sender.poll_ready(context)).await?;
    let (answer, mut body) = sender.send_request(request, false)?;
    body.send_data(message, true)?;
    let mut answer = answer.await?.into_body();
    while let Some(part) = answer.data().await {
        answer.flow_control().release_capacity(part?.len())?;
    }
    let trailers = answer.trailers().await?.context("an answer without trailers")?;
    let status = trailers.get("grpc-status").context("an answer without grpc-status")?;
    ensure!(status == "0", "grpc-status {status:?}: {:?}", trailers.get("grpc-message"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_protobuf_writes_them() {
        let put = message("key-1", Operation::Put);
        // Not compressed, 266 bytes; field 1 of 5 bytes; field 2 of 256 bytes.
        assert_eq!(put[..12], [0, 0, 0, 1, 10, 0x0a, 5, b'k', b'e', b'y', b'-', b'1']);
        assert_eq!(put[12..15], [0x12, 0x80, 2]);
        assert_eq!(put.len(), 5 + 266);
        assert_eq!(message("k", Operation::Get)[..], [0, 0, 0, 0, 3, 0x0a, 1, b'k']);
    }
}
