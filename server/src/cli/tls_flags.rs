//! The flags by which a client speaks TLS and says who it is.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use quorate_client::tls::{Authorities, Identity, Tls, TlsFileError};
use quorate_client::{Client, Endpoint, Token, TokenError};

use crate::cli::exit::{Exit, Failure};
use crate::tokens::read_secret_file;

/// Holds a token. There is no flag with that name: what stands on a command line others can see.
pub(crate) const TOKEN_VARIABLE: &str = "QUORATE_TOKEN";

/// How a client speaks TLS, and who it is.
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
    /// The file of the token to show; QUORATE_TOKEN may hold the token itself
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TlsFlags {
    /// A client with these.
    pub(crate) fn client(&self, endpoints: Vec<Endpoint>, timeout: Duration) -> Result<Client, Failure> {
        let mut client = Client::new(endpoints, timeout);
        if let Some(tls) = self.tls()? {
            client = client.with_tls(&tls);
        }
        if let Some(token) = self.token()? {
            client = client.with_token(&token);
        }
        Ok(client)
    }

    /// The token to show, if there is one: that of the flag before that of the environment.
    pub(crate) fn token(&self) -> Result<Option<Token>, Failure> {
        let bad = |place: String| Failure::Ended(Exit::BadConfiguration, place);
        if let Some(file) = &self.token_file {
            let token = read_secret_file(file).map_err(|error| bad(error.to_string()))?;
            return Ok(Some(
                Token::parse(&token.reveal()).expect("the server's form of a token is one for clients"),
            ));
        }
        let Some(text) = std::env::var_os(TOKEN_VARIABLE).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let token = text.to_str().ok_or(TokenError).and_then(Token::parse);
        token.map(Some).map_err(|error| bad(format!("the environment variable {TOKEN_VARIABLE}: {error}")))
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
