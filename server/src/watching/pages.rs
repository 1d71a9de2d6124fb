//! Pages of history that watchers read.
//!
//! When a turn changes more than queues hold, all watchers of it fall behind at the same place and want the same page.
//! It is read once and shared for as long as somebody sends it: what has happened does not change any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use quorate_node::kv::{Change, Revision};
use tokio::sync::{AcquireError, Semaphore, SemaphorePermit};

/// How many pages are read at a time, for all watchers together: a thousand that come back at once must not keep the
/// driver from its other work.
const READS_AT_ONCE: usize = 8;

/// All that has changed from one revision to another.
#[derive(Debug)]
pub(crate) struct Page {
    /// The changes, the oldest first.
    pub(crate) changes: Vec<Change>,
    /// The last revision of which all are among them.
    pub(crate) upto: Revision,
}

/// The pages that somebody sends now.
#[derive(Debug)]
pub(crate) struct Pages {
    turns: Semaphore,
    known: Mutex<BTreeMap<Revision, Weak<Page>>>,
}

impl Default for Pages {
    fn default() -> Pages {
        Pages { turns: Semaphore::new(READS_AT_ONCE), known: Mutex::default() }
    }
}

impl Pages {
    /// Waits until it may be read. Nobody ends the waiting.
    pub(crate) async fn turn(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.turns.acquire().await
    }

    /// The page that begins at `from`, if somebody has it.
    pub(crate) fn find(&self, from: Revision) -> Option<Arc<Page>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&from).and_then(Weak::upgrade)
    }

    /// Lets others find what was read from `from` on.
    pub(crate) fn share(&self, from: Revision, page: &Arc<Page>) {
        // An empty one has more the next time that it is read.
        if page.changes.is_empty() {
            return;
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, page| page.strong_count() > 0);
        known.insert(from, Arc::downgrade(page));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_node::kv::{EventId, EventKind};

    fn page(key: &[u8]) -> Arc<Page> {
        let id = EventId { revision: Revision(9), ordinal: 0 };
        let change = Change { id, kind: EventKind::Deleted, key: key.into(), entry: None, previous: None };
        Arc::new(Page { changes: vec![change], upto: Revision(9) })
    }

    #[test]
    fn a_page_is_found_while_somebody_has_it() {
        let pages = Pages::default();
        let one = page(b"a");
        pages.share(Revision(7), &one);
        assert!(pages.find(Revision(7)).is_some_and(|found| Arc::ptr_eq(&found, &one)));
        assert!(pages.find(Revision(8)).is_none());
        drop(one);
        assert!(pages.find(Revision(7)).is_none());
        let other = page(b"b");
        pages.share(Revision(8), &other);
        assert_eq!(pages.known.lock().unwrap().len(), 1);
    }

    #[test]
    fn an_empty_page_is_read_again() {
        let pages = Pages::default();
        let empty = Arc::new(Page { changes: Vec::new(), upto: Revision(9) });
        pages.share(Revision(10), &empty);
        assert!(pages.find(Revision(10)).is_none());
    }
}
