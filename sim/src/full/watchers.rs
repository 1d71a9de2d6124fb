//! Watchers: they watch everything, or a part of it, at one server after the other, and go on where they were.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode};
use quorate_server::{Either, Event, EventId, EventReader, Net, race};

use super::auditors::{found, number};
use super::network::HostNet;
use super::stage::FullStack;
use crate::audit::{Account, BEHIND_ALL, Errand, FIRST_WATCHER, Place, Seen, Watched};
use crate::identity::{HTTP_PORT, address};
use crate::observe::Observation;
use crate::plan::{FIRST_CLIENT, Host};
use crate::random::Random;

/// Longer than any run.
const FOR_GOOD: Duration = Duration::from_secs(1 << 20);

/// A watcher.
pub(super) struct Watcher {
    stack: FullStack,
    net: HostNet,
    name: u8,
    random: Random,
    watched: Watched,
    /// How many watches it has begun.
    number: u64,
    /// All up to here has been seen.
    place: Place,
    /// The revision up to which all has been seen, for others to know.
    seen: Arc<AtomicU64>,
    servers: Vec<Host>,
}

impl Watcher {
    /// The watcher of this number, from 0. Even ones watch everything, odd ones a part.
    pub(super) fn new(stack: &FullStack, number: u8, seen: &Arc<AtomicU64>) -> Self {
        let name = FIRST_WATCHER + number;
        let mut random = Random::labelled(stack.plan.seed, &format!("watcher {number}"));
        let watched = if number.is_multiple_of(2) { Watched::all() } else { part(&mut random) };
        Watcher {
            stack: stack.clone(),
            net: HostNet::new(stack.clone(), FIRST_CLIENT + name),
            name,
            random,
            watched,
            number: 0,
            place: (0, BEHIND_ALL),
            seen: Arc::clone(seen),
            servers: (1..=stack.plan.cluster.servers).collect(),
        }
    }

    /// Goes on until nobody lets it any more.
    pub(super) async fn work(mut self) {
        loop {
            self.number += 1;
            let is_healed = self.stack.stage().world.is_healed();
            // Of whoever watches everything all others learn what happens: it leaves nothing out.
            let begins_anywhere = !is_healed && !self.watched.is_all() && self.random.one_in(4);
            if !begins_anywhere {
                self.begins();
            }
            let patience_ms = self.random.between(500, 12_000);
            let patience = if is_healed { FOR_GOOD } else { Duration::from_millis(patience_ms) };
            let until = self.stack.clock.now() + patience;
            let clock = self.stack.clock.clone();
            // Whether it breaks, or has lasted for long enough: what comes next goes on behind it.
            let _ = race(self.watches(is_healed, begins_anywhere), clock.sleep_until(until)).await;
            self.stack.stage().holding.remove(&self.name);
            self.is_told(Account::Unknown);
            // Some stay away for so long that what they need may be gone.
            let most_ms = if self.random.one_in(8) { 30_000 } else { 500 };
            let most_ms = if self.stack.stage().world.is_healed() { 500 } else { most_ms };
            self.pauses(most_ms).await;
        }
    }

    /// The watch begins where it stands.
    fn begins(&self) {
        let (after, watched) = (self.place, self.watched.clone());
        let errand = Errand::Watch { after, watched };
        self.observes(Observation::Errand { auditor: self.name, number: self.number, errand });
    }

    /// One connection, to the end once the core is healed.
    async fn watches(&mut self, is_healed: bool, begins_anywhere: bool) {
        let servers = if is_healed { &self.stack.plan.cluster.core } else { &self.servers };
        let to = servers[self.random.below(servers.len())];
        let at = format!("{}:{HTTP_PORT}", address(to));
        let request = self.request(&at, begins_anywhere);
        let Ok(stream) = self.net.dial(&at).await else { return };
        let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(stream).await else {
            return;
        };
        let reading = async {
            if let Ok(response) = sender.send_request(request).await {
                if begins_anywhere {
                    self.begins_at(&response);
                }
                if is_healed && response.status() == StatusCode::OK {
                    self.stack.stage().holding.insert(self.name);
                }
                self.reads(response).await;
            }
        };
        let mut reading = std::pin::pin!(reading);
        let mut connection = std::pin::pin!(connection);
        if let Either::Right(_) = race(reading.as_mut(), connection.as_mut()).await {
            reading.await;
        }
    }

    /// Everything behind the revision of the head is told that is wanted.
    fn begins_at(&mut self, response: &Response<Incoming>) {
        if response.status() != StatusCode::OK {
            return;
        }
        let revision = number(response.headers(), "quorate-revision").expect("a watch begins at a revision");
        self.place = (revision, BEHIND_ALL);
        self.begins();
    }

    fn request(&mut self, at: &str, begins_anywhere: bool) -> Request<Empty<Bytes>> {
        let Watched { prefix, exact, puts, deletes, previous } = &self.watched;
        let mut query = format!("{}={prefix}", if *exact { "key" } else { "prefix" });
        if !(*puts && *deletes) {
            query += if *puts { "&events=put" } else { "&events=delete" };
        }
        if *previous {
            query += "&previous=true";
        }
        if begins_anywhere {
            let request = Request::get(format!("/watch?{query}")).header(HOST, at).body(Empty::new());
            return request.expect("plain paths and headers make a request");
        }
        let (revision, ordinal) = self.place;
        // Behind all of a revision it may be said in either way.
        let by_revision = ordinal == BEHIND_ALL && (revision == 0 || self.random.one_in(2));
        let builder = match by_revision {
            true => Request::get(format!("/watch?{query}&from={}", revision + 1)),
            false => Request::get(format!("/watch?{query}"))
                .header("last-event-id", format!("{revision}-{ordinal}")),
        };
        builder.header(HOST, at).body(Empty::new()).expect("plain paths and headers make a request")
    }

    /// Reads events for as long as any come.
    ///
    /// # Panics
    /// On an answer that no watch of ours can have deserved: a fault of the server.
    async fn reads(&mut self, response: Response<Incoming>) {
        match response.status() {
            StatusCode::OK => {}
            StatusCode::SERVICE_UNAVAILABLE => return,
            status => panic!("a watch of {:?} behind {:?} was answered {status}", self.watched, self.place),
        }
        let mut body = response.into_body();
        let mut events = EventReader::default();
        while let Some(Ok(frame)) = body.frame().await {
            let mut piece = frame.into_data().unwrap_or_default();
            while let Some((event, id)) = events.next(&mut piece).expect("a server's events make sense") {
                self.sees(event, id);
            }
            // Who takes nothing for a while must find everything all the same.
            if self.random.one_in(30) {
                self.pauses(4_000).await;
            }
        }
    }

    async fn pauses(&mut self, most_ms: u64) {
        let pause = Duration::from_millis(self.random.between(5, most_ms));
        self.stack.clock.sleep_until(self.stack.clock.now() + pause).await;
    }

    fn sees(&mut self, event: Event, id: Option<EventId>) {
        let asks_previous = self.watched.previous;
        let previous =
            |entry: Option<quorate_server::Entry>| asks_previous.then(|| entry.as_ref().map(found));
        let (revision, key, expired, now, before) = match event {
            Event::Reset { revision, reason } => {
                self.is_told(Account::Reset { revision, reason });
                return self.comes_to((revision, BEHIND_ALL));
            }
            Event::Put { entry, revision, previous: before } => {
                (revision, entry.key.clone(), false, Some(found(&entry)), previous(before))
            }
            Event::Delete { key, revision, reason, previous: before } => {
                (revision, key, reason == "expired", None, previous(before))
            }
        };
        let id = id.expect("all events but a reset have ids");
        assert_eq!(id.revision, revision, "an event has the id of another revision");
        let ordinal = u32::try_from(id.number).expect("a revision has fewer changes than that");
        self.is_told(Account::Saw(Seen { revision, ordinal, key, expired, found: now, previous: before }));
        self.comes_to((revision, ordinal));
    }

    fn comes_to(&mut self, place: Place) {
        // A server that lags may say that it is at an earlier revision.
        self.place = self.place.max(place);
        if self.watched.is_all() {
            let before = if place.1 == BEHIND_ALL { place.0 } else { place.0 - 1 };
            self.seen.fetch_max(before, Ordering::Relaxed);
        }
    }

    fn is_told(&self, account: Account) {
        self.observes(Observation::Account { auditor: self.name, number: self.number, account });
    }

    fn observes(&self, observation: Observation) {
        self.stack.observe(observation);
    }
}

/// Some part of what changes.
fn part(random: &mut Random) -> Watched {
    let (prefix, exact) =
        [("account-", false), ("key-", false), ("key-1", true), ("fleeting-", false), ("", false)]
            [random.below(5)];
    let (puts, deletes) = [(true, true), (true, true), (true, false), (false, true)][random.below(4)];
    Watched { prefix: prefix.to_owned(), exact, puts, deletes, previous: random.one_in(2) }
}
