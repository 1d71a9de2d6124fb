//! Answers that were given to requests with an idempotency key, remembered for whoever repeats one.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::changes::Ledger;
use crate::command::{ClusterTime, Once};
use crate::outcome::Outcome;
use crate::outcome_bytes;
use crate::rows::TABLE_ANSWERS;
use crate::settings::Settings;

/// How long an answer is remembered, in milliseconds of cluster time.
pub const REMEMBERED_MS: u64 = 10 * 60 * 1000;

/// How many answers one command forgets at most, so that none takes long.
const FORGOTTEN_AT_ONCE: usize = 16;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) given: ClusterTime,
    pub(crate) request: [u8; 32],
    pub(crate) outcome: Outcome,
}

impl Answer {
    pub(crate) const HEAD_BYTES: usize = 40;

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&self.given.0.to_le_bytes());
        bytes.extend_from_slice(&self.request);
        outcome_bytes::encode(&self.outcome, &mut bytes);
        bytes
    }

    /// Reads what [`Answer::encode`] wrote.
    pub(crate) fn decode(body: &[u8]) -> Option<Answer> {
        let (given, rest) = body.split_first_chunk::<8>()?;
        let (request, rest) = rest.split_first_chunk::<32>()?;
        let given = ClusterTime(u64::from_le_bytes(*given));
        Some(Answer { given, request: *request, outcome: outcome_bytes::decode(rest)? })
    }
}

/// What is known of an idempotency key.
pub(crate) enum Known<'a> {
    /// Nothing.
    No,
    /// The answer to this request.
    Answer(&'a Outcome),
    /// That it was another request's.
    Another,
}

/// All answers, bounded in number and bytes. None is forgotten before its time: when the table is full, new keys are
/// refused.
///
/// Invariants: `by_time` has one element for each answer; `bytes` is the length of all rows' keys and bodies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Answers {
    table: BTreeMap<Arc<[u8]>, Answer>,
    by_time: BTreeSet<(ClusterTime, Arc<[u8]>)>,
    bytes: u64,
}

impl Answers {
    pub(crate) fn count(&self) -> usize {
        self.table.len()
    }

    pub(crate) fn find(&self, once: &Once) -> Known<'_> {
        match row_key(once).and_then(|key| self.table.get(&key)) {
            None => Known::No,
            Some(answer) if answer.request == once.request => Known::Answer(&answer.outcome),
            Some(_) => Known::Another,
        }
    }

    /// Whether there is room for one more answer. There never is for a principal that is too long for a row.
    pub(crate) fn has_room(&self, once: &Once, settings: &Settings) -> bool {
        let is_full = self.table.len() as u64 >= settings.answers || self.bytes >= settings.answer_bytes;
        !is_full && principal_bytes(once).is_some()
    }

    pub(crate) fn remember(
        &mut self,
        once: &Once,
        given: ClusterTime,
        outcome: Outcome,
        ledger: &mut Ledger,
    ) {
        let key = row_key(once).expect("there is room");
        let answer = Answer { given, request: once.request, outcome };
        let body = answer.encode();
        self.enter(key.clone(), answer, body.len());
        ledger.replace(TABLE_ANSWERS, &key, None, Some(body));
    }

    fn enter(&mut self, key: Arc<[u8]>, answer: Answer, body_bytes: usize) {
        self.bytes += (key.len() + body_bytes) as u64;
        self.by_time.insert((answer.given, key.clone()));
        self.table.insert(key, answer);
    }

    /// Forgets what is old enough, some of it.
    pub(crate) fn forget_old(&mut self, now: ClusterTime, ledger: &mut Ledger) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.by_time.first() {
                Some((given, _)) if given.after(REMEMBERED_MS) <= now => self.forget_first(ledger),
                _ => return,
            }
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self, ledger: &mut Ledger) {
        while !self.by_time.is_empty() {
            self.forget_first(ledger);
        }
    }

    fn forget_first(&mut self, ledger: &mut Ledger) {
        let Some((_, key)) = self.by_time.pop_first() else { return };
        let answer = self.table.remove(&key).expect("what is in the order is in the table");
        let body = answer.encode();
        self.bytes -= (key.len() + body.len()) as u64;
        ledger.replace(TABLE_ANSWERS, &key, Some(body), None);
    }

    /// Every row, to be written anew.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (u8, Arc<[u8]>, Vec<u8>)> {
        self.table.iter().map(|(key, answer)| (TABLE_ANSWERS, key.clone(), answer.encode()))
    }

    /// What the rows of a checkpoint make.
    pub(crate) fn restored(rows: BTreeMap<Arc<[u8]>, Answer>) -> Answers {
        let mut answers = Answers::default();
        for (key, answer) in rows {
            let body_bytes = answer.encode().len();
            answers.enter(key, answer, body_bytes);
        }
        answers
    }
}

fn principal_bytes(once: &Once) -> Option<u16> {
    u16::try_from(once.principal.len()).ok()
}

/// Nothing when the principal is too long: no command that a server makes has such a one.
fn row_key(once: &Once) -> Option<Arc<[u8]>> {
    let Once { principal, key, .. } = once;
    let length = principal_bytes(once)?;
    let mut bytes = Vec::with_capacity(2 + principal.len() + key.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(principal);
    bytes.extend_from_slice(key);
    Some(bytes.into())
}
