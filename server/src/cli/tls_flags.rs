//! The flags by which a client speaks TLS.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use quorate_client::tls::{Authorities, Identity, Tls, TlsFileError};
use quorate_client::{Client, Endpoint};

use crate::cli::exit::{Exit, Failure};

/// How a client speaks TLS.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct TlsFlags {
    /// The CA that the certificates of https:// endpoints come from, as PEM
    #[arg(id = "authority_file", long = "cacert", value_name = "FILE")]
    authority: Option<PathBuf>,
    /// The certificate to show to servers that want one, as PEM
    #[arg(id = "certificate_file", long = "cert", value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// The key of --cert
    #[arg(id = "key_file", long = "key", value_name = "FILE")]
    key: Option<PathBuf>,
}

impl TlsFlags {
    /// A client with these.
    pub(crate) fn client(&self, endpoints: Vec<Endpoint>, timeout: Duration) -> Result<Client, Failure> {
        let client = Client::new(endpoints, timeout);
        Ok(match self.tls()? {
            Some(tls) => client.with_tls(&tls),
            None => client,
        })
    }

    /// What they say, if they say anything.
    pub(crate) fn tls(&self) -> Result<Option<Tls>, Failure> {
        let identity = match (&self.certificate, &self.key) {
            (Some(certificate), Some(key)) => Some(Identity::read(certificate, key)?),
            (None, None) => None,
            (Some(_), None) => return Err(Failure::usage("--cert is given and --key is not: give both")),
            (None, Some(_)) => return Err(Failure::usage("--key is given and --cert is not: give both")),
        };
        match &self.authority {
            Some(authority) => Ok(Some(Tls::new(&Authorities::read(authority)?, identity.as_ref()))),
            None if identity.is_some() => {
                Err(Failure::usage("--cert is given and --cacert is not: which server is to see it?"))
            }
            None => Ok(None),
        }
    }
}

impl From<TlsFileError> for Failure {
    fn from(error: TlsFileError) -> Self {
        Failure::Ended(Exit::BadConfiguration, error.to_string())
    }
}
