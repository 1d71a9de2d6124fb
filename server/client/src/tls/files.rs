//! Certificates and keys as files.
//!
//! Everything that can be wrong with them is found when they are read, and names the file. A certificate of one's own
//! is looked at as the other side will look at it: against the CA, the clock, and the name.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore};

use super::cryptography;
use super::peers::PeerVerifier;
use super::trouble::explain_tls;

/// What an encrypted key begins with. Nobody is there to type its passphrase when a node starts at night.
const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";

/// What is wrong with a file, or with two of them.
#[derive(Debug, thiserror::Error)]
pub enum TlsFileError {
    /// It is not there, or not for us.
    #[error("{}: it can't be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It holds something else.
    #[error("{}: it holds no {wanted} in PEM form: a line -----BEGIN {label}----- is missing", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// A certificate, or a private key.
        wanted: &'static str,
        /// What PEM calls it.
        label: &'static str,
    },
    /// What it holds can't be used.
    #[error("{}: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Key and certificate are of different pairs.
    #[error(
        "{}: it is not the key of the certificate in {}: give the two that were made together",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
}

fn unusable(path: &Path, problem: impl Into<String>) -> TlsFileError {
    TlsFileError::Unusable { path: path.to_owned(), problem: problem.into() }
}

/// The CAs whose certificates are believed.
#[derive(Clone, Debug)]
pub struct Authorities {
    path: PathBuf,
    roots: Arc<RootCertStore>,
}

impl Authorities {
    /// Those in a PEM file: one, or several while one takes the place of another.
    ///
    /// # Errors
    /// [`TlsFileError`].
    pub fn read(path: &Path) -> Result<Authorities, TlsFileError> {
        let mut roots = RootCertStore::empty();
        for certificate in read_certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| unusable(path, format!("it holds no certificate of a CA: {error}")))?;
        }
        Ok(Authorities { path: path.to_owned(), roots: Arc::new(roots) })
    }

    /// These and others.
    #[must_use]
    pub fn and(&self, others: &Authorities) -> Authorities {
        let mut roots = RootCertStore::clone(&self.roots);
        roots.roots.extend(others.roots.roots.iter().cloned());
        Authorities { path: self.path.clone(), roots: Arc::new(roots) }
    }

    pub(super) fn roots(&self) -> Arc<RootCertStore> {
        Arc::clone(&self.roots)
    }

    /// The same for those who may also show none.
    pub fn lenient_client_verifier(&self) -> Arc<dyn ClientCertVerifier> {
        WebPkiClientVerifier::builder_with_provider(self.roots(), cryptography())
            .allow_unauthenticated()
            .build()
            .expect("a file of certificates was read, so there is a root")
    }

    /// What looks at the certificates of those who connect: one of these CAs has to have signed them.
    pub fn client_verifier(&self) -> Arc<dyn ClientCertVerifier> {
        WebPkiClientVerifier::builder_with_provider(self.roots(), cryptography())
            .build()
            .expect("a file of certificates was read, so there is a root")
    }

    /// The same where only peers connect: their certificates have to be for servers as well.
    pub fn peer_verifier(&self) -> Arc<dyn ClientCertVerifier> {
        Arc::new(PeerVerifier { clients: self.client_verifier(), roots: self.roots() })
    }
}

/// A certificate with what leads from it to its CA, and its key.
#[derive(Clone)]
pub struct Identity {
    path: PathBuf,
    certified: Arc<CertifiedKey>,
}

/// What a certificate is to be good for.
#[derive(Clone, Copy, Debug)]
pub enum Usage<'a> {
    /// A server that is dialed as this host.
    Server(&'a str),
    /// A client.
    Client,
}

impl Identity {
    /// The one of two PEM files.
    ///
    /// # Errors
    /// [`TlsFileError`].
    pub fn read(certificate: &Path, key: &Path) -> Result<Identity, TlsFileError> {
        let chain = read_certificates(certificate)?;
        let private = read_key(key)?;
        let signing = cryptography()
            .key_provider
            .load_private_key(private)
            .map_err(|error| unusable(key, format!("its key can't be used: {error}")))?;
        let certified = CertifiedKey::new(chain, signing);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                let (key, certificate) = (key.to_owned(), certificate.to_owned());
                return Err(TlsFileError::Mismatch { key, certificate });
            }
            Err(error) => return Err(unusable(certificate, explain_tls(&error))),
        }
        Ok(Identity { path: certificate.to_owned(), certified: Arc::new(certified) })
    }

    /// Looks at it as somebody will who believes `authorities`, at a time in seconds since 1970.
    ///
    /// # Errors
    /// [`TlsFileError::Unusable`], with what they would say.
    pub fn verify(
        &self,
        authorities: &Authorities,
        usage: Usage<'_>,
        seconds: u64,
    ) -> Result<(), TlsFileError> {
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let (own, others) = self.certified.cert.split_first().expect("an identity has a certificate");
        let verified = match usage {
            Usage::Server(host) => {
                let name = ServerName::try_from(host)
                    .map_err(|_| unusable(&self.path, format!("no certificate can name {host:?}")))?;
                WebPkiServerVerifier::builder_with_provider(authorities.roots(), cryptography())
                    .build()
                    .expect("a file of certificates was read, so there is a root")
                    .verify_server_cert(own, others, &name, &[], now)
                    .map(drop)
            }
            Usage::Client => authorities.client_verifier().verify_client_cert(own, others, now).map(drop),
        };
        verified.map_err(|error| {
            let role = match usage {
                Usage::Server(host) => format!("those who dial {host}"),
                Usage::Client => "those whom this node dials".to_owned(),
            };
            let said = explain_tls(&error);
            unusable(
                &self.path,
                format!("{role} and believe {} would not believe it: {said}", authorities.path.display()),
            )
        })
    }

    /// Its certificate, and those that lead from it to its CA.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    /// What shows it to everybody who asks.
    pub fn resolver(&self) -> Arc<SingleCertAndKey> {
        Arc::new(SingleCertAndKey::from(Arc::clone(&self.certified)))
    }
}

/// The key stays out of logs.
impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Identity").field("path", &self.path).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsFileError> {
    std::fs::read(path).map_err(|source| TlsFileError::Unreadable { path: path.to_owned(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsFileError> {
    let bytes = read(path)?;
    let read: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = read.map_err(|error| unusable(path, broken(&error)))?;
    if certificates.is_empty() {
        let (wanted, label) = ("certificate", "CERTIFICATE");
        return Err(TlsFileError::Missing { path: path.to_owned(), wanted, label });
    }
    Ok(certificates)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsFileError> {
    let bytes = read(path)?;
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if String::from_utf8_lossy(&bytes).contains(ENCRYPTED) => {
            let problem = "its key is encrypted; write it without a passphrase, readable for this user alone";
            Err(unusable(path, problem))
        }
        Err(pem::Error::NoItemsFound) => {
            let (wanted, label) = ("private key", "PRIVATE KEY");
            Err(TlsFileError::Missing { path: path.to_owned(), wanted, label })
        }
        Err(error) => Err(unusable(path, broken(&error))),
    }
}

/// What is wrong with PEM, in words of ours: the library's name what was read, and that may be a key.
fn broken(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "its PEM is broken: a section has no end line of its own",
        pem::Error::IllegalSectionStart { .. } => {
            "its PEM is broken: a line that begins a section goes on where it should end; are its line breaks lost?"
        }
        pem::Error::Base64Decode(_) => "its PEM is broken: a section is not base64",
        _ => "its PEM is broken",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Files whose line breaks are lost, or whose end is: the library names what it has read.
    #[test]
    fn nothing_of_a_broken_key_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("n1.key");
        for broken in [
            "-----BEGIN PRIVATE KEY-----SECRET-----END PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY----- SECRET -----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\nSECRET",
            "-----BEGIN PRIVATE KEY SECRET-----\nSECRET\n-----END",
            "-----BEGIN PRIVATE KEY-----\nSECRET!\n-----END PRIVATE KEY-----\n",
            "-----BEGIN SECRET",
        ] {
            std::fs::write(&path, broken).unwrap();
            let said = [read_key(&path).unwrap_err(), read_certificates(&path).unwrap_err()];
            for error in said {
                let text = format!("{error} {error:?}");
                assert!(!text.contains("SECRET") && !text.contains("83, 69, 67"), "{broken:?}: {text}");
                assert!(text.contains("n1.key"), "{text}");
            }
        }
    }
}
