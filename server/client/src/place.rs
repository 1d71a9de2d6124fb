//! Standing in line: what locks and elections are made of.
//!
//! Who joins a line puts a key with a lease under the line's prefix. The one whose key was created first is first in
//! line; everybody else waits for the one right before them to go, so that a departure wakes one and not all. A place
//! is lost with its lease.
//!
//! The revision that created the key is the place's *token*. Tokens of one line only grow from one first to the next,
//! so a resource that remembers the greatest token it has seen, and refuses smaller ones, is safe from a former first
//! that does not know yet that it is not any more. Without that, no lease can keep two from acting at once: between the
//! look at the lease and the act, any time may pass.

use crate::client::{Client, PAUSE};
use crate::entry::Entry;
use crate::error::ClientError;
use crate::kept::KeptLease;
use crate::watch::{Event, Watch};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

impl Client {
    /// Joins the line of that name: its keys are `NAME/<lease>`. The value tells others who stands there.
    ///
    /// ```no_run
    /// # async fn example(client: quorate_client::Client) -> Result<(), quorate_client::ClientError> {
    /// # use std::time::Duration;
    /// let mut place = client.line_up("lock/reports", "host-7".into(), Duration::from_secs(15)).await?;
    /// place.first().await?;
    /// println!("it is our turn, with the token {}", place.token());
    /// place.leave().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::OutcomeUnknown`] when there may be a place now that nobody keeps; it goes with its lease.
    pub async fn line_up(&self, line: &str, value: Bytes, ttl: Duration) -> Result<Place, ClientError> {
        let lease = self.grant_kept(ttl).await?;
        let prefix = format!("{line}/");
        let key = format!("{prefix}{}", lease.id());
        let written = self.put(&key, value).if_absent().lease(lease.id()).await?;
        let token = match written.mod_revision {
            Some(revision) => revision,
            None => self.get(&key).entry().await?.create_revision,
        };
        Ok(Place { client: self.clone(), lease, prefix, key, token })
    }

    /// Watches who is first in the line of that name.
    pub fn watch_line(&self, line: &str) -> LineWatch {
        let prefix = format!("{line}/");
        LineWatch { client: self.clone(), prefix, places: BTreeMap::new(), watch: None, told: None }
    }
}

/// A place in line, kept by a lease. When it is dropped without [`Place::leave`], it goes when the lease ends.
#[derive(Debug)]
pub struct Place {
    client: Client,
    lease: KeptLease,
    prefix: String,
    key: String,
    token: u64,
}

impl Place {
    /// The key that stands for it.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The fencing token: the revision that created the key.
    pub fn token(&self) -> u64 {
        self.token
    }

    /// The lease that keeps it.
    pub fn lease(&self) -> &KeptLease {
        &self.lease
    }

    /// Whether it is the first now.
    ///
    /// # Errors
    /// [`ClientError::LeaseNotFound`] when the place is lost.
    pub async fn is_first(&self) -> Result<bool, ClientError> {
        let (places, _) = places(&self.client, &self.prefix).await?;
        Ok(before(&places, &self.key, self.token)?.is_none())
    }

    /// Waits until it is the first.
    ///
    /// # Errors
    /// [`ClientError::LeaseNotFound`] when the place was lost while it waited.
    pub async fn first(&mut self) -> Result<(), ClientError> {
        let Place { client, lease, prefix, key, token } = self;
        tokio::select! {
            biased;
            why = lease.lost() => Err(ClientError::LeaseNotFound(why)),
            waited = wait_for_turn(client, prefix, key, *token) => waited,
        }
    }

    /// Waits until the place is lost, and tells why: its lease is, or somebody deleted the key.
    pub async fn lost(&mut self) -> String {
        let Place { client, lease, prefix, key, token } = self;
        tokio::select! {
            biased;
            why = lease.lost() => why,
            () = until_gone(client, prefix, key, *token) => format!("the key {key} was deleted"),
        }
    }

    /// Leaves the line: the next one is first at once.
    ///
    /// # Errors
    /// As [`Client::revoke`]; the place then goes with its lease.
    pub async fn leave(self) -> Result<(), ClientError> {
        self.lease.revoke().await
    }
}

async fn wait_for_turn(client: &Client, prefix: &str, key: &str, token: u64) -> Result<(), ClientError> {
    loop {
        let (places, revision) = match places(client, prefix).await {
            Ok(found) => found,
            // As long as the lease is kept, the place is.
            Err(ClientError::Unavailable(_)) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
            Err(error) => return Err(error),
        };
        match before(&places, key, token)? {
            None => return Ok(()),
            Some(before) => until_deleted(client, &before.key, revision + 1).await,
        }
    }
}

/// Who stands right before that place.
fn before<'a>(
    places: &'a BTreeMap<u64, Entry>,
    key: &str,
    token: u64,
) -> Result<Option<&'a Entry>, ClientError> {
    if places.get(&token).is_none_or(|entry| entry.key != key) {
        return Err(ClientError::LeaseNotFound(format!("the key {key} is gone")));
    }
    Ok(places.range(..token).next_back().map(|(_, entry)| entry))
}

/// Waits until a key is deleted, or may have been: whoever called looks again.
async fn until_deleted(client: &Client, key: &str, from: u64) {
    let mut watch = loop {
        match client.watch_key(key).from(from).begin().await {
            Ok(watch) => break watch,
            // Whether there is time for another try is the lease's question.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    };
    loop {
        match watch.next().await {
            Ok(Some(Event::Put { .. })) => {}
            Ok(Some(Event::Delete { .. } | Event::Reset { .. }) | None) => return,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn until_gone(client: &Client, prefix: &str, key: &str, token: u64) {
    loop {
        match places(client, prefix).await {
            Ok((places, _)) if places.get(&token).is_none_or(|entry| entry.key != key) => return,
            Ok((_, revision)) => until_deleted(client, key, revision + 1).await,
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// The places of a line by the revision that created them, and the revision of the store at which they stood.
async fn places(client: &Client, prefix: &str) -> Result<(BTreeMap<u64, Entry>, u64), ClientError> {
    let mut listing = client.list().prefix(prefix).begin().await?;
    let mut places = BTreeMap::new();
    while let Some(entry) = listing.next().await? {
        if is_place(&entry.key, prefix) {
            places.insert(entry.create_revision, entry);
        }
    }
    Ok((places, listing.revision().unwrap_or(0)))
}

/// Another line's name may begin with this one's and a slash.
fn is_place(key: &str, prefix: &str) -> bool {
    let lease = key.strip_prefix(prefix).unwrap_or_default();
    lease.len() == 16 && lease.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Who is first in a line, again and again; see [`Client::watch_line`].
#[derive(Debug)]
pub struct LineWatch {
    client: Client,
    prefix: String,
    places: BTreeMap<u64, Entry>,
    watch: Option<Watch>,
    /// Who was told last to be first: nobody yet, no one, or that one's token and value.
    told: Option<Option<(u64, Option<Bytes>)>>,
}

impl LineWatch {
    /// Waits until another one is first than the last time, or nobody, and returns its entry. The first call tells how
    /// it is now.
    ///
    /// # Errors
    /// [`ClientError::Unavailable`]; it may be called again.
    pub async fn next(&mut self) -> Result<Option<Entry>, ClientError> {
        loop {
            let Some(watch) = &mut self.watch else {
                let (places, revision) = places(&self.client, &self.prefix).await?;
                self.places = places;
                let request = self.client.watch_prefix(&self.prefix).from(revision + 1);
                self.watch = Some(request.begin().await?);
                continue;
            };
            let first = self.places.first_key_value().map(|(token, entry)| (*token, entry.value.clone()));
            if self.told.as_ref() != Some(&first) {
                self.told = Some(first);
                return Ok(self.places.first_key_value().map(|(_, entry)| entry.clone()));
            }
            match watch.next().await? {
                Some(Event::Put { entry, .. }) if is_place(&entry.key, &self.prefix) => {
                    self.places.insert(entry.create_revision, entry);
                }
                Some(Event::Delete { key, .. }) => self.places.retain(|_, entry| entry.key != key),
                Some(Event::Put { .. }) => {}
                Some(Event::Reset { .. }) | None => self.watch = None,
            }
        }
    }
}
