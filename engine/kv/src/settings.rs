//! The limits that all replicas must agree on, and what else the store keeps that is no row of a key.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::command::{ClusterTime, Revision};
use crate::hash::RowHash;
use crate::manifest::Fields;
use crate::rows::TABLE_META;

/// Limits that the state machine itself enforces. They travel through the log, so that replicas whose processes were
/// started with different flags still do the same; the leader's flags count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How many revisions back the past can be read, at most.
    pub history_revisions: u64,
    /// How many bytes of overwritten and deleted keys and values are kept for that, at most.
    pub history_bytes: u64,
    /// How many answers are remembered for their idempotency keys.
    pub answers: u64,
    /// How many bytes they may have together.
    pub answer_bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            history_revisions: 100_000,
            history_bytes: 64 << 20,
            answers: 100_000,
            answer_bytes: 64 << 20,
        }
    }
}

/// The one row of table 0. It is there when it says anything but the defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The latest stamp.
    pub(crate) time: ClusterTime,
    /// The past can be read from this revision on.
    pub(crate) floor: Revision,
    pub(crate) settings: Settings,
}

impl Meta {
    pub(crate) const BYTES: usize = 48;

    fn numbers(&self) -> [u64; 6] {
        let Settings { history_revisions, history_bytes, answers, answer_bytes } = self.settings;
        [self.time.0, self.floor.0, history_revisions, history_bytes, answers, answer_bytes]
    }

    /// Its share in the state hash; nothing while it is not a row.
    pub(crate) fn hash(&self) -> Option<u64> {
        let hash = || self.numbers().iter().fold(RowHash::new(TABLE_META), |hash, word| hash.number(*word));
        self.is_row().then(|| hash().finish())
    }

    pub(crate) fn is_row(&self) -> bool {
        *self != Meta::default()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        self.numbers().iter().flat_map(|number| number.to_le_bytes()).collect()
    }

    /// Reads what [`Meta::encode`] wrote, of the right length.
    pub(crate) fn decode(body: &[u8; Meta::BYTES]) -> Meta {
        let mut fields = Fields(body);
        let (time, floor) = (ClusterTime(fields.u64()), Revision(fields.u64()));
        let (history_revisions, history_bytes) = (fields.u64(), fields.u64());
        let settings =
            Settings { history_revisions, history_bytes, answers: fields.u64(), answer_bytes: fields.u64() };
        Meta { time, floor, settings }
    }
}
