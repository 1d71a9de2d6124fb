//! A network whose connections are TLS ones where they have to be.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::header::HeaderValue;
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use quorate_client::tls::{Tls, explained};

use super::accept::{Door, shake_hands};
use super::keyring::{Keyring, Keys, Side};
use super::stream::TlsStream;
use crate::http::PLAIN_TO_TLS;
use crate::net::{Certified, Listener, Net};
use crate::runtime::Runtime;
use crate::said::Said;
use crate::tokens::Credentials;

/// TLS over another network, as far as there are keys for it, and a token, if this node has one.
#[derive(Clone)]
pub struct TlsNet<R, N> {
    runtime: R,
    net: N,
    keyring: Arc<Keyring>,
    credentials: Arc<Credentials>,
}

impl<R: Runtime, N: Net> TlsNet<R, N> {
    pub(crate) fn new(runtime: R, net: N, keyring: Arc<Keyring>, credentials: Arc<Credentials>) -> Self {
        TlsNet { runtime, net, keyring, credentials }
    }

    /// Its keys.
    pub(crate) fn keyring(&self) -> &Arc<Keyring> {
        &self.keyring
    }

    /// Listens for HTTP.
    ///
    /// # Errors
    /// What the network says.
    pub(crate) async fn listen_http(&self, address: &str) -> io::Result<TlsListener<R, N>> {
        self.listener(address, |keys| keys.https.clone(), PLAIN_TO_TLS.as_bytes(), Some(Said::default()))
            .await
    }

    /// Listens for peers.
    ///
    /// # Errors
    /// What the network says.
    pub(crate) async fn listen_peers(&self, address: &str) -> io::Result<TlsListener<R, N>> {
        self.listener(address, |keys| keys.peers.as_ref().map(|(side, _)| side.clone()), b"", None).await
    }

    async fn listener(
        &self,
        address: &str,
        side: fn(&Keys) -> Option<Side>,
        plain_answer: &'static [u8],
        said: Option<Said>,
    ) -> io::Result<TlsListener<R, N>> {
        Ok(TlsListener {
            inner: self.net.listen(address).await?,
            runtime: self.runtime.clone(),
            keyring: Arc::clone(&self.keyring),
            side,
            door: Arc::new(Door { plain_answer, said }),
        })
    }

    async fn dial_tls(&self, address: &str, tls: &Tls) -> io::Result<TlsStream<N::Stream>> {
        let stream = self.net.dial(address).await?;
        let connected = tls.connect(host(address), TokioIo::new(stream)).await;
        Ok(TlsStream::dialed(TokioIo::new(connected.map_err(explained)?)))
    }
}

impl<R: Runtime, N: Net> Net for TlsNet<R, N> {
    type Stream = TlsStream<N::Stream>;
    type Listener = TlsListener<R, N>;

    async fn listen(&self, address: &str) -> io::Result<Self::Listener> {
        self.listener(address, |_| None, b"", None).await
    }

    async fn dial(&self, address: &str) -> io::Result<Self::Stream> {
        self.net.dial(address).await.map(TlsStream::plain)
    }

    async fn dial_peer(&self, address: &str) -> io::Result<Self::Stream> {
        match &self.keyring.current().peers {
            Some((_, tls)) => self.dial_tls(address, tls).await,
            None => self.dial(address).await,
        }
    }

    fn credentials(&self) -> Option<HeaderValue> {
        self.credentials.current()
    }

    async fn dial_https(&self, address: &str) -> io::Result<Self::Stream> {
        match &self.keyring.current().client {
            Some(tls) => self.dial_tls(address, tls).await,
            None => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "its URL is https, and this node was told no CA to believe: give --tls-ca",
            )),
        }
    }
}

/// The host of `host:port`, an IPv6 address without its brackets.
fn host(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Where connections of a [`TlsNet`] arrive.
pub struct TlsListener<R, N: Net> {
    inner: N::Listener,
    runtime: R,
    keyring: Arc<Keyring>,
    side: fn(&Keys) -> Option<Side>,
    door: Arc<Door>,
}

impl<R: Runtime, N: Net> TlsListener<R, N> {
    fn received(&self, stream: N::Stream, from: SocketAddr) -> TlsStream<N::Stream> {
        match (self.side)(&self.keyring.current()) {
            None => TlsStream::plain(stream),
            Some(side) => shaking_hands(&self.runtime, stream, (side, &self.door), from),
        }
    }
}

fn shaking_hands<R: Runtime, S: Read + Write + Unpin + Send + 'static>(
    runtime: &R,
    stream: S,
    (side, door): (Side, &Arc<Door>),
    from: SocketAddr,
) -> TlsStream<S> {
    let certified = Certified::default();
    let told = (side, Arc::clone(door), certified.clone());
    TlsStream::shaking_hands(shake_hands(runtime.clone(), stream, told, from), certified)
}

impl<R: Runtime, N: Net> Listener for TlsListener<R, N> {
    type Stream = TlsStream<N::Stream>;

    async fn accept(&mut self) -> io::Result<(Self::Stream, SocketAddr)> {
        let (stream, from) = self.inner.accept().await?;
        Ok((self.received(stream, from), from))
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.local_address()
    }

    fn certified(stream: &Self::Stream) -> Certified {
        stream.certified()
    }

    fn close(self) -> Vec<Self::Stream> {
        // Nobody asks any more where they come from.
        let from = SocketAddr::from(([0, 0, 0, 0], 0));
        let TlsListener { inner, runtime, keyring, side, door } = self;
        let side = side(&keyring.current());
        let received = |stream| match &side {
            None => TlsStream::plain(stream),
            Some(side) => shaking_hands(&runtime, stream, (side.clone(), &door), from),
        };
        inner.close().into_iter().map(received).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_a_certificate_names() {
        let cases =
            [("node-1:8080", "node-1"), ("10.0.0.1:1", "10.0.0.1"), ("[::1]:8080", "::1"), ("a", "a")];
        for (address, expected) in cases {
            assert_eq!(host(address), expected);
        }
    }
}
