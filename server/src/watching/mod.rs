//! Watches: who is told of which changes, without a gap and without a repeat.
//!
//! After each of its turns the driver tells the *hub* ([`Watches`]) what has changed, if anybody watches. The hub finds
//! the watchers of each change by its key and by those prefixes of it that somebody watches, makes the bytes of the
//! event once, puts them into a queue of each watcher, and wakes it. Nobody polls, and a watcher of other keys costs a
//! write nothing.
//!
//! A queue is bounded. When it is full the hub forgets the watcher, but for the place of the event that had no room: so
//! one that takes nothing costs the others nothing, and holds a queue and no more. When it takes again, a [`Follower`]
//! gives it what is in the queue, and *reads on* from that place in pages of the node's history, as one does that asked
//! for the past to begin with. It is told `reset` only when that history is gone.
//!
//! **No gap, no repeat.** Every event has a place, a revision and a number in it. A follower is at a place: it has been
//! given all before it that it wants, and none after it. It goes back to the hub when the hub has all events after that
//! place: those of the last turns are kept for this, because with a steady stream of writes a page is always a turn
//! old. The hub gives it those at once, under one lock, and skips what is not after its place.
//!
//! | module | what it holds |
//! |---|---|
//! | `filter` | [`Watch`]: which events are wanted |
//! | `frame` | the bytes of an event |
//! | `hub` | [`Watches`]: who is told |
//! | `index` | who watches a key |
//! | `recent` | the events of the last turns |
//! | `pages` | the pages of history that are read, shared |
//! | `follower` | [`Follower`]: one watcher's way through history and hub |

mod filter;
mod follower;
mod frame;
mod hub;
mod index;
#[cfg(test)]
mod model_tests;
mod pages;
mod recent;

pub(crate) use filter::{Kinds, Scope, Watch};
pub(crate) use follower::{Follower, Step};
pub(crate) use frame::{DeleteData, PutData, ResetData, ResetReason, reset};
pub(crate) use hub::Seat;
pub use hub::{WatchCounts, Watches};
pub(crate) use pages::Page;
