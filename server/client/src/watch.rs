//! Watches: every change of a key, or of all keys with a prefix, in order, none missed and none twice.
//!
//! A connection is only a part of a watch. When it breaks, or nothing came for too long (a server says something every
//! 15 s), the next endpoint is asked to go on: behind the last event that came (`Last-Event-ID`), or, before the first
//! one, from where the watch was registered. An endpoint that has nothing newer yet says nothing; one that sends an
//! event again is not believed. What can't be gone on with (compacted, another history) is an [`Event::Reset`], and
//! the end: read the keys again, and watch from the revision after that of the read.

use crate::client::{Client, PAUSE};
use crate::endpoint::Endpoint;
use crate::entry::Entry;
use crate::error::{ClientError, Failed};
use crate::events::EventReader;
use crate::exchange::{Begun, Call};
use crate::query::Target;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const QUORATE_HISTORY: HeaderName = HeaderName::from_static("quorate-history");

/// Nothing for so long, and the connection is taken for broken.
const SILENCE: Duration = Duration::from_secs(40);

impl Client {
    /// Watches one key.
    ///
    /// ```no_run
    /// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::ClientError> {
    /// use quorate_client::Event;
    ///
    /// let mut watch = client.watch_prefix("users/").begin().await?;
    /// while let Some(event) = watch.next().await? {
    ///     match event {
    ///         Event::Put { entry, .. } => println!("{} is there", entry.key),
    ///         Event::Delete { key, reason, .. } => println!("{key} is gone: {reason}"),
    ///         Event::Reset { revision, .. } => println!("read all of it again, at {revision} or later"),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn watch_key(&self, key: &str) -> WatchRequest<'_> {
        self.watch("key", key)
    }

    /// Watches all keys that begin with this.
    pub fn watch_prefix(&self, prefix: &str) -> WatchRequest<'_> {
        self.watch("prefix", prefix)
    }

    fn watch(&self, name: &str, value: &str) -> WatchRequest<'_> {
        let mut target = Target::new("/watch");
        target.add(name, value);
        WatchRequest { client: self, target, from: None, silence: SILENCE }
    }
}

/// A watch to be begun; see [`Client::watch_key`].
#[derive(Debug)]
#[must_use = "nothing is watched before `begin`"]
pub struct WatchRequest<'a> {
    client: &'a Client,
    target: Target,
    from: Option<u64>,
    silence: Duration,
}

impl WatchRequest<'_> {
    /// From this revision of the store on, itself included. Without it, from now on.
    pub fn from(mut self, revision: u64) -> Self {
        self.from = Some(revision);
        self
    }

    /// With what was there before, in each event.
    pub fn with_previous(mut self) -> Self {
        self.target.add("previous", true);
        self
    }

    /// Only events of this kind.
    pub fn only(mut self, kind: EventKind) -> Self {
        self.target.add("events", kind);
        self
    }

    /// Takes a connection for broken when nothing came for this long: 40 s unless told otherwise.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Begins it: every change after this returns will come.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`].
    pub async fn begin(self) -> Result<Watch, ClientError> {
        let position = self.from.map_or(Position::Now, Position::From);
        let mut watch = Watch {
            client: self.client.clone(),
            target: self.target,
            silence: self.silence,
            position,
            history: None,
            registered_at: 0,
            first: 0,
            arriving: None,
            is_over: false,
        };
        watch.connect().await?;
        Ok(watch)
    }
}

/// Names an event, and orders events: by revision, and by their number within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    /// The store's revision that made the change.
    pub revision: u64,
    /// Which of its changes it is, from 0.
    pub number: u64,
}

impl fmt::Display for EventId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.revision, self.number)
    }
}

impl EventId {
    pub(crate) fn parse(text: &str) -> Option<EventId> {
        let (revision, number) = text.split_once('-')?;
        Some(EventId { revision: revision.parse().ok()?, number: number.parse().ok()? })
    }
}

/// The kinds of events that a watch may be narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A key was written.
    Put,
    /// A key is gone.
    Delete,
}

impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Put => "put",
            Self::Delete => "delete",
        })
    }
}

/// What a watch sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A key was written.
    Put {
        /// The key as it is now.
        #[serde(flatten)]
        entry: Entry,
        /// The store's revision that wrote it.
        revision: u64,
        /// What was there before, if that was asked for and there was something.
        #[serde(skip_serializing_if = "Option::is_none")]
        previous: Option<Entry>,
    },
    /// A key is gone.
    Delete {
        /// The key.
        key: String,
        /// The store's revision that took it out.
        revision: u64,
        /// `deleted` or `expired`.
        reason: String,
        /// What was there before, if that was asked for.
        #[serde(skip_serializing_if = "Option::is_none")]
        previous: Option<Entry>,
    },
    /// Changes were missed, or may have been: read the keys again. The watch is over.
    Reset {
        /// The store's revision by then.
        revision: u64,
        /// `slow`, `compacted` or `restored`.
        reason: String,
    },
}

/// Where a watch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// It was not registered anywhere yet.
    Now,
    /// From this revision on.
    From(u64),
    /// Behind this event.
    Behind(EventId),
}

/// A watch that was begun.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    target: Target,
    silence: Duration,
    position: Position,
    history: Option<HeaderValue>,
    registered_at: u64,
    /// Whom to ask first.
    first: usize,
    arriving: Option<Arriving>,
    is_over: bool,
}

#[derive(Debug)]
struct Arriving {
    from: Endpoint,
    body: Incoming,
    piece: Bytes,
    events: EventReader,
}

impl Watch {
    /// The store's revision when the watch was last registered at a node: every later event comes.
    pub fn registered_at(&self) -> u64 {
        self.registered_at
    }

    /// The next event; nothing behind an [`Event::Reset`]. It waits as long as it takes, and may be given up and called
    /// again: nothing is lost by that.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when no endpoint could go on with it for the client's timeout. It may be called
    /// again, and goes on where it was.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            if self.arriving.is_none()
                && let Some(reset) = self.connect().await?
            {
                return Ok(Some(reset));
            }
            match tokio::time::timeout(self.silence, self.step()).await {
                Ok(Ok(event)) => return Ok(Some(event)),
                Ok(Err(Trouble::Strange(failed))) => return Err(ClientError::NotQuorate(failed)),
                Ok(Err(Trouble::Broken)) | Err(_) => {
                    self.arriving = None;
                    self.first += 1;
                }
            }
        }
    }

    /// Finds an endpoint that goes on with it. A history that is not the one of before is a reset.
    async fn connect(&mut self) -> Result<Option<Event>, ClientError> {
        let deadline = Instant::now() + self.client.timeout();
        let mut endpoints = self.client.endpoints().to_vec();
        let count = endpoints.len();
        endpoints.rotate_left(self.first % count);
        loop {
            let call = self.call();
            let error = match self.client.in_turn::<Begun>(&endpoints, call).await {
                Ok((endpoint, begun)) => return self.register(endpoint, begun),
                Err(error) => error,
            };
            let is_short_trouble = matches!(error, ClientError::Unavailable(_));
            if !is_short_trouble || Instant::now() + PAUSE >= deadline {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn call(&self) -> Call {
        let mut target = self.target.clone();
        if let Position::From(revision) = self.position {
            target.add("from", revision);
        }
        let mut call = Call { takes_timeout: false, ..Call::read(target.text()) };
        call.headers.insert(ACCEPT, HeaderValue::from_static("text/event-stream"));
        if let Position::Behind(id) = self.position {
            let id = HeaderValue::try_from(id.to_string()).expect("digits and a dash are a header value");
            call.headers.insert(LAST_EVENT_ID, id);
        }
        // A node of another history says so, and does not count on from our revisions.
        if let Some(history) = &self.history {
            call.headers.insert(QUORATE_HISTORY, history.clone());
        }
        call
    }

    fn register(&mut self, endpoint: &Endpoint, begun: Begun) -> Result<Option<Event>, ClientError> {
        let revision = begun.headers().get("quorate-revision").and_then(|revision| revision.to_str().ok());
        let revision = revision.and_then(|revision| revision.parse::<u64>().ok());
        let Some(revision) = revision else {
            let problem = "it began a watch without Quorate-Revision".to_owned();
            return Err(ClientError::NotQuorate(Failed { endpoint: endpoint.clone(), problem }));
        };
        let history = begun.headers().get(QUORATE_HISTORY).cloned();
        if self.history.is_some() && history != self.history {
            self.is_over = true;
            return Ok(Some(Event::Reset { revision, reason: "restored".to_owned() }));
        }
        self.history = history;
        self.registered_at = revision;
        if self.position == Position::Now {
            self.position = Position::From(revision + 1);
        }
        let all = self.client.endpoints();
        self.first = all.iter().position(|other| other == endpoint).unwrap_or(0);
        let (piece, events) = (Bytes::new(), EventReader::default());
        self.arriving = Some(Arriving { from: endpoint.clone(), body: begun.into_body(), piece, events });
        Ok(None)
    }

    /// Goes on until an event has come that was not there before.
    async fn step(&mut self) -> Result<Event, Trouble> {
        loop {
            let Some(arriving) = &mut self.arriving else { return Err(Trouble::Broken) };
            let strange = |arriving: &Arriving, problem: String| {
                Trouble::Strange(Failed { endpoint: arriving.from.clone(), problem })
            };
            match arriving.events.next(&mut arriving.piece) {
                Err(problem) => return Err(strange(arriving, problem)),
                Ok(Some((event, id))) => {
                    if let Some(event) = self.came(event, id) {
                        return Ok(event);
                    }
                }
                Ok(None) => match arriving.body.frame().await {
                    Some(Ok(frame)) => arriving.piece = frame.into_data().unwrap_or_default(),
                    Some(Err(_)) | None => return Err(Trouble::Broken),
                },
            }
        }
    }

    /// What is older than the position came before.
    fn came(&mut self, event: Event, id: Option<EventId>) -> Option<Event> {
        let Some(id) = id else {
            self.is_over = true;
            return Some(event);
        };
        let is_new = match self.position {
            Position::Now => true,
            Position::From(revision) => id.revision >= revision,
            Position::Behind(last) => id > last,
        };
        is_new.then(|| {
            self.position = Position::Behind(id);
            event
        })
    }
}

enum Trouble {
    /// Another endpoint can go on.
    Broken,
    /// No server of ours says such a thing.
    Strange(Failed),
}
