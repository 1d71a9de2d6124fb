//! The handshake with one who dialed.
//!
//! It is a part of that connection's task, and has a time of its own. One that fails is not simply closed:
//!
//! 1. A client of TLS 1.3 has shaken hands as soon as it has sent its certificate, and sends its request at once.
//! 2. The certificate is refused. The alert that says so is sent, and the connection closed.
//! 3. The request arrives where nobody reads it. TCP answers with a reset.
//! 4. The reset makes the client's kernel throw away the alert: the client never learns why, and can't know that
//!    nothing was done.
//!
//! So what still comes is read and thrown away for a moment, until the client has closed as well.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use quorate_client::tls::{explain_tls, tls_error};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::Acceptor;
use rustls::server::danger::ClientCertVerifier;
use tokio_rustls::StartHandshake;
use tracing::{debug, warn};

use super::keyring::Side;
use super::stream::{Accepted, Handshake};
use crate::net::{Certified, close_write, read_some, write_all};
use crate::runtime::{Runtime, timeout_at};
use crate::said::Said;

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long, and how far, is read on after a refusal.
const LAST_WORD: Duration = Duration::from_secs(1);
const MAX_DISCARDED_BYTES: usize = 1 << 20;

/// The first byte of a TLS connection: a record of the type "handshake" (RFC 8446, section 5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// What those who come to a port are told.
pub(super) struct Door {
    /// What is told to somebody who speaks no TLS.
    pub(super) plain_answer: &'static [u8],
    /// The last failure that was logged; none where others log them.
    pub(super) said: Option<Said>,
}

/// Why there is no connection.
enum Refused<S> {
    /// Nobody is there any more, or it is not worth a word.
    Gone(io::Error),
    /// The stream can still take a last word; what was to be said by TLS was said.
    Said(io::Error, TokioIo<S>),
    /// It speaks no TLS.
    Plain(TokioIo<S>),
}

/// A handshake that has not begun yet.
pub(super) fn shake_hands<R, S>(
    runtime: R,
    stream: S,
    (side, door, certified): (Side, Arc<Door>, Certified),
    from: SocketAddr,
) -> Handshake<S>
where
    R: Runtime,
    S: Read + Write + Unpin + Send + 'static,
{
    Box::pin(async move {
        let deadline = runtime.now() + PATIENCE;
        let refused = match timeout_at(&runtime, deadline, handshake(stream, side.config)).await {
            Ok(Ok(stream)) => {
                let shown = stream.inner().get_ref().1.peer_certificates();
                if side.peers.is_some_and(|peers| is_of(&*peers, shown)) {
                    certified.prove();
                }
                return Ok(stream);
            }
            Ok(Err(refused)) => refused,
            Err(_) => {
                let late = io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long");
                Refused::Gone(late)
            }
        };
        let (error, stream) = match refused {
            Refused::Gone(error) => (error, None),
            Refused::Said(error, stream) => (error, Some((stream, &b""[..]))),
            Refused::Plain(stream) => {
                let error = io::Error::new(io::ErrorKind::InvalidData, "the other side does not speak TLS");
                (error, Some((stream, door.plain_answer)))
            }
        };
        let reason = tls_error(&error).map_or_else(|| error.to_string(), explain_tls);
        // Who comes and goes without a word, as probes of ports do, is not worth a line.
        if stream.is_some() && door.said.as_ref().is_some_and(|said| said.is_new(&reason)) {
            warn!(%from, reason, "a TLS handshake failed");
        } else {
            debug!(%from, reason, "a TLS handshake failed");
        }
        if let Some((stream, word)) = stream {
            let end = part(stream.into_inner(), word);
            let _ = timeout_at(&runtime, runtime.now() + LAST_WORD, end).await;
        }
        Err(io::Error::new(error.kind(), reason))
    })
}

async fn handshake<S: Read + Write + Unpin>(
    mut stream: S,
    config: Arc<ServerConfig>,
) -> Result<Accepted<S>, Refused<S>> {
    let (mut acceptor, mut is_first) = (Acceptor::default(), true);
    let start = loop {
        let mut bytes = [0; 4096];
        let count = read_some(&mut stream, &mut bytes).await.map_err(Refused::Gone)?;
        let mut arrived = &bytes[..count];
        if arrived.is_empty() {
            return Err(Refused::Gone(io::ErrorKind::UnexpectedEof.into()));
        }
        if std::mem::take(&mut is_first) && arrived[0] != HANDSHAKE_RECORD {
            return Err(Refused::Plain(TokioIo::new(stream)));
        }
        while !arrived.is_empty() {
            acceptor.read_tls(&mut arrived).map_err(Refused::Gone)?;
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => break StartHandshake::from_parts(accepted, TokioIo::new(stream)),
            Ok(None) => {}
            Err((error, mut alert)) => {
                let mut bytes = Vec::new();
                alert.write_all(&mut bytes).map_err(Refused::Gone)?;
                write_all(&mut stream, &bytes).await.map_err(Refused::Gone)?;
                let error = io::Error::new(io::ErrorKind::InvalidData, error);
                return Err(Refused::Said(error, TokioIo::new(stream)));
            }
        }
    };
    match start.into_stream(config).into_fallible().await {
        Ok(stream) => Ok(TokioIo::new(stream)),
        Err((error, stream)) => Err(Refused::Said(error, stream)),
    }
}

/// Whether a certificate was shown that these believe.
fn is_of(authorities: &dyn ClientCertVerifier, shown: Option<&[CertificateDer<'_>]>) -> bool {
    let Some((own, others)) = shown.and_then(<[_]>::split_first) else { return false };
    authorities.verify_client_cert(own, others, UnixTime::now()).is_ok()
}

/// Says a last word, and reads on until the other side has closed as well.
async fn part<S: Read + Write + Unpin>(mut stream: S, word: &[u8]) -> io::Result<()> {
    write_all(&mut stream, word).await?;
    close_write(&mut stream).await?;
    let (mut bytes, mut discarded) = ([0; 4096], 0);
    while discarded < MAX_DISCARDED_BYTES {
        match read_some(&mut stream, &mut bytes).await? {
            0 => break,
            count => discarded += count,
        }
    }
    Ok(())
}
