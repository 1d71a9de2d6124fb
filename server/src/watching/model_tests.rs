//! Watchers against a model: a store that changes and forgets, turns that are told late, clients that take late.
//! Whoever is not told to begin anew has seen exactly what it wants, in order, once.

use std::sync::Arc;
use std::task::{Context, Waker};

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use quorate_node::kv::{
    Action, Change, ClusterTime, Command, EventId, Kv, Op, Order, Put, Revision, Settings, Txn,
};

use super::filter::{Kinds, Scope, Watch, end_of};
use super::follower::{Follower, Step};
use super::frame::frame;
use super::hub::{Bound, Watches};
use super::pages::Page;

const KEYS: [&[u8]; 5] = [b"a", b"ab", b"abc", b"b", b"bc"];

/// What happens next.
#[derive(Clone, Debug)]
enum Move {
    /// One transaction writes some keys and deletes others.
    Change { puts: Vec<usize>, deletes: Vec<usize> },
    /// The driver's turn is over.
    Publish,
    /// The past up to the present goes, all of it.
    Compact,
    /// A client watches, from so many revisions before (or after) the present on, or from now on.
    Watch { watch: Watch, from: Option<i64> },
    /// A client takes at most so many events.
    Take { client: usize, count: usize },
}

/// A client: what it asked for and what it has seen.
struct Client {
    follower: Follower,
    watch: Watch,
    after: EventId,
    seen: Vec<Bytes>,
    reset: bool,
}

struct World {
    kv: Kv,
    watches: Arc<Watches>,
    /// All that ever happened.
    changes: Vec<Change>,
    clients: Vec<Client>,
    value: u64,
    resets: u64,
}

impl World {
    fn new(history_revisions: u64, queue_events: usize, recent_events: usize) -> World {
        let queue = Bound { events: queue_events, bytes: 2_000 };
        let recent = Bound { events: recent_events, bytes: 1 << 20 };
        let watches = Arc::new(Watches::bounded(queue, recent));
        let (changes, clients) = (Vec::new(), Vec::new());
        let mut world = World { kv: Kv::new(), watches, changes, clients, value: 0, resets: 0 };
        world.apply(Action::Configure(Settings { history_revisions, ..Settings::default() }));
        world
    }

    fn apply(&mut self, action: Action) {
        self.order(action, false);
    }

    fn order(&mut self, action: Action, forgets_past: bool) {
        let before = self.kv.revision();
        self.kv.apply(&Command::Order(Order { time: ClusterTime(0), once: None, forgets_past, action }));
        if self.kv.revision() > before {
            self.changes.extend(self.kv.changes(Revision(before.0 + 1)).unwrap());
        }
    }

    fn change(&mut self, puts: &[usize], deletes: &[usize]) {
        let mut taken = Vec::new();
        let mut success = Vec::new();
        for (index, is_put) in
            puts.iter().map(|key| (key, true)).chain(deletes.iter().map(|key| (key, false)))
        {
            if taken.contains(index) {
                continue;
            }
            taken.push(*index);
            let key = Arc::from(KEYS[*index]);
            self.value += 1;
            let value = self.value.to_be_bytes().as_slice().into();
            success.push(if is_put { Op::Put(Put::for_good(key, value)) } else { Op::Delete { key } });
        }
        self.apply(Action::Txn(Txn { success, ..Txn::default() }));
    }

    fn watch(&mut self, watch: Watch, from: Option<i64>) {
        let now = self.kv.revision().0;
        let after = from.map(|distance| end_of(Revision(now.saturating_add_signed(distance))));
        let (follower, position) =
            Follower::new(Arc::clone(&self.watches), watch.clone(), after, usize::MAX).unwrap();
        assert!(position <= self.kv.revision());
        let after = after.unwrap_or(end_of(position));
        self.clients.push(Client { follower, watch, after, seen: Vec::new(), reset: false });
    }

    /// The client takes events until it has so many, or there are no more for now.
    fn take(&mut self, client: usize, count: usize) {
        let World { kv, clients, resets, .. } = self;
        let Some(client) = clients.get_mut(client) else { return };
        let mut taken = 0;
        while taken < count {
            match client.follower.step(&Context::from_waker(Waker::noop())) {
                Step::Send(bytes) if bytes.windows(12).any(|part| part == b"event: reset") => {
                    client.reset = true;
                }
                Step::Send(bytes) => {
                    assert!(!client.reset, "a reset is the last event");
                    client.seen.push(bytes);
                    taken += 1;
                }
                Step::Wait => {
                    assert!(!client.reset, "after a reset there is an end");
                    return;
                }
                Step::End => {
                    assert!(client.reset, "it ends for a reason");
                    return;
                }
                Step::Read { from } => match kv.changes(from) {
                    // A small page; what is of one revision stays together.
                    Ok(changes) => {
                        let changes =
                            changes.take_while(|change| change.id.revision.0 < from.0 + 3).collect();
                        let upto = Revision(from.0 + 2).min(kv.revision());
                        client.follower.take_page(Arc::new(Page { changes, upto }));
                    }
                    Err(_) => {
                        *resets += 1;
                        client.follower.take_loss(kv.revision());
                    }
                },
            }
        }
    }

    /// What the client should have seen by now, if nothing waits for it.
    fn wanted(&self, client: &Client) -> Vec<Bytes> {
        let behind = self.changes.iter().filter(|change| change.id > client.after);
        let wanted = behind.filter(|change| {
            let is_put = change.entry.is_some();
            let in_scope = match &client.watch.scope {
                Scope::Key(key) => change.key == *key,
                Scope::Prefix(prefix) => change.key.starts_with(prefix),
            };
            in_scope && if is_put { client.watch.kinds.puts } else { client.watch.kinds.deletes }
        });
        wanted.map(|change| frame(change, client.watch.previous)).collect()
    }

    fn check(&self) {
        for client in &self.clients {
            let wanted = self.wanted(client);
            assert!(wanted.starts_with(&client.seen), "{:?}: {:?} of {wanted:?}", client.watch, client.seen);
        }
        assert!(self.watches.counts().queued <= self.clients.len() * 256);
    }

    fn play(&mut self, step: &Move) {
        match step {
            Move::Change { puts, deletes } => self.change(puts, deletes),
            Move::Publish => self.watches.publish(&self.kv),
            Move::Compact => self.order(Action::Tick, true),
            Move::Watch { watch, from } => self.watch(watch.clone(), *from),
            Move::Take { client, count } => self.take(*client, *count),
        }
    }

    /// Everything is told, and everybody takes all there is.
    fn settle(&mut self) {
        self.watches.publish(&self.kv);
        for client in 0..self.clients.len() {
            self.take(client, usize::MAX);
        }
        self.check();
        for client in self.clients.iter().filter(|client| !client.reset) {
            assert_eq!(client.seen, self.wanted(client), "{:?} lacks something", client.watch);
        }
        assert_eq!(self.watches.counts().behind, 0);
    }
}

fn watches() -> impl Strategy<Value = Watch> {
    let scope = prop_oneof![
        (0..KEYS.len()).prop_map(|key| Scope::Key(KEYS[key].into())),
        (0..4_usize).prop_map(|prefix| Scope::Prefix([b"".as_slice(), b"a", b"ab", b"b"][prefix].into())),
    ];
    let kinds = prop_oneof![
        4 => Just(Kinds::ALL),
        1 => Just(Kinds { puts: true, deletes: false }),
        1 => Just(Kinds { puts: false, deletes: true }),
    ];
    (scope, kinds, any::<bool>()).prop_map(|(scope, kinds, previous)| Watch { scope, kinds, previous })
}

fn moves() -> impl Strategy<Value = Move> {
    let keys = || vec(0..KEYS.len(), 0..3);
    prop_oneof![
        8 => (keys(), keys()).prop_map(|(puts, deletes)| Move::Change { puts, deletes }),
        4 => Just(Move::Publish),
        1 => (watches(), prop::option::of(-8..4_i64)).prop_map(|(watch, from)| Move::Watch { watch, from }),
        4 => (0..6_usize, 1..8_usize).prop_map(|(client, count)| Move::Take { client, count }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// While the past is kept nobody is told to begin anew, however slow it is.
    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(
        queue_events in 1..6_usize,
        recent_events in 0..8_usize,
        steps in vec(moves(), 1..120),
    ) {
        let mut world = World::new(10_000, queue_events, recent_events);
        for step in &steps {
            world.play(step);
            world.check();
        }
        world.settle();
        prop_assert_eq!(world.resets, 0);
    }

    /// When the past goes, some are told so, and that is the last that they are told.
    #[test]
    fn who_is_not_told_to_begin_anew_has_seen_everything(
        history in 1..8_u64,
        queue_events in 1..6_usize,
        recent_events in 0..8_usize,
        steps in vec(prop_oneof![12 => moves(), 1 => Just(Move::Compact)], 1..120),
    ) {
        let mut world = World::new(history, queue_events, recent_events);
        for step in &steps {
            world.play(step);
            world.check();
        }
        world.settle();
        prop_assert_eq!(world.watches.counts().resets, world.resets);
    }
}

fn everything() -> Watch {
    Watch { scope: Scope::Prefix(b"".as_slice().into()), kinds: Kinds::ALL, previous: false }
}

/// With writes between each page and the next turn, a reader gets back to the hub all the same.
#[test]
fn a_reader_gets_level_while_writes_go_on() {
    let mut world = World::new(10_000, 4, 64);
    world.watch(everything(), None);
    for _ in 0..40 {
        world.change(&[0], &[]);
    }
    world.watches.publish(&world.kv);
    assert_eq!(world.watches.counts().behind, 1);
    for _ in 0..100 {
        world.change(&[1], &[]);
        world.watches.publish(&world.kv);
        world.take(0, 3);
    }
    assert_eq!(world.watches.counts().behind, 0);
    world.settle();
}

/// One that takes nothing holds what fits into its queue, and the index does not know it any more.
#[test]
fn a_stuck_watcher_costs_nothing() {
    let mut world = World::new(10_000, 4, 64);
    world.watch(everything(), None);
    for _ in 0..1_000 {
        world.change(&[0, 1], &[2]);
        world.watches.publish(&world.kv);
    }
    let counts = world.watches.counts();
    assert_eq!((counts.queued, counts.behind, counts.overflows), (4, 1, 1));
    world.settle();
    assert_eq!((world.clients[0].seen.len(), world.resets), (2_000, 0));
}

#[test]
fn who_is_gone_is_forgotten_and_the_end_wakes_all() {
    let mut world = World::new(10_000, 4, 64);
    world.watch(everything(), None);
    world.watch(everything(), Some(0));
    world.change(&[0], &[]);
    world.watches.publish(&world.kv);
    world.clients.pop();
    assert_eq!(world.watches.counts().watchers, 1);
    world.watches.close();
    let follower = &mut world.clients[0].follower;
    let context = &Context::from_waker(Waker::noop());
    assert!(matches!(follower.step(context), Step::Send(_)), "what has happened is told");
    assert_eq!(follower.step(context), Step::End);
    world.clients.pop();
    assert_eq!(world.watches.counts().watchers, 0);
}
