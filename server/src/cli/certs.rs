//! `quorate certs dev`: a CA and certificates for development, and for trying TLS out.
//!
//! The CA's own name is made of its key, so that the key alone is enough to sign with it again, and two such CAs are
//! never taken for each other.

use std::fmt::Display;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, value_parser};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

use crate::cli::exit::{Exit, Failure};
use crate::cli::files::{failed, refuse_existing, sync_folder_of};
use crate::cli::output;

/// How long the CA is believed.
const CA_DAYS: i64 = 3650;

/// Clocks of other machines may be behind by this much.
const CLOCK_SKEW: Duration = Duration::hours(1);

/// What a node is reached as when nothing else is said.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

#[derive(Debug, Args)]
pub(crate) struct CertsCommand {
    #[command(subcommand)]
    action: CertsAction,
}

#[derive(Debug, Subcommand)]
enum CertsAction {
    /// Make a CA in a folder, unless it holds one, and certificates that it signs: for development, not for
    /// production, since the CA's key lies beside them
    Dev(DevCommand),
}

#[derive(Debug, Args)]
struct DevCommand {
    /// The folder: ca.pem and ca.key, and NAME.pem and NAME.key of each certificate
    dir: PathBuf,
    /// Make a certificate for this node, for its HTTP port and for peers
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    node: Option<String>,
    /// What the node is dialed as: a name or an IP address; repeatable [default: localhost, 127.0.0.1 and ::1]
    #[arg(long, value_name = "HOST", requires = "node", value_delimiter = ',', value_parser = parse_host)]
    host: Vec<String>,
    /// Make a certificate for this client, which is no server
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    client: Option<String>,
    /// How many days the certificates are believed
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = value_parser!(u16).range(1..=3650))]
    days: u16,
}

pub(crate) fn run(command: &CertsCommand) -> Result<(), Failure> {
    let CertsAction::Dev(command) = &command.action;
    let place = |name: &str| Place::new(&command.dir, name);
    // Nothing is written before all of it could be.
    for name in [&command.node, &command.client].into_iter().flatten() {
        place(name).refuse_existing()?;
    }
    if command.node.is_some() && command.node == command.client {
        return Err(Failure::usage("a node and a client can't have one name: their files would"));
    }
    let made = DirBuilder::new().recursive(true).mode(0o755).create(&command.dir);
    made.map_err(|error| failed("make", &command.dir, &error))?;
    let authority = Authority::find_or_make(&place("ca"))?;
    let days = i64::from(command.days);
    if let Some(name) = &command.node {
        let loopback = || LOOPBACK.map(str::to_owned).to_vec();
        let hosts = if command.host.is_empty() { loopback() } else { command.host.clone() };
        let usages = [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        authority.issue(name, hosts, &usages, days)?.write(&place(name))?;
    }
    if let Some(name) = &command.client {
        authority
            .issue(name, Vec::new(), &[ExtendedKeyUsagePurpose::ClientAuth], days)?
            .write(&place(name))?;
    }
    Ok(())
}

/// The two files of a certificate.
struct Place {
    certificate: PathBuf,
    key: PathBuf,
}

impl Place {
    fn new(dir: &Path, name: &str) -> Place {
        Place { certificate: dir.join(format!("{name}.pem")), key: dir.join(format!("{name}.key")) }
    }

    fn refuse_existing(&self) -> Result<(), Failure> {
        for path in [&self.certificate, &self.key] {
            if path.symlink_metadata().is_ok() {
                let message = format!("{} is there already: give another name, or remove it", path.display());
                return Err(Failure::Ended(Exit::PreconditionFailed, message));
            }
        }
        Ok(())
    }
}

/// A certificate and its key, as PEM.
struct Issued {
    certificate: String,
    key: String,
}

impl Issued {
    /// Writes both, the key for its owner alone.
    fn write(&self, place: &Place) -> Result<(), Failure> {
        write_new(&place.key, 0o600, &self.key)?;
        write_new(&place.certificate, 0o644, &self.certificate)?;
        output::say(&format!("made {} and {}", place.certificate.display(), place.key.display()));
        Ok(())
    }
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), Failure> {
    let written =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
    written.map_err(|error| failed("write", path, &error))?;
    sync_folder_of(path)
}

/// A CA with its key.
struct Authority {
    key: KeyPair,
    params: CertificateParams,
}

impl Authority {
    /// The one in the folder, or a new one, written down.
    fn find_or_make(place: &Place) -> Result<Authority, Failure> {
        match std::fs::read_to_string(&place.key) {
            Ok(text) => {
                let key = KeyPair::from_pem(&text).map_err(|error| {
                    Failure::failed(format!("{} is no key of a CA: {error}", place.key.display()))
                })?;
                if place.certificate.symlink_metadata().is_err() {
                    return Err(Failure::failed(format!(
                        "{} is there, and {} is not: put it back, or remove the key to begin with a new CA",
                        place.key.display(),
                        place.certificate.display()
                    )));
                }
                Ok(Authority { params: authority_params(&key), key })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                refuse_existing(&place.certificate, false)?;
                let key = KeyPair::generate().map_err(unmade)?;
                let authority = Authority { params: authority_params(&key), key };
                let certificate = authority.params.self_signed(&authority.key).map_err(unmade)?.pem();
                Issued { certificate, key: authority.key.serialize_pem() }.write(place)?;
                Ok(authority)
            }
            Err(error) => Err(failed("read", &place.key, &error)),
        }
    }

    fn issue(
        &self,
        name: &str,
        hosts: Vec<String>,
        usages: &[ExtendedKeyUsagePurpose],
        days: i64,
    ) -> Result<Issued, Failure> {
        let key = KeyPair::generate().map_err(unmade)?;
        let mut params = CertificateParams::new(hosts).map_err(unmade)?;
        params.distinguished_name.remove(DnType::CommonName);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = usages.to_vec();
        params.use_authority_key_identifier_extension = true;
        believed_for(&mut params, days);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(unmade)?.pem();
        Ok(Issued { certificate, key: key.serialize_pem() })
    }
}

/// What is in the certificate of the CA with this key.
fn authority_params(key: &KeyPair) -> CertificateParams {
    let fingerprint = blake3::hash(key.public_key_raw()).to_hex();
    let mut params = CertificateParams::default();
    params.distinguished_name.remove(DnType::CommonName);
    params
        .distinguished_name
        .push(DnType::CommonName, format!("Quorate development CA {}", &fingerprint[..16]));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    believed_for(&mut params, CA_DAYS);
    params
}

fn believed_for(params: &mut CertificateParams, days: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now - CLOCK_SKEW;
    params.not_after = now + Duration::days(days);
}

fn unmade(error: impl Display) -> Failure {
    Failure::failed(format!("a certificate can't be made: {error}"))
}

/// A name that is a file's too.
fn parse_name(text: &str) -> Result<String, &'static str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_name =
        !text.is_empty() && text.len() <= 64 && text.bytes().all(is_plain) && !text.starts_with('.');
    match text {
        "ca" => Err("ca.pem and ca.key are the CA's"),
        name if is_name => Ok(name.to_owned()),
        _ => Err("a name has 1 to 64 letters, digits, `-`, `_` and `.`, and begins with no dot"),
    }
}

fn parse_host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    quorate_client::Address::new(bare, 0)
        .map(|host| host.host().to_owned())
        .map_err(|error| error.to_string())
}
