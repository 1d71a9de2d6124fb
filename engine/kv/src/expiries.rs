//! Leases, and keys that go by themselves.
//!
//! Everything that ends stands in one queue, ordered by cluster time, so what is due is found without looking at the
//! rest: a million keys with a time to live cost nothing until their time comes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::changes::Ledger;
use crate::command::{ClusterTime, LeaseId};
use crate::rows::{TABLE_EXPIRIES, TABLE_LEASES};

/// A lease: its keys go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// How long it lives without being kept alive, in milliseconds.
    pub ttl_ms: u64,
    /// When it ends, unless it is kept alive before.
    pub ends: ClusterTime,
    /// What goes with it.
    pub keys: BTreeSet<Arc<[u8]>>,
}

impl Lease {
    pub(crate) const BYTES: usize = 16;

    fn encode(&self) -> Vec<u8> {
        [self.ttl_ms, self.ends.0].iter().flat_map(|number| number.to_le_bytes()).collect()
    }
}

/// When a key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    Time(ClusterTime),
    Lease(LeaseId),
}

impl Until {
    pub(crate) const BYTES: usize = 9;

    fn encode(self) -> Vec<u8> {
        let (kind, number) = match self {
            Until::Time(time) => (0, time.0),
            Until::Lease(lease) => (1, lease.0),
        };
        let mut bytes = Vec::with_capacity(Until::BYTES);
        bytes.push(kind);
        bytes.extend_from_slice(&number.to_le_bytes());
        bytes
    }

    /// Reads what [`Until::encode`] wrote; nothing when there is no such kind.
    pub(crate) fn decode(body: &[u8; Until::BYTES]) -> Option<Until> {
        let (kind, number) = body.split_first().expect("nine bytes");
        let number = u64::from_le_bytes(*number.first_chunk().expect("eight bytes are left"));
        match kind {
            0 => Some(Until::Time(ClusterTime(number))),
            1 => Some(Until::Lease(LeaseId(number))),
            _ => None,
        }
    }
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    Key(Arc<[u8]>),
    Lease(LeaseId),
}

/// All that ends.
///
/// Invariants: every key in `until` is in the store; one that goes with a lease is in that lease's `keys`, and no other
/// is; `due` has exactly one element for each lease and for each key with a time of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Expiries {
    leases: BTreeMap<LeaseId, Lease>,
    until: BTreeMap<Arc<[u8]>, Until>,
    due: BTreeSet<(ClusterTime, Due)>,
}

impl Expiries {
    pub(crate) fn lease(&self, lease: LeaseId) -> Option<&Lease> {
        self.leases.get(&lease)
    }

    pub(crate) fn leases(&self) -> impl Iterator<Item = (&LeaseId, &Lease)> {
        self.leases.iter()
    }

    /// When the next thing ends.
    pub(crate) fn next(&self) -> Option<ClusterTime> {
        self.due.first().map(|(time, _)| *time)
    }

    /// What has ended by `now` and is not gone yet, the earliest first.
    pub(crate) fn first_due(&self, now: ClusterTime) -> Option<Due> {
        self.due.first().filter(|(time, _)| *time <= now).map(|(_, due)| due.clone())
    }

    /// Begins a lease that there is not.
    pub(crate) fn grant(&mut self, id: LeaseId, ttl_ms: u64, now: ClusterTime, ledger: &mut Ledger) {
        let lease = Lease { ttl_ms, ends: now.after(ttl_ms), keys: BTreeSet::new() };
        ledger.replace(TABLE_LEASES, &lease_key(id), None, Some(lease.encode()));
        self.due.insert((lease.ends, Due::Lease(id)));
        self.leases.insert(id, lease);
    }

    /// Lets a lease live for its whole time from `now`; how long that is, in milliseconds.
    pub(crate) fn keep_alive(&mut self, id: LeaseId, now: ClusterTime, ledger: &mut Ledger) -> Option<u64> {
        let lease = self.leases.get_mut(&id)?;
        let before = lease.encode();
        self.due.remove(&(lease.ends, Due::Lease(id)));
        lease.ends = now.after(lease.ttl_ms);
        self.due.insert((lease.ends, Due::Lease(id)));
        ledger.replace(TABLE_LEASES, &lease_key(id), Some(before), Some(lease.encode()));
        Some(lease.ttl_ms)
    }

    /// Ends a lease that has no keys any more.
    pub(crate) fn end(&mut self, id: LeaseId, ledger: &mut Ledger) {
        let Some(lease) = self.leases.remove(&id) else { return };
        assert!(lease.keys.is_empty(), "lease {id} ends before its {} keys", lease.keys.len());
        self.due.remove(&(lease.ends, Due::Lease(id)));
        ledger.replace(TABLE_LEASES, &lease_key(id), Some(lease.encode()), None);
    }

    /// Says anew when a key goes.
    pub(crate) fn set(&mut self, key: &Arc<[u8]>, until: Option<Until>, ledger: &mut Ledger) {
        let before = self.until.remove(key);
        if before.is_none() && until.is_none() {
            return;
        }
        match before {
            Some(Until::Time(time)) => drop(self.due.remove(&(time, Due::Key(key.clone())))),
            Some(Until::Lease(lease)) => {
                let lease = self.leases.get_mut(&lease).expect("a key's lease is there");
                lease.keys.remove(key);
            }
            None => {}
        }
        if let Some(until) = until {
            self.enter(key, until);
        }
        if before != until {
            let [before, after] = [before, until].map(|until| until.map(Until::encode));
            ledger.replace(TABLE_EXPIRIES, key, before, after);
        }
    }

    fn enter(&mut self, key: &Arc<[u8]>, until: Until) {
        match until {
            Until::Time(time) => drop(self.due.insert((time, Due::Key(key.clone())))),
            Until::Lease(lease) => {
                let lease = self.leases.get_mut(&lease).expect("it was checked that the lease is there");
                lease.keys.insert(key.clone());
            }
        }
        self.until.insert(key.clone(), until);
    }

    /// Every row, to be written anew.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u8, Arc<[u8]>, Vec<u8>)> {
        let leases = self.leases.iter().map(|(id, lease)| (TABLE_LEASES, lease_key(*id), lease.encode()));
        let until = self.until.iter().map(|(key, until)| (TABLE_EXPIRIES, key.clone(), until.encode()));
        leases.chain(until)
    }

    /// What the rows of a checkpoint make; nothing when a key goes with a lease that there is not.
    pub(crate) fn restored(
        leases: BTreeMap<LeaseId, (u64, ClusterTime)>,
        until: BTreeMap<Arc<[u8]>, Until>,
    ) -> Result<Expiries, LeaseId> {
        let mut expiries = Expiries::default();
        for (id, (ttl_ms, ends)) in leases {
            expiries.due.insert((ends, Due::Lease(id)));
            expiries.leases.insert(id, Lease { ttl_ms, ends, keys: BTreeSet::new() });
        }
        for (key, until) in until {
            if let Until::Lease(lease) = until
                && !expiries.leases.contains_key(&lease)
            {
                return Err(lease);
            }
            expiries.enter(&key, until);
        }
        Ok(expiries)
    }
}

fn lease_key(id: LeaseId) -> Arc<[u8]> {
    Arc::from(id.0.to_be_bytes())
}
