//! How a client's connections are made: the name is looked up, the machine dialed, and hands are shaken, in one time
//! for all three. Which of them took it all is what somebody has to know who is to mend it.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tower_service::Service;

use super::Tls;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Dials endpoints, over TLS where their scheme says so.
#[derive(Clone)]
pub(crate) struct Connector {
    tls: Option<Tls>,
    /// How long a connection may take to be made, its handshake included.
    patience: Duration,
}

impl Connector {
    /// So that an endpoint that swallows look-ups, connects, or a handshake, leaves time for others: after `patience`
    /// it is taken for gone.
    pub(crate) fn new(tls: Option<&Tls>, patience: Duration) -> Connector {
        Connector { tls: tls.cloned(), patience }
    }
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = match uri.scheme_str() {
            Some("https") if self.tls.is_none() => return Box::pin(ready(Err(NO_AUTHORITY.into()))),
            Some("https") => self.tls.clone(),
            _ => None,
        };
        let host = host_of(&uri).to_owned();
        let deadline = Instant::now() + self.patience;
        let addresses = look_up(host.clone(), uri.port_u16().unwrap_or_default());
        Box::pin(async move {
            let stream = dial(uri, addresses, deadline).await?;
            let Some(tls) = tls else { return Ok(MaybeHttpsStream::Http(stream)) };
            let shaking = timeout_at(deadline, tls.connect(&host, TokioIo::new(stream)));
            let stream = shaking.await.unwrap_or_else(|_| Err(late("the TLS handshake took too long")))?;
            Ok(stream.into())
        })
    }
}

/// The host of a URL, an IPv6 address without its brackets.
fn host_of(uri: &Uri) -> &str {
    let host = uri.host().unwrap_or_default();
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

async fn look_up(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

async fn dial(
    uri: Uri,
    addresses: impl Future<Output = io::Result<Vec<SocketAddr>>>,
    deadline: Instant,
) -> Result<TokioIo<TcpStream>, BoxError> {
    let found = timeout_at(deadline, addresses).await.unwrap_or_else(|_| {
        let host = host_of(&uri);
        Err(late(&format!("the name {host} was not looked up in time: do the name servers answer?")))
    });
    let mut http = HttpConnector::new_with_resolver(Found(found?));
    http.set_nodelay(true);
    // Each address has its share of what is left.
    http.set_connect_timeout(Some(deadline.saturating_duration_since(Instant::now())));
    // Which schemes there are is the endpoint's business.
    http.enforce_http(false);
    Ok(http.call(uri).await?)
}

fn late(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, what)
}

/// Knows where one host is.
#[derive(Clone)]
struct Found(Vec<SocketAddr>);

impl Service<Name> for Found {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Name) -> Self::Future {
        ready(Ok(self.0.clone().into_iter()))
    }
}

/// What is said when https is wanted and no CA is named.
pub const NO_AUTHORITY: &str = "https needs a CA to believe: give --cacert FILE (for public certificates the system's own list, \
                            for example /etc/ssl/certs/ca-certificates.crt)";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use std::future::pending;
    use tokio::net::TcpListener;

    /// A silent name server is not told as the fault of the machine behind the name, nor of its TLS.
    #[tokio::test]
    async fn a_name_that_nobody_looks_up_is_named() {
        let uri = Uri::from_static("https://n1.example:8080");
        let error = dial(uri, pending(), Instant::now()).await.unwrap_err().to_string();
        assert!(error.contains("n1.example") && error.contains("looked up"), "{error}");
        assert!(!error.contains("TLS"), "{error}");
    }

    #[tokio::test]
    async fn what_was_looked_up_is_dialed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let addresses = ready(Ok(vec![address]));
        let uri = format!("http://n1.example:{}", address.port()).parse().unwrap();
        dial(uri, addresses, Instant::now() + Duration::from_secs(30)).await.unwrap();
        listener.accept().await.unwrap();
    }

    #[test]
    fn the_host_is_what_a_certificate_names() {
        for (uri, host) in
            [("https://n1:1", "n1"), ("https://[::1]:8080", "::1"), ("http://10.0.0.1", "10.0.0.1")]
        {
            assert_eq!(host_of(&Uri::from_static(uri)), host);
        }
    }
}
