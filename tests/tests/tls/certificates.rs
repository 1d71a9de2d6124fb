//! CAs and certificates, good ones and bad ones.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use time::{Duration, OffsetDateTime};

/// What nodes of these tests are dialed as.
const HOST: &str = "127.0.0.1";

/// What a node's certificate is for.
const BOTH: [ExtendedKeyUsagePurpose; 2] =
    [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];

/// A CA.
pub(crate) struct Authority {
    key: KeyPair,
    params: CertificateParams,
    /// Its certificate, as PEM.
    pub(crate) pem: String,
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub(crate) struct Certified {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let pem = params.self_signed(&key).unwrap().pem();
        Self { key, params, pem }
    }

    /// For a node or a client; it names the loopback address.
    pub(crate) fn certify(&self) -> Certified {
        self.certify_for(&BOTH, HOST, Duration::days(30))
    }

    /// The same under another name.
    pub(crate) fn certify_as(&self, host: &str) -> Certified {
        self.certify_for(&BOTH, host, Duration::days(30))
    }

    /// One that has ended an hour ago.
    pub(crate) fn certify_expired(&self) -> Certified {
        self.certify_for(&BOTH, HOST, -Duration::hours(1))
    }

    /// For a client, which is no server.
    pub(crate) fn certify_client(&self) -> Certified {
        self.certify_for(&[ExtendedKeyUsagePurpose::ClientAuth], HOST, Duration::days(30))
    }

    fn certify_for(&self, usages: &[ExtendedKeyUsagePurpose], host: &str, lasts: Duration) -> Certified {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.extended_key_usages = usages.to_vec();
        params.not_before = OffsetDateTime::now_utc() - Duration::days(2);
        params.not_after = OffsetDateTime::now_utc() + lasts;
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        Certified { certificate, key: key.serialize_pem() }
    }
}

impl Certified {
    /// Writes `NAME.pem` and `NAME.key`, over what is there.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
        std::fs::write(&certificate, &self.certificate).unwrap();
        std::fs::write(&key, &self.key).unwrap();
        (certificate, key)
    }
}

/// What a client believes and shows.
pub(crate) fn client(authorities: &[&Authority], shown: Option<&Certified>) -> Arc<ClientConfig> {
    Arc::new(client_of(rustls::DEFAULT_VERSIONS, authorities, shown))
}

/// The same of one that speaks these versions of TLS.
pub(crate) fn client_of(
    versions: &[&'static SupportedProtocolVersion],
    authorities: &[&Authority],
    shown: Option<&Certified>,
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots);
    match shown {
        None => builder.with_no_client_auth(),
        Some(Certified { certificate, key }) => {
            let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    }
}
