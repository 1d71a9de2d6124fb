//! The tokens in force, and who a request is from.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use hyper::header::{AUTHORIZATION, HeaderMap};
use tokio::sync::Semaphore;
use tracing::{error, info, warn};

use super::attempts::{Attempts, WINDOW};
use super::file::{Entry, TokenFileError};
use super::rate::Pace;
use super::rights::Reach;
use super::secret::{Token, TokenId, same};
use crate::http::{ApiError, Need, QUORATE_JOIN_TOKEN, speaks_for_node, wants_page};
use crate::metrics::Counter;
use crate::net::Certified;
use crate::real::off_thread;
use crate::runtime::Runtime;
use crate::watch;

/// So many may wait for a hash to be computed, which is done for one after the other.
const MOST_WAITING: usize = 64;

/// Said to a node that wants to join and shows nothing.
const NO_ENTRANCE: &str = "the request has nothing that lets a node in: a join token, which `quorate token \
                           join` makes (serve --join-token-file, or the header Quorate-Join-Token), a peer \
                           certificate, or a token of the role admin";

/// Asks everybody for a token.
pub struct Guard {
    path: PathBuf,
    /// Whether `/livez` and `/readyz` need one, too.
    guards_probes: bool,
    table: watch::Sender<Arc<Table>>,
    /// What the hashes in memory are made with.
    key: [u8; 32],
    attempts: Arc<Attempts>,
    turn: Arc<Semaphore>,
    /// How many requests came with wrong tokens.
    wrong: Counter,
    waiting: AtomicUsize,
}

/// The tokens of one state of the file.
#[derive(Default)]
struct Table(BTreeMap<TokenId, Arc<Known>>);

/// A token that there is.
#[derive(Debug)]
pub(crate) struct Known {
    entry: Entry,
    /// The keyed hash of its secret, once somebody has shown it.
    verified: OnceLock<[u8; 32]>,
    pace: Pace,
}

/// Who has sent a request, as far as the connection tells.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) address: IpAddr,
    /// Whether it has shown a certificate of the peers' CA.
    pub(crate) certified: Certified,
}

/// Who asks, and so what they may.
#[derive(Clone, Debug)]
pub(crate) enum Asker {
    /// Nobody was asked who they are.
    Anybody,
    /// A member, or one that is to be.
    Node,
    /// Who shows a join token, at which the leader looks.
    Newcomer,
    /// Who has this token.
    Holder(Arc<Known>),
}

impl Asker {
    /// Refuses keys that are not this asker's.
    ///
    /// # Errors
    /// `forbidden`.
    pub(crate) fn must_reach(&self, reach: &Reach<'_>) -> Result<(), ApiError> {
        let Asker::Holder(known) = self else { return Ok(()) };
        let Entry { name, prefixes, .. } = &known.entry;
        match reach.outside(prefixes) {
            None => Ok(()),
            Some(what) => Err(ApiError::Forbidden(format!(
                "the token {name:?} is for keys with the prefixes {prefixes:?}, and the request names {what}: stay within \
                 one of them, or ask for another token"
            ))),
        }
    }

    /// Whose idempotency keys the request's is among.
    pub(crate) fn principal(&self) -> Option<&str> {
        match self {
            Asker::Holder(known) => Some(&known.entry.name),
            Asker::Anybody | Asker::Node | Asker::Newcomer => None,
        }
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Guard").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Guard {
    /// Reads the file. `key` is random.
    ///
    /// # Errors
    /// [`TokenFileError`].
    pub(crate) fn load(path: &Path, guards_probes: bool, key: [u8; 32]) -> Result<Guard, TokenFileError> {
        Ok(Guard::of(path, Entry::read_all(path)?, guards_probes, key))
    }

    /// With these tokens.
    pub(crate) fn of(path: &Path, entries: Vec<Entry>, guards_probes: bool, key: [u8; 32]) -> Guard {
        let table = Table::default().followed_by(entries);
        Guard {
            path: path.to_owned(),
            guards_probes,
            table: watch::Sender::new(Arc::new(table)),
            key,
            attempts: Arc::default(),
            wrong: Counter::default(),
            turn: Arc::new(Semaphore::new(1)),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Reads the file again. What can't be used changes nothing.
    pub(crate) fn reload(&self) {
        match Entry::read_all(&self.path) {
            Ok(entries) => {
                let tokens = entries.len();
                self.replace(entries);
                info!(tokens, "the file of tokens was read again");
            }
            Err(problem) => {
                error!(%problem, "the file of tokens was read again and can't be used; the ones before stay in force");
            }
        }
    }

    /// Puts other tokens in force. One that is the same as before goes on.
    pub(crate) fn replace(&self, entries: Vec<Entry>) {
        let table = self.table.current().followed_by(entries);
        self.table.replace(Arc::new(table));
    }

    /// Finds out who a request is from, and refuses it when they may not ask for such a thing.
    ///
    /// # Errors
    /// `unauthenticated`, `forbidden`; `rate_limited` when it has come too often; `overloaded` when too many tokens
    /// wait to be looked at.
    pub(crate) async fn admit<R: Runtime>(
        &self,
        runtime: &R,
        need: Need,
        headers: &HeaderMap,
        sender: &Sender,
    ) -> Result<Asker, ApiError> {
        let (role, nodes_may) = match need {
            Need::Probe(_) if !self.guards_probes => return Ok(Asker::Anybody),
            Need::RoleOrPage(_) if wants_page(headers) => return Ok(Asker::Anybody),
            Need::Probe(role) | Need::Role(role) | Need::RoleOrPage(role) => (role, false),
            Need::RoleOrNode(role) | Need::Join(role) => (role, true),
        };
        let mut shown = headers.get_all(AUTHORIZATION).iter();
        let known = match (shown.next(), shown.next()) {
            (Some(shown), None) => self.find(runtime, shown.as_bytes(), sender.address).await?,
            (None, _) if nodes_may && sender.certified.is_proven() && speaks_for_node(headers) => {
                return Ok(Asker::Node);
            }
            (None, _) if matches!(need, Need::Join(_)) && headers.contains_key(QUORATE_JOIN_TOKEN) => {
                return Ok(Asker::Newcomer);
            }
            (None, _) if matches!(need, Need::Join(_)) => {
                return Err(ApiError::Unauthenticated(NO_ENTRANCE));
            }
            (None, _) => return Err(ApiError::Unauthenticated("the request has no token")),
            (Some(_), Some(_)) => {
                return Err(ApiError::Unauthenticated("the request has more than one Authorization header"));
            }
        };
        let Entry { name, role: has, .. } = &known.entry;
        if *has < role {
            return Err(ApiError::Forbidden(format!(
                "the token {name:?} has the role {has}, and this needs {role}: ask for another token"
            )));
        }
        if let Some(rate) = known.entry.rate
            && !known.pace.allows(rate, runtime.now())
        {
            return Err(ApiError::RateLimited { name: name.clone(), rate: rate.to_string() });
        }
        Ok(Asker::Holder(known))
    }

    /// Ready when whoever asks may not any more what they once might: their token was taken away, or changed.
    pub(crate) async fn taken_from(&self, asker: &Asker) {
        let Asker::Holder(known) = asker else { return std::future::pending().await };
        let mut table = self.table.subscribe();
        if table.wait_for(|table| !table.has(known)).await.is_err() {
            // Nobody can take anything away any more.
            std::future::pending::<()>().await;
        }
    }

    /// How many requests came with wrong tokens.
    pub(crate) fn wrong_tokens(&self) -> u64 {
        self.wrong.total()
    }

    async fn find<R: Runtime>(
        &self,
        runtime: &R,
        shown: &[u8],
        address: IpAddr,
    ) -> Result<Arc<Known>, ApiError> {
        let token = bearer(shown).and_then(Token::parse);
        let table = self.table.current();
        let known = token.as_ref().and_then(|token| table.0.get(&token.id));
        let (Some(token), Some(known)) = (token, known) else {
            return Err(self.wrong(runtime, address, None));
        };
        match self.compare(known, &token) {
            Some(true) => return Ok(Arc::clone(known)),
            Some(false) => return Err(self.wrong(runtime, address, Some(known))),
            None => {}
        }
        let id = token.id;
        if !self.attempts.begin(runtime.now(), address, Some(id)) {
            self.say(runtime, address, Some(known));
            return Err(ApiError::Unauthenticated(
                "there were too many wrong secrets for this token in the last minute, and no more are looked at for now",
            ));
        }
        match self.verified(known, token).await? {
            true => {
                self.attempts.forgive(runtime.now(), address, Some(id));
                Ok(Arc::clone(known))
            }
            false => Err(self.wrong(runtime, address, Some(known))),
        }
    }

    /// Whether it is the secret that was verified before, if one was.
    fn compare(&self, known: &Known, token: &Token) -> Option<bool> {
        let verified = known.verified.get()?;
        Some(same(&token.keyed_hash(&self.key), verified))
    }

    /// Computes the slow hash, on another thread, one at a time. It goes on when nobody waits for it any more, so that
    /// nobody gets more than one at a time by hanging up.
    async fn verified(&self, known: &Arc<Known>, token: Token) -> Result<bool, ApiError> {
        let _place = Place::take(&self.waiting).ok_or(ApiError::Overloaded)?;
        // Nobody closes it.
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| ApiError::ShuttingDown)?;
        if let Some(is_right) = self.compare(known, &token) {
            return Ok(is_right);
        }
        let (known, key) = (Arc::clone(known), self.key);
        Ok(off_thread(move || {
            let _turn = turn;
            let is_right = known.entry.hash.verify(&token);
            if is_right {
                // Another has done the same.
                let _ = known.verified.set(token.keyed_hash(&key));
            }
            is_right
        })
        .await)
    }

    fn wrong<R: Runtime>(&self, runtime: &R, address: IpAddr, known: Option<&Arc<Known>>) -> ApiError {
        self.say(runtime, address, known);
        ApiError::Unauthenticated("there is no such token, or its secret is another one")
    }

    /// Counts it: a line in the log, and for all that come within a minute after it one more.
    fn say<R: Runtime>(&self, runtime: &R, address: IpAddr, known: Option<&Arc<Known>>) {
        self.wrong.count();
        if !self.attempts.is_news() {
            return;
        }
        let token = known.map_or("none that there is", |known| &known.entry.name);
        warn!(%address, token, "a request came with a wrong token");
        let (attempts, later) = (Arc::clone(&self.attempts), runtime.clone());
        runtime.spawn(async move {
            loop {
                later.sleep(WINDOW).await;
                let Some(requests) = attempts.unsaid() else { return };
                warn!(requests, "more requests came with wrong tokens in the last minute");
            }
        });
    }
}

impl Table {
    /// The tokens of the next state of the file: those that are the same keep what was found out of them.
    fn followed_by(&self, entries: Vec<Entry>) -> Table {
        let next = entries.into_iter().map(|entry| match self.0.get(&entry.id) {
            Some(known) if known.entry == entry => (entry.id, Arc::clone(known)),
            _ => (entry.id, Arc::new(Known { entry, verified: OnceLock::new(), pace: Pace::default() })),
        });
        Table(next.collect())
    }

    fn has(&self, known: &Arc<Known>) -> bool {
        self.0.get(&known.entry.id).is_some_and(|now| Arc::ptr_eq(now, known))
    }
}

/// A place among those that wait.
struct Place<'a>(&'a AtomicUsize);

impl Place<'_> {
    fn take(waiting: &AtomicUsize) -> Option<Place<'_>> {
        let place = Place(waiting);
        // Dropping it takes back what was added, in either case.
        let is_there = waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING;
        is_there.then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What stands behind `Bearer` (RFC 6750, section 2.1), whose case does not count.
fn bearer(header: &[u8]) -> Option<&str> {
    let (scheme, token) = str::from_utf8(header).ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
