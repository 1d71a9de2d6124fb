//! Handshakes between two networks in one process, each with files of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_client::tls::{Authorities, Identity, Tls};
use quorate_node::raft::Time;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::{Keyring, TlsListener, TlsNet};
use crate::config::{Flags, ServeConfig, Surroundings, resolve};
use crate::net::{Listener, Net, read_some, write_all};
use crate::real::{RealNet, RealRuntime, wall_clock_seconds};
use crate::runtime::{Either, Runtime, race};

/// The clock of the system, and sleeps that take a tenth of their time: a handshake may still take a second.
#[derive(Clone)]
struct Hasty(RealRuntime);

impl Runtime for Hasty {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(future);
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.0.sleep(duration / 10)
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

const DAY_SECONDS: u64 = 86_400;

/// A CA, and a folder of what it signs.
struct Authority {
    key: KeyPair,
    params: CertificateParams,
    folder: TempDir,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Authority { key, params, folder }
    }

    /// A certificate for 127.0.0.1 that ends so many days from now, or has ended, and its key, under a name.
    fn certify(&self, name: &str, days: i64) {
        self.certify_for(&[], name, days);
    }

    /// The same for these uses, without any for all.
    fn certify_for(&self, usages: &[ExtendedKeyUsagePurpose], name: &str, days: i64) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages = usages.to_vec();
        params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(days);
        let certificate = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// A network with that certificate for both ports, which believes this CA.
    fn net(&self, name: &str) -> TlsNet<Hasty, RealNet> {
        let runtime = Hasty(RealRuntime::start());
        let keyring = Keyring::load(&self.config(name), wall_clock_seconds()).unwrap();
        TlsNet::new(runtime, RealNet, Arc::new(keyring), Arc::default())
    }

    fn config(&self, name: &str) -> ServeConfig {
        let text = |path: &Path| vec![path.display().to_string()];
        let (certificate, key) =
            (text(&self.path(&format!("{name}.pem"))), text(&self.path(&format!("{name}.key"))));
        let mut flags = Flags::default();
        let ca = text(&self.path("ca.pem"));
        for (flag, value) in [
            ("data-dir", vec!["unused".to_owned()]),
            ("tls-cert", certificate.clone()),
            ("tls-key", key.clone()),
            ("tls-client-ca", ca.clone()),
            ("peer-tls-cert", certificate),
            ("peer-tls-key", key),
            ("peer-tls-ca", ca),
        ] {
            flags.values.insert(flag.to_owned(), value);
        }
        resolve(&flags, &Surroundings { variable: &|_| None, own_address: &|| None }).unwrap().config
    }
}

type TestListener = TlsListener<Hasty, RealNet>;

fn address(listener: &TestListener) -> String {
    listener.local_address().unwrap().to_string()
}

/// Takes one connection, and says what was read on it.
async fn received(mut listener: TestListener) -> io::Result<Vec<u8>> {
    let (mut stream, _) = listener.accept().await?;
    let mut bytes = [0; 64];
    let count = read_some(&mut stream, &mut bytes).await?;
    write_all(&mut stream, b"heard").await?;
    Ok(bytes[..count].to_vec())
}

/// Says something, and reads what comes back: with TLS 1.3 a refusal shows only there.
async fn spoken(dialed: io::Result<<TlsNet<Hasty, RealNet> as Net>::Stream>) -> io::Result<Vec<u8>> {
    let mut stream = dialed?;
    write_all(&mut stream, b"hello").await?;
    let mut bytes = [0; 64];
    let count = read_some(&mut stream, &mut bytes).await?;
    Ok(bytes[..count].to_vec())
}

/// What both sides of one connection between peers see.
async fn between_peers(
    listens: &TlsNet<Hasty, RealNet>,
    dials: &TlsNet<Hasty, RealNet>,
) -> (io::Result<Vec<u8>>, io::Result<Vec<u8>>) {
    let listener = listens.listen_peers("127.0.0.1:0").await.unwrap();
    let address = address(&listener);
    tokio::join!(received(listener), async { spoken(dials.dial_peer(&address).await).await })
}

fn reason(result: io::Result<Vec<u8>>) -> String {
    result.unwrap_err().to_string()
}

#[tokio::test]
async fn peers_of_one_ca_understand_each_other() {
    let ours = Authority::new("ours");
    ours.certify("a", 30);
    ours.certify("b", 30);
    let (heard, answered) = between_peers(&ours.net("a"), &ours.net("b")).await;
    assert_eq!((heard.unwrap(), answered.unwrap()), (b"hello".to_vec(), b"heard".to_vec()));
}

#[tokio::test]
async fn each_side_of_a_refused_connection_says_why() {
    let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    ours.certify("a", 30);
    foreign.certify("b", 30);
    let (heard, answered) = between_peers(&ours.net("a"), &foreign.net("b")).await;
    assert!(reason(heard).contains("does not believe the CA"));
    assert!(reason(answered).contains("no CA that is believed"));

    // It believes us, and we don't believe it: only what comes back tells it.
    std::fs::copy(ours.path("ca.pem"), foreign.path("ours.pem")).unwrap();
    let mut config = foreign.config("b");
    let peers = config.tls.peers.as_mut().unwrap();
    let bundle =
        [foreign.path("ca.pem"), ours.path("ca.pem")].map(|path| std::fs::read(path).unwrap()).concat();
    std::fs::write(foreign.path("both.pem"), bundle).unwrap();
    peers.ca = foreign.path("both.pem");
    let keyring = Keyring::load(&config, wall_clock_seconds()).unwrap();
    let both = TlsNet::new(Hasty(RealRuntime::start()), RealNet, Arc::new(keyring), Arc::default());
    let (heard, answered) = between_peers(&ours.net("a"), &both).await;
    assert!(reason(heard).contains("no CA that is believed"));
    assert!(reason(answered).contains("does not believe the CA"));
}

/// The CA is the one of peers.
#[tokio::test]
async fn a_certificate_for_clients_alone_makes_no_links() {
    let ours = Authority::new("ours");
    ours.certify("a", 30);
    ours.certify_for(&[ExtendedKeyUsagePurpose::ClientAuth], "client", 30);
    let listener = ours.net("a").listen_peers("127.0.0.1:0").await.unwrap();
    let (address, authorities) = (address(&listener), Authorities::read(&ours.path("ca.pem")).unwrap());
    let identity = Identity::read(&ours.path("client.pem"), &ours.path("client.key")).unwrap();
    let tls = Tls::for_protocol(&authorities, &identity, b"quorate-peer/1");
    let (heard, said) = tokio::join!(received(listener), async {
        let stream = TokioIo::new(RealNet.dial(&address).await.unwrap());
        let mut stream = TokioIo::new(tls.connect("127.0.0.1", stream).await.unwrap());
        write_all(&mut stream, b"hello").await
    });
    assert!(said.is_ok(), "with TLS 1.3 a client has shaken hands before its certificate is looked at");
    let reason = reason(heard);
    assert!(reason.contains("for another use"), "{reason}");
}

/// At the start both were good: looked at as of two days ago.
#[tokio::test]
async fn a_certificate_that_ends_while_a_node_runs_makes_no_more_links() {
    let ours = Authority::new("ours");
    ours.certify("a", 30);
    ours.certify("b", -1);
    let keyring = Keyring::load(&ours.config("b"), wall_clock_seconds() - 2 * DAY_SECONDS).unwrap();
    let ended = TlsNet::new(Hasty(RealRuntime::start()), RealNet, Arc::new(keyring), Arc::default());
    let (heard, answered) = between_peers(&ours.net("a"), &ended).await;
    assert!(reason(heard).contains("the certificate expired"));
    assert!(reason(answered).contains("has expired"));
    let (heard, answered) = between_peers(&ended, &ours.net("a")).await;
    assert!(reason(heard).contains("has expired"));
    assert!(reason(answered).contains("the certificate expired"));
}

#[test]
fn a_certificate_that_ends_soon_is_warned_of() {
    let ours = Authority::new("ours");
    ours.certify("a", 30);
    let now = wall_clock_seconds();
    let keyring = Keyring::load(&ours.config("a"), now).unwrap();
    let said = |in_days: u64| keyring.ends_soon(now + in_days * DAY_SECONDS);
    assert_eq!(said(15), []);
    let soon = said(17);
    assert_eq!(soon.iter().map(|(port, _)| *port).collect::<Vec<_>>(), ["http", "peers"]);
    assert!(
        soon.iter().all(|(_, problem)| problem == "it ends in 12 days" || problem == "it ends in 13 days")
    );
    // A moment has passed since it was made.
    assert_eq!(keyring.ends_soon(now + 28 * DAY_SECONDS - 60)[0].1, "it ends in 2 days");
    assert_eq!(keyring.ends_soon(now + 28 * DAY_SECONDS + 60)[0].1, "it ends in a day");
    assert_eq!(keyring.ends_soon(now + 29 * DAY_SECONDS + 60)[0].1, "it ends in less than a day");
    assert!(said(31).iter().all(|(_, problem)| problem.contains("has ended")) && said(31).len() == 2);
}

/// Its sleeps are over soon, and counted.
#[derive(Clone)]
struct Days(RealRuntime, Arc<Mutex<Vec<Duration>>>);

impl Runtime for Days {
    fn now(&self) -> Time {
        self.0.now()
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(future);
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.1.lock().unwrap().push(duration);
        self.0.sleep(Duration::from_millis(1))
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

#[tokio::test]
async fn who_runs_for_long_looks_at_its_certificates_each_day() {
    let ours = Authority::new("ours");
    ours.certify("a", 30);
    let keyring = Arc::new(Keyring::load(&ours.config("a"), wall_clock_seconds()).unwrap());
    let days = Days(RealRuntime::start(), Arc::default());
    let (looks, mut looked) = tokio::sync::mpsc::unbounded_channel();
    let now = move || {
        looks.send(()).unwrap();
        wall_clock_seconds()
    };
    let three = async {
        for _ in 0..3 {
            looked.recv().await.unwrap();
        }
    };
    assert!(matches!(race(three, keyring.warn_daily(days.clone(), now)).await, Either::Left(())));
    let slept = days.1.lock().unwrap();
    assert!(slept.len() >= 3 && slept.iter().all(|time| time.as_secs() == DAY_SECONDS), "{slept:?}");
}

#[tokio::test]
async fn the_port_of_peers_is_not_taken_for_that_of_clients() {
    let ours = Authority::new("ours");
    ours.certify("a", 30);
    let net = ours.net("a");
    let listener = net.listen_http("127.0.0.1:0").await.unwrap();
    let address = address(&listener);
    let (heard, answered) =
        tokio::join!(received(listener), async { spoken(net.dial_peer(&address).await).await });
    assert!(reason(heard).contains("another protocol"));
    assert!(reason(answered).contains("another protocol"));
}

/// Without a time-out of its own the handshake would wait for ever: nothing else watches a connection before its
/// first byte.
#[tokio::test]
async fn a_handshake_that_does_not_go_on_ends_by_itself() {
    let ours = Authority::new("ours");
    ours.certify("a", 30);
    let listener = ours.net("a").listen_http("127.0.0.1:0").await.unwrap();
    let address = address(&listener);
    let (heard, ended) = tokio::join!(received(listener), async {
        let mut stream = RealNet.dial(&address).await.unwrap();
        // The head of a record, and nothing of what it announces.
        write_all(&mut stream, &[22, 3, 1, 2, 0]).await.unwrap();
        read_some(&mut stream, &mut [0; 64]).await
    });
    assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::TimedOut);
    assert_eq!(ended.unwrap(), 0);
}

#[tokio::test]
async fn plain_http_gets_an_answer_that_is_http() {
    let ours = Authority::new("ours");
    ours.certify("a", 30);
    let listener = ours.net("a").listen_http("127.0.0.1:0").await.unwrap();
    let address = address(&listener);
    let (heard, answer) = tokio::join!(received(listener), async {
        let mut stream = RealNet.dial(&address).await.unwrap();
        write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let (mut answer, mut bytes) = (Vec::new(), [0; 512]);
        loop {
            match read_some(&mut stream, &mut bytes).await.unwrap() {
                0 => return String::from_utf8(answer).unwrap(),
                count => answer.extend_from_slice(&bytes[..count]),
            }
        }
    });
    assert!(reason(heard).contains("does not speak TLS"));
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("\r\n\r\n{\"error\":"), "{answer}");
}
