//! Lists of keys, entry by entry as they arrive.

use crate::client::{Client, PAUSE};
use crate::consistency::Consistency;
use crate::elements::Elements;
use crate::entry::Entry;
use crate::error::{ClientError, Failed};
use crate::exchange::{Begun, Call, cause};
use crate::keys::named;
use crate::query::Target;
use bytes::{Buf, Bytes};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use std::time::Instant;

impl Client {
    /// Lists keys in the order of their bytes: all of them, unless told which.
    ///
    /// ```no_run
    /// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::ClientError> {
    /// let mut listing = client.list().prefix("users/").begin().await?;
    /// while let Some(entry) = listing.next().await? {
    ///     println!("{} was written by {}", entry.key, entry.mod_revision);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn list(&self) -> List<'_> {
        List {
            client: self,
            wanted: Target::new("/keys"),
            consistency: Consistency::Linearizable,
            after: None,
            limit: None,
            revision: None,
        }
    }
}

/// A list to be asked for; see [`Client::list`].
#[derive(Debug)]
#[must_use = "nothing is asked before `begin`"]
pub struct List<'a> {
    client: &'a Client,
    /// Which keys, and what of them.
    wanted: Target,
    consistency: Consistency,
    after: Option<String>,
    limit: Option<u64>,
    revision: Option<u64>,
}

impl<'a> List<'a> {
    /// Keys that begin with this.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.wanted.add("prefix", prefix);
        self
    }

    /// Keys from `start` on, and before `end`; an empty `end` is the end of all keys.
    pub fn range(mut self, start: &str, end: &str) -> Self {
        self.wanted.add("start", start);
        self.wanted.add_some("end", Some(end).filter(|end| !end.is_empty()));
        self
    }

    /// Keys behind this one.
    pub fn after(mut self, key: &str) -> Self {
        self.after = Some(key.to_owned());
        self
    }

    /// So many keys at most.
    pub fn limit(mut self, limit: u64) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Without their values.
    pub fn keys_only(mut self) -> Self {
        self.wanted.add("values", false);
        self
    }

    /// As they were at this revision of the store.
    pub fn revision(mut self, revision: u64) -> Self {
        self.revision = Some(revision);
        self
    }

    /// As fresh as this.
    pub fn consistency(mut self, consistency: Consistency) -> Self {
        self.consistency = consistency;
        self
    }

    /// Asks for the list, and waits for its beginning.
    ///
    /// # Errors
    /// [`ClientError::Compacted`] of a past that is gone.
    pub async fn begin(self) -> Result<Listing, ClientError> {
        let mut listing = Listing {
            client: self.client.clone(),
            wanted: self.wanted,
            consistency: self.consistency,
            after: self.after,
            left: self.limit,
            revision: self.revision,
            more: None,
            arriving: None,
        };
        listing.ask().await?;
        Ok(listing)
    }
}

/// A list on its way. All of it is as of one revision. When the connection breaks it goes on behind the last key, at
/// the same revision, through another endpoint. It holds one entry at a time.
#[derive(Debug)]
pub struct Listing {
    client: Client,
    wanted: Target,
    consistency: Consistency,
    after: Option<String>,
    left: Option<u64>,
    revision: Option<u64>,
    more: Option<bool>,
    arriving: Option<Arriving>,
}

/// An answer on its way.
#[derive(Debug)]
struct Arriving {
    /// Who sends it, as a place in the client's endpoints.
    from: usize,
    body: Incoming,
    piece: Bytes,
    elements: Elements,
}

/// What stands around the keys.
#[derive(Deserialize)]
struct Around {
    revision: u64,
    #[serde(default)]
    more: bool,
}

impl Listing {
    /// The store's revision that the list is of, once it is known: before the first entry.
    pub fn revision(&self) -> Option<u64> {
        self.revision
    }

    /// Whether there may be keys behind the last one; known when the list has ended.
    pub fn has_more(&self) -> Option<bool> {
        self.more
    }

    /// The next entry; nothing when all have come. It waits as long as the client's timeout.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`] when no endpoint goes on with it; [`ClientError::Compacted`] when the list took so
    /// long that its revision is gone.
    pub async fn next(&mut self) -> Result<Option<Entry>, ClientError> {
        let deadline = Instant::now() + self.client.timeout();
        loop {
            if self.more.is_some() {
                return Ok(None);
            }
            if self.arriving.is_none() && self.left == Some(0) {
                // All that was wanted has come, but not the end, which would say whether there is more.
                self.more = Some(true);
                continue;
            }
            if self.arriving.is_none() {
                self.ask().await?;
            }
            let patience = deadline.saturating_duration_since(Instant::now());
            let failed = match tokio::time::timeout(patience, self.step()).await {
                Ok(Ok(Step::Entry(entry))) => return Ok(Some(entry)),
                Ok(Ok(Step::End)) => return Ok(None),
                Ok(Err(Trouble::Strange(problem))) => return Err(ClientError::NotQuorate(problem)),
                Ok(Err(Trouble::Broken(failed))) => failed,
                Err(_) => self.failed(format!("nothing came for {patience:?}")),
            };
            self.arriving = None;
            if Instant::now() + PAUSE >= deadline {
                return Err(ClientError::Unavailable(vec![failed]));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Asks for what is left.
    async fn ask(&mut self) -> Result<(), ClientError> {
        let mut target = self.wanted.clone();
        target.add_some("consistency", named(self.consistency));
        target.add_some("after", self.after.as_ref());
        target.add_some("limit", self.left);
        target.add_some("revision", self.revision);
        let endpoints = self.client.endpoints();
        let (endpoint, begun): (_, Begun) = self.client.in_turn(endpoints, Call::read(target.text())).await?;
        let from = endpoints.iter().position(|other| other == endpoint).unwrap_or(0);
        let (piece, elements) = (Bytes::new(), Elements::default());
        self.arriving = Some(Arriving { from, body: begun.into_body(), piece, elements });
        Ok(())
    }

    /// Goes on until an entry, or the end, has come. Nothing is lost when it is given up in between.
    async fn step(&mut self) -> Result<Step, Trouble> {
        let strange = |listing: &Listing, problem: &str| Trouble::Strange(listing.failed(problem.to_owned()));
        loop {
            let Some(arriving) = &mut self.arriving else { return Ok(Step::End) };
            let taken = arriving.elements.take(&arriving.piece);
            let Ok((taken, element)) = taken else { return Err(strange(self, "its list is no JSON")) };
            arriving.piece.advance(taken);
            if let Some(element) = element {
                return match serde_json::from_slice::<Entry>(&element) {
                    Ok(entry) => Ok(Step::Entry(self.came(entry))),
                    Err(error) => Err(strange(self, &format!("a key in its list makes no sense: {error}"))),
                };
            }
            match arriving.body.frame().await {
                Some(Ok(frame)) => arriving.piece = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    let problem = format!("the list broke off: {}", cause(&error));
                    return Err(Trouble::Broken(self.failed(problem)));
                }
                None if arriving.elements.is_whole() => {
                    let around = serde_json::from_slice::<Around>(&arriving.elements.around());
                    let Ok(around) = around else { return Err(strange(self, "its list has no revision")) };
                    (self.revision, self.more) = (Some(around.revision), Some(around.more));
                    self.arriving = None;
                    return Ok(Step::End);
                }
                None => return Err(Trouble::Broken(self.failed("the list broke off".to_owned()))),
            }
        }
    }

    /// From here on the list can go on behind this entry.
    fn came(&mut self, entry: Entry) -> Entry {
        if let Some(arriving) = &self.arriving
            && self.revision.is_none()
        {
            let around = serde_json::from_slice::<Around>(&arriving.elements.around());
            self.revision = around.ok().map(|around| around.revision);
        }
        self.after = Some(entry.key.clone());
        self.left = self.left.map(|left| left.saturating_sub(1));
        entry
    }

    fn failed(&self, problem: String) -> Failed {
        let from = self.arriving.as_ref().map_or(0, |arriving| arriving.from);
        Failed { endpoint: self.client.endpoints()[from].clone(), problem }
    }
}

enum Step {
    Entry(Entry),
    End,
}

enum Trouble {
    /// Another endpoint can go on.
    Broken(Failed),
    /// No server of ours says such a thing.
    Strange(Failed),
}
