//! A backup, or a recording, as it comes.

use crate::client::{Client, LONGEST_SERVER_TIMEOUT};
use crate::consistency::Consistency;
use crate::endpoint::Endpoint;
use crate::error::ClientError;
use crate::exchange::{Attempt, Begun, Call, attempt};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, ETAG, HeaderValue, IF_MATCH, IF_NONE_MATCH, RANGE};
use hyper::{HeaderMap, StatusCode};
use std::time::Duration;

/// Which bytes of which backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// One of now, from its beginning.
    New {
        /// How fresh it must be.
        consistency: Consistency,
        /// The tag, without quotes, of one that is here already: that one need not come again.
        known: Option<String>,
    },
    /// The rest of one that was begun.
    Rest {
        /// Its tag, without quotes.
        tag: String,
        /// The first byte that is missing.
        from: u64,
    },
}

/// A backup on its way.
#[derive(Debug)]
pub struct Arriving {
    /// Its tag, without quotes.
    pub tag: String,
    /// How many bytes will come.
    pub bytes: u64,
    body: Incoming,
}

/// Why no backup, or no recording, comes from an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum NoBackup {
    /// The one of now is the one that is here already.
    #[error("it is the one that is here already")]
    Unchanged,
    /// It does not have the one that was begun. Another endpoint may.
    #[error("it does not have that checkpoint, or no longer")]
    Gone,
    /// It is there and can't do it now. It may soon.
    #[error("{0}")]
    Busy(String),
    /// It does not answer, or broke off. It may later, and another endpoint may now.
    #[error("{0}")]
    NotNow(String),
    /// It refuses, and would again. Another endpoint may not.
    #[error(transparent)]
    Refused(ClientError),
}

impl Client {
    /// Asks one endpoint for a backup, and waits at most as long as a call may take for the beginning of the answer.
    ///
    /// # Errors
    /// [`NoBackup`].
    pub async fn backup(&self, endpoint: &Endpoint, wanted: &Wanted) -> Result<Arriving, NoBackup> {
        let patience = self.timeout();
        let (mut target, mut headers) = ("/backup".to_owned(), HeaderMap::new());
        let quoted = |tag: &str| HeaderValue::try_from(format!("\"{tag}\"")).map_err(|_| NoBackup::Gone);
        match wanted {
            Wanted::New { consistency, known } => {
                if let Some(tag) = known {
                    headers.insert(IF_NONE_MATCH, quoted(tag)?);
                }
                // So that the server's own words come before our patience ends.
                let milliseconds = (patience.min(LONGEST_SERVER_TIMEOUT).as_millis() * 9 / 10).max(1);
                target = format!("{target}?consistency={consistency}&timeout={milliseconds}ms");
            }
            Wanted::Rest { tag, from } => {
                headers.insert(IF_MATCH, quoted(tag)?);
                let range = HeaderValue::try_from(format!("bytes={from}-"));
                headers.insert(RANGE, range.expect("digits are a header value"));
            }
        }
        let uri = format!("{endpoint}{target}").parse().expect("an endpoint and a fixed path are a URL");
        let call = Call { headers, ..Call::read(target) };
        let response: Begun = match attempt(self.pool(), uri, &call, patience).await {
            Attempt::Done(response) => response,
            failed => return Err(no_backup(failed)),
        };
        let expected = match wanted {
            Wanted::New { known: Some(_), .. } if response.status() == StatusCode::NOT_MODIFIED => {
                return Err(NoBackup::Unchanged);
            }
            Wanted::New { .. } => StatusCode::OK,
            Wanted::Rest { .. } => StatusCode::PARTIAL_CONTENT,
        };
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let (tag, bytes) = (text(ETAG), text(CONTENT_LENGTH).and_then(|bytes| bytes.parse().ok()));
        match (tag, bytes) {
            (Some(tag), Some(bytes)) if response.status() == expected => {
                let tag = tag.trim_matches('"').to_owned();
                Ok(Arriving { tag, bytes, body: response.into_body() })
            }
            _ => Err(NoBackup::NotNow(format!(
                "it answered {}, and not as a node that knows of backups",
                response.status()
            ))),
        }
    }
}

fn no_backup(failed: Attempt<Begun>) -> NoBackup {
    match failed {
        Attempt::Final(ClientError::PreconditionFailed(_)) => NoBackup::Gone,
        Attempt::Final(error) => NoBackup::Refused(error),
        Attempt::NothingHappened(problem) | Attempt::KeysFull(problem) => NoBackup::Busy(problem),
        Attempt::Unreachable(problem) | Attempt::Lost(problem) | Attempt::Strange(problem) => {
            NoBackup::NotNow(problem)
        }
        Attempt::Done(_) => unreachable!("what was done is no error"),
    }
}

impl Arriving {
    /// The next bytes, for which it waits so long; nothing when all have come.
    ///
    /// # Errors
    /// [`NoBackup::NotNow`]: it broke off, or nothing came in that time.
    pub async fn piece(&mut self, patience: Duration) -> Result<Option<Bytes>, NoBackup> {
        piece(&mut self.body, patience).await
    }
}

/// A recording on its way. How long it is nobody knows before its end, which it says itself.
#[derive(Debug)]
pub struct ArrivingRecording {
    body: Incoming,
}

impl Client {
    /// Asks one endpoint for a recording of what went into it lately, and waits at most as long as a call may take for
    /// the beginning of the answer.
    ///
    /// # Errors
    /// [`NoBackup`].
    pub async fn recording(&self, endpoint: &Endpoint) -> Result<ArrivingRecording, NoBackup> {
        let target = "/debug/recording";
        let uri = format!("{endpoint}{target}").parse().expect("an endpoint and a fixed path are a URL");
        let call = Call::read(target.to_owned());
        match attempt::<Begun>(self.pool(), uri, &call, self.timeout()).await {
            Attempt::Done(response) => Ok(ArrivingRecording { body: response.into_body() }),
            failed => Err(no_backup(failed)),
        }
    }
}

impl ArrivingRecording {
    /// The next bytes, for which it waits so long; nothing when all have come.
    ///
    /// # Errors
    /// [`NoBackup::NotNow`]: it broke off, or nothing came in that time.
    pub async fn piece(&mut self, patience: Duration) -> Result<Option<Bytes>, NoBackup> {
        piece(&mut self.body, patience).await
    }
}

async fn piece(body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, NoBackup> {
    loop {
        let frame = match tokio::time::timeout(patience, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => {
                return Err(NoBackup::NotNow(format!("the answer broke off: {error}")));
            }
            Err(_) => return Err(NoBackup::NotNow(format!("nothing came for {patience:?}"))),
        };
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
}
