//! The real world: the one module that uses tokio's clock, scheduler and sockets, signals and threads.
//!
//! Everything else in the crate goes through the seams [`Runtime`] and [`Net`], and so runs under simulation too.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this module is where they are allowed"
)]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_node::raft::Time;
use tokio::net::{TcpListener, TcpStream};

use crate::net::{Listener, Net};
use crate::runtime::Runtime;

/// tokio, and the operating system's randomness.
#[derive(Clone, Copy, Debug)]
pub struct RealRuntime {
    started: std::time::Instant,
}

impl RealRuntime {
    /// A clock that starts now. Tasks are spawned on the tokio runtime of the caller.
    pub fn start() -> Self {
        RealRuntime { started: std::time::Instant::now() }
    }
}

impl Runtime for RealRuntime {
    fn now(&self) -> Time {
        Time(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(future);
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        tokio::time::sleep(duration)
    }

    fn random(&self) -> u64 {
        rand::random()
    }
}

/// TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealNet;

impl Net for RealNet {
    type Stream = TokioIo<TcpStream>;
    type Listener = RealListener;

    async fn listen(&self, address: &str) -> io::Result<RealListener> {
        TcpListener::bind(address).await.map(RealListener)
    }

    async fn dial(&self, address: &str) -> io::Result<Self::Stream> {
        prepared(TcpStream::connect(address).await?)
    }
}

/// Where TCP connections arrive.
#[derive(Debug)]
pub struct RealListener(TcpListener);

impl Listener for RealListener {
    type Stream = TokioIo<TcpStream>;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        Ok((prepared(stream)?, from))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Every message is small and waited for: Nagle's algorithm would hold it back for an acknowledgement.
fn prepared(stream: TcpStream) -> io::Result<TokioIo<TcpStream>> {
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}
