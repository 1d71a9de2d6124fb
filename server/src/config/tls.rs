//! The files of TLS.

use super::error::{ConfigError, place};
use super::lookup::Lookup;
use super::{Origin, ServeConfig};
use std::path::PathBuf;

/// Which files TLS takes its certificates, keys and CAs from. Nothing: no TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// What is shown on the HTTP port, which speaks HTTPS then.
    pub http: Option<Pair>,
    /// The CA that clients' certificates have to come from.
    pub client_ca: Option<PathBuf>,
    /// The CA that other nodes' HTTPS certificates come from; without it, the peers' CA.
    pub ca: Option<PathBuf>,
    /// What is shown to peers, and believed of them.
    pub peers: Option<PeerFiles>,
}

/// A certificate, with what leads to its CA, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The file of the key.
    pub key: PathBuf,
}

/// What peers need: TLS between them is always mutual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFiles {
    /// What is shown.
    pub pair: Pair,
    /// The CA that is believed.
    pub ca: PathBuf,
}

impl TlsConfig {
    /// Whether there is a CA by which the HTTPS certificates of other nodes can be believed.
    pub(super) fn believes_nodes(&self) -> bool {
        self.ca.is_some() || self.peers.is_some()
    }
}

/// The settings of TLS; of those that belong together all or none.
pub(super) fn tls_files(lookup: &mut Lookup<'_>) -> Result<TlsConfig, ConfigError> {
    let certificate = file(lookup, "tls-cert")?;
    let key = file(lookup, "tls-key")?;
    let client_ca = file(lookup, "tls-client-ca")?;
    let ca = file(lookup, "tls-ca")?;
    let peer_certificate = file(lookup, "peer-tls-cert")?;
    let peer_key = file(lookup, "peer-tls-key")?;
    let peer_ca = file(lookup, "peer-tls-ca")?;
    let http = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Pair { certificate, key }),
        (None, None) => None,
        (Some(_), None) => return Err(incomplete(lookup, "tls-cert", "tls-key")),
        (None, Some(_)) => return Err(incomplete(lookup, "tls-key", "tls-cert")),
    };
    if client_ca.is_some() && http.is_none() {
        return Err(incomplete(lookup, "tls-client-ca", "tls-cert"));
    }
    let peers = match (peer_certificate, peer_key, peer_ca) {
        (Some(certificate), Some(key), Some(ca)) => Some(PeerFiles { pair: Pair { certificate, key }, ca }),
        (None, None, None) => None,
        (None, _, Some(_)) => return Err(incomplete(lookup, "peer-tls-ca", "peer-tls-cert")),
        (None, Some(_), None) => return Err(incomplete(lookup, "peer-tls-key", "peer-tls-cert")),
        (Some(_), None, _) => return Err(incomplete(lookup, "peer-tls-cert", "peer-tls-key")),
        (Some(_), Some(_), None) => return Err(incomplete(lookup, "peer-tls-cert", "peer-tls-ca")),
    };
    let config = TlsConfig { http, client_ca, ca, peers };
    if config.http.is_some() && !config.believes_nodes() {
        return Err(ConfigError::Unusable(
            "--tls-cert is given, and neither --tls-ca nor --peer-tls-ca: this node passes requests on to others over \
             HTTPS and has to know which of them to believe; give with --tls-ca the CA of the nodes' certificates"
                .to_owned(),
        ));
    }
    Ok(config)
}

/// The name of a file, if one is given.
pub(super) fn file(lookup: &mut Lookup<'_>, setting: &'static str) -> Result<Option<PathBuf>, ConfigError> {
    lookup.optional(setting, &[], |text| match text {
        "" => Err("it is empty; name a file"),
        path => Ok(PathBuf::from(path)),
    })
}

fn incomplete(lookup: &Lookup<'_>, given: &'static str, missing: &str) -> ConfigError {
    let place = place(given, lookup.origins.get(given).unwrap_or(&Origin::Default));
    ConfigError::Unusable(format!("{place} is given and --{missing} is not: give both, or neither"))
}

/// What only TLS and the addresses together can know. `scheme` is that of the advertised URL, if one was given.
pub(super) fn check_schemes(config: &ServeConfig, advertised_https: Option<bool>) -> Result<(), ConfigError> {
    let serves_https = config.tls.http.is_some();
    match advertised_https {
        Some(true) if !serves_https => {
            return Err(ConfigError::Unusable(
                "--advertise-url begins with https:// and this node serves plain HTTP: give --tls-cert and --tls-key, or \
                 advertise an http:// URL"
                    .to_owned(),
            ));
        }
        Some(false) if serves_https => {
            return Err(ConfigError::Unusable(
                "--advertise-url begins with http:// and this node serves HTTPS, as --tls-cert says: advertise an https:// \
                 URL"
                    .to_owned(),
            ));
        }
        _ => {}
    }
    if let Some(endpoint) = config.join.iter().find(|endpoint| endpoint.is_https())
        && !config.tls.believes_nodes()
    {
        return Err(ConfigError::Unusable(format!(
            "--join is {endpoint}, and neither --tls-ca nor --peer-tls-ca is given: give with --tls-ca the CA of that node's \
             certificate"
        )));
    }
    if let Some(collector) = config.otlp_endpoint.as_ref().filter(|collector| collector.endpoint().is_https())
        && !config.tls.believes_nodes()
    {
        return Err(ConfigError::Unusable(format!(
            "--otlp-endpoint is {collector}, and neither --tls-ca nor --peer-tls-ca is given: give with --tls-ca the CA of \
             its certificate, or send to a collector on this machine, over http://"
        )));
    }
    Ok(())
}
