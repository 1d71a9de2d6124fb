//! How a client's connections are made.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::Tls;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Dials endpoints, over TLS where their scheme says so.
#[derive(Clone)]
pub(crate) struct Connector {
    http: HttpConnector,
    https: Option<HttpsConnector<HttpConnector>>,
    /// How long a connection may take to be made, its handshake included.
    patience: Duration,
}

impl Connector {
    /// So that an endpoint that swallows connects, or a handshake, leaves time for others: after `patience` it is
    /// taken for gone.
    pub(crate) fn new(tls: Option<&Tls>, patience: Duration) -> Connector {
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(patience));
        // Which schemes there are is the endpoint's business.
        http.enforce_http(false);
        let https = tls.map(|tls| {
            HttpsConnectorBuilder::new()
                .with_tls_config(tls.config())
                .https_only()
                .enable_http1()
                .wrap_connector(http.clone())
        });
        Connector { http, https, patience }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        if uri.scheme_str() != Some("https") {
            let dialing = self.http.call(uri);
            return Box::pin(async { Ok(MaybeHttpsStream::Http(dialing.await?)) });
        }
        let Some(https) = &mut self.https else {
            return Box::pin(async { Err(NO_AUTHORITY.into()) });
        };
        let dialing = tokio::time::timeout(self.patience, https.call(uri));
        Box::pin(async {
            let late = || io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long");
            dialing.await.unwrap_or_else(|_| Err(late().into()))
        })
    }
}

/// What is said when https is wanted and no CA is named.
pub const NO_AUTHORITY: &str = "https needs a CA to believe: give --cacert FILE (for public certificates the system's own list, \
                            for example /etc/ssl/certs/ca-certificates.crt)";
