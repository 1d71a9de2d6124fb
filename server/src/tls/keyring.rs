//! The certificates, keys and CAs in force.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quorate_client::tls::{Authorities, Identity, Tls, TlsFileError, Usage, cryptography};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use tracing::{error, info, warn};

use super::expiry::earliest_end;
use crate::config::{ServeConfig, TlsConfig};
use crate::runtime::Runtime;

/// What peers call the protocol between them, so that neither port is taken for the other (RFC 7301).
const PEER_PROTOCOL: &[u8] = b"quorate-peer/1";

/// What HTTP is called.
const HTTP_PROTOCOL: &[u8] = b"http/1.1";

/// A certificate that ends sooner is warned of.
const SOON_SECONDS: u64 = 14 * 86_400;

const DAY: Duration = Duration::from_secs(86_400);

/// What a node shows and believes. Each connection takes what is in force when it begins.
pub(crate) struct Keyring {
    config: TlsConfig,
    /// Whether a certificate of a peer is worth something on the HTTP port.
    knows_peers: bool,
    names: Names,
    current: Mutex<Arc<Keys>>,
}

/// The hosts that this node is dialed as.
#[derive(Clone, Debug)]
struct Names {
    http: String,
    peers: String,
}

/// One port: for those who come to it.
#[derive(Clone)]
pub(super) struct Side {
    pub(super) config: Arc<ServerConfig>,
    /// Who of them is a peer, where that is asked.
    pub(super) peers: Option<Arc<dyn ClientCertVerifier>>,
}

/// What was read from one state of the files.
#[derive(Default)]
pub(super) struct Keys {
    /// For those who come to the HTTP port; without it that port is plain.
    pub(super) https: Option<Side>,
    /// For those who come to the peer port, and for dialing peers; without it links are plain.
    pub(super) peers: Option<(Side, Tls)>,
    /// For dialing the HTTP port of other nodes.
    pub(super) client: Option<Tls>,
    /// When each certificate of this node ends, in seconds since 1970.
    ends: Vec<(&'static str, u64)>,
}

impl Keyring {
    /// Reads the files and looks at them as others will.
    ///
    /// # Errors
    /// [`TlsFileError`]: a node with these could not be reached, or could reach nobody.
    pub(crate) fn load(config: &ServeConfig, now_seconds: u64) -> Result<Keyring, TlsFileError> {
        let names = Names {
            http: config.advertise_http.host().to_owned(),
            peers: config.advertise_raft.host().to_owned(),
        };
        let knows_peers = config.tokens.is_some() || !config.joins_are_open();
        let keys = Keys::read(&config.tls, knows_peers, &names, now_seconds)?;
        let current = Mutex::new(Arc::new(keys));
        let keyring = Keyring { config: config.tls.clone(), knows_peers, names, current };
        keyring.warn_of_ends(now_seconds);
        Ok(keyring)
    }

    /// Whether there is anything that could be read again.
    pub(crate) fn is_empty(&self) -> bool {
        self.config == TlsConfig::default()
    }

    /// Reads the files again. What can't be used changes nothing.
    pub(crate) fn reload(&self, now_seconds: u64) {
        match Keys::read(&self.config, self.knows_peers, &self.names, now_seconds) {
            Ok(keys) => {
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
                info!("the files of TLS were read again; new connections use them");
                self.warn_of_ends(now_seconds);
            }
            Err(problem) => {
                error!(%problem, "the files of TLS were read again and can't be used; the ones before stay in force");
            }
        }
    }

    /// When each certificate of this node ends, in seconds since 1970: `http` and `peers`.
    pub(crate) fn ends(&self) -> Vec<(&'static str, u64)> {
        self.current().ends.clone()
    }

    /// Warns once a day, for as long as it is polled: a node may run for longer than its certificate is good. `now`
    /// gives the seconds since 1970.
    pub(crate) async fn warn_daily<R: Runtime>(self: Arc<Self>, runtime: R, now: impl Fn() -> u64) {
        loop {
            runtime.sleep(DAY).await;
            self.warn_of_ends(now());
        }
    }

    fn warn_of_ends(&self, now_seconds: u64) {
        for (certificate, problem) in self.ends_soon(now_seconds) {
            warn!(certificate, problem, "give this node a new certificate, and send it SIGHUP");
        }
    }

    /// What is to be said of certificates of this node that end soon, or have ended.
    pub(super) fn ends_soon(&self, now_seconds: u64) -> Vec<(&'static str, String)> {
        let soon = |(certificate, end): (&'static str, u64)| match end.checked_sub(now_seconds) {
            None => Some((certificate, "it has ended: nobody believes it any more".to_owned())),
            Some(left) if left <= SOON_SECONDS => {
                Some((certificate, format!("it ends in {}", time_left(left))))
            }
            Some(_) => None,
        };
        self.ends().into_iter().filter_map(soon).collect()
    }

    pub(super) fn current(&self) -> Arc<Keys> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Keys {
    fn read(
        config: &TlsConfig,
        knows_peers: bool,
        names: &Names,
        now_seconds: u64,
    ) -> Result<Keys, TlsFileError> {
        let TlsConfig { http, client_ca, ca, peers } = config;
        let peers = match peers {
            Some(files) => {
                let identity = Identity::read(&files.pair.certificate, &files.pair.key)?;
                Some((identity, Authorities::read(&files.ca)?))
            }
            None => None,
        };
        let http = http.as_ref().map(|pair| Identity::read(&pair.certificate, &pair.key)).transpose()?;
        let clients = client_ca.as_deref().map(Authorities::read).transpose()?;
        let nodes = match (ca, &peers) {
            (Some(ca), _) => Some(Authorities::read(ca)?),
            (None, Some((_, peers))) => Some(peers.clone()),
            (None, None) => None,
        };
        if let Some((identity, authorities)) = &peers {
            identity.verify(authorities, Usage::Server(&names.peers), now_seconds)?;
            identity.verify(authorities, Usage::Client, now_seconds)?;
        }
        if let (Some(identity), Some(authorities)) = (&http, &nodes) {
            identity.verify(authorities, Usage::Server(&names.http), now_seconds)?;
        }
        // Peers are members, so they may do what clients may: pass requests on, for one.
        let shown = peers.as_ref().map(|(identity, _)| identity).or(http.as_ref());
        let welcome = match (clients, &peers) {
            (Some(clients), Some((_, peers))) => Some(clients.and(peers)),
            (clients, _) => clients,
        };
        if let (Some(shown), Some(welcome)) = (shown, &welcome) {
            shown.verify(welcome, Usage::Client, now_seconds)?;
        }
        // Where tokens are asked for, or a join token, a peer may show its certificate instead, and a client need not
        // have one.
        let known = peers.as_ref().map(|(_, peers)| peers).filter(|_| knows_peers);
        let verifier = match (&welcome, known) {
            (Some(welcome), _) => welcome.client_verifier(),
            (None, Some(peers)) => peers.lenient_client_verifier(),
            (None, None) => WebPkiClientVerifier::no_client_auth(),
        };
        let https = http.as_ref().map(|http| Side {
            config: server_config(http, verifier, &[&TLS13, &TLS12], HTTP_PROTOCOL),
            peers: known.map(Authorities::peer_verifier),
        });
        let own = [("http", http.as_ref()), ("peers", peers.as_ref().map(|(identity, _)| identity))];
        let ends =
            own.into_iter().filter_map(|(name, own)| Some((name, earliest_end(own?.chain())?))).collect();
        Ok(Keys {
            ends,
            https,
            client: nodes.as_ref().map(|nodes| Tls::new(nodes, shown)),
            peers: peers.as_ref().map(|(identity, authorities)| {
                let verifier = authorities.peer_verifier();
                let config = server_config(identity, verifier, &[&TLS13], PEER_PROTOCOL);
                (Side { config, peers: None }, Tls::for_protocol(authorities, identity, PEER_PROTOCOL))
            }),
        })
    }
}

fn time_left(seconds: u64) -> String {
    match seconds / DAY.as_secs() {
        0 => "less than a day".to_owned(),
        1 => "a day".to_owned(),
        days => format!("{days} days"),
    }
}

fn server_config(
    identity: &Identity,
    verifier: Arc<dyn ClientCertVerifier>,
    versions: &[&'static SupportedProtocolVersion],
    protocol: &[u8],
) -> Arc<ServerConfig> {
    let mut config = ServerConfig::builder_with_provider(cryptography())
        .with_protocol_versions(versions)
        .expect("ring has ciphers for both versions")
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(identity.resolver());
    // A session that goes on shows no certificate: it would outlive its certificate, and its CA.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![protocol.to_vec()];
    Arc::new(config)
}
