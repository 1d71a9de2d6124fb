//! Locks with a name, outside of the key space: whoever holds one says what others are told about it. They do not end
//! by themselves; where that is wanted, a key with a lease is the better lock.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::changes::Ledger;
use crate::rows::TABLE_LOCKS;

/// A lock that is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// By whom.
    pub holder: Arc<[u8]>,
    /// What others are told about the holder.
    pub info: Arc<[u8]>,
}

impl Lock {
    fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.holder.len()).expect("the log's codec takes no command of 4 GiB");
        let mut bytes = Vec::with_capacity(4 + self.holder.len() + self.info.len());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&self.holder);
        bytes.extend_from_slice(&self.info);
        bytes
    }

    /// Reads what [`Lock::encode`] wrote.
    pub(crate) fn decode(body: &[u8]) -> Option<Lock> {
        let (length, rest) = body.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (holder, info) = rest.split_at_checked(length)?;
        Some(Lock { holder: holder.into(), info: info.into() })
    }
}

/// All locks that are held, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Locks(pub(crate) BTreeMap<Arc<[u8]>, Lock>);

impl Locks {
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Lock> {
        self.0.get(name)
    }

    /// Takes a lock. Whoever holds it already holds it again.
    ///
    /// # Errors
    /// The lock, when somebody else holds it.
    pub(crate) fn take(&mut self, name: &Arc<[u8]>, lock: Lock, ledger: &mut Ledger) -> Result<(), &Lock> {
        let before = self.0.get(name);
        if before.is_some_and(|held| held.holder != lock.holder) {
            return Err(&self.0[name]);
        }
        ledger.replace(TABLE_LOCKS, name, before.map(Lock::encode), Some(lock.encode()));
        self.0.insert(name.clone(), lock);
        Ok(())
    }

    /// Gives a lock back; one that is not held is no error.
    ///
    /// # Errors
    /// The lock, when somebody else holds it.
    pub(crate) fn give_back(
        &mut self,
        name: &Arc<[u8]>,
        holder: Option<&[u8]>,
        ledger: &mut Ledger,
    ) -> Result<(), &Lock> {
        match self.0.get(name) {
            Some(held) if holder.is_some_and(|holder| *held.holder != *holder) => Err(&self.0[name]),
            Some(held) => {
                ledger.replace(TABLE_LOCKS, name, Some(held.encode()), None);
                self.0.remove(name);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Every row, to be written anew.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u8, Arc<[u8]>, Vec<u8>)> {
        self.0.iter().map(|(name, lock)| (TABLE_LOCKS, name.clone(), lock.encode()))
    }
}
