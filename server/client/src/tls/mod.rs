//! TLS: which certificates are believed, and which are shown.
//!
//! | module | what it holds |
//! |---|---|
//! | `files` | certificates and keys as files |
//! | `peers` | who is a peer, by its certificate |
//! | `trouble` | what went wrong, in words for whoever has to mend it |
//! | `connector` | how a client's connections are made |
//!
//! A node is a client of other nodes too: it uses the first two as well.

mod connector;
mod files;
mod peers;
mod trouble;

pub(crate) use connector::Connector;
pub use connector::NO_AUTHORITY;
pub use files::{Authorities, Identity, TlsFileError, Usage};
pub use trouble::{explain_tls, explained, is_refused_handshake, tls_error};

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The cryptography that is used everywhere.
pub fn cryptography() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What a client needs to speak TLS. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Believes servers that have a certificate of `authorities`, and shows `identity` to those who ask for one.
    pub fn new(authorities: &Authorities, identity: Option<&Identity>) -> Tls {
        Self::build(authorities, identity, &[&TLS13, &TLS12], &[])
    }

    /// The same for a protocol that is not HTTP: TLS 1.3, and a server that knows the protocol by this name.
    pub fn for_protocol(authorities: &Authorities, identity: &Identity, protocol: &[u8]) -> Tls {
        Self::build(authorities, Some(identity), &[&TLS13], &[protocol])
    }

    fn build(
        authorities: &Authorities,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
        protocols: &[&[u8]],
    ) -> Tls {
        let builder = ClientConfig::builder_with_provider(cryptography())
            .with_protocol_versions(versions)
            .expect("ring has ciphers for both versions")
            .with_root_certificates(authorities.roots());
        let mut config = match identity {
            Some(identity) => builder.with_client_cert_resolver(identity.resolver()),
            None => builder.with_no_client_auth(),
        };
        // A session that goes on shows no certificate: it would outlive its certificate, and its CA.
        config.resumption = Resumption::disabled();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Tls { config: Arc::new(config) }
    }

    /// Makes a connection a TLS one, with a server whose certificate has to name `host`.
    ///
    /// # Errors
    /// What the connection says; [`tls_error`] finds what TLS says in it.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> io::Result<TlsStream<S>> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("no certificate can name {host:?}"))
        })?;
        TlsConnector::from(Arc::clone(&self.config)).connect(name, stream).await
    }
}
