//! The ring.

use super::events::write_base;
use super::fingerprint::Fingerprint;
use super::tape::{Chunk, Memory, Tape};
use crate::{Input, Node, Output};
use quorate_kv::Revision;
use quorate_raft::{Index, LogId, NodeId, Time};
use quorate_wire::ClusterId;
use quorate_wire::codec::{self, Encoded};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::Arc;

/// Raised whenever a field of a base or an input comes, goes or changes.
const LAYOUT: u32 = 2;

/// A ring has about so many segments.
const SEGMENTS: usize = 4;

/// A ring's memory is handed out in about so many parts, within these bounds.
const PARTS: usize = 32;
const SMALLEST_PART_BYTES: usize = 1 << 10;
const LARGEST_PART_BYTES: usize = 256 << 10;

/// A boundary begins a segment when the one before it has at least this share of the ring.
const LEAST_SHARE: usize = 16;

/// How many turns pass after a base that was too large.
const REST: u32 = 1024;

/// What a recording is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    version: String,
    layout: u32,
    /// The node.
    pub node: NodeId,
    /// The cluster that it belongs to.
    pub cluster: ClusterId,
}

impl Encoded for Head {}

impl Head {
    /// Of a recording that this release takes of that node.
    pub fn new(node: NodeId, cluster: ClusterId) -> Head {
        Head { version: env!("CARGO_PKG_VERSION").to_owned(), layout: LAYOUT, node, cluster }
    }

    /// The release that took it.
    pub fn release(&self) -> String {
        format!("{} (recordings of layout {})", self.version, self.layout)
    }
}

/// How a node stood when a recording was taken: where a replay must end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When the last input came.
    pub at: Time,
    /// How many inputs there are.
    pub inputs: u64,
    /// The last entry that was applied.
    pub applied: LogId,
    /// The store's revision.
    pub revision: Revision,
    /// The hash of the store.
    pub state_hash: u64,
}

impl Encoded for End {}

/// A part of a ring.
#[derive(Clone, Debug)]
pub struct Segment {
    /// The whole node but for its store, encoded.
    base: Arc<Chunk>,
    /// The last entry that it had applied.
    applied: LogId,
    /// The entries above this one are in the base.
    whole_above: Index,
    events: Tape,
    inputs: u64,
}

impl Segment {
    fn bytes(&self) -> usize {
        self.base.weight() + self.events.weight()
    }

    /// The whole node but for its store, as this segment begins.
    pub fn base(&self) -> Vec<u8> {
        self.base.slices().flatten().copied().collect()
    }

    /// The last entry that the store had applied then: a checkpoint of it must not go further.
    pub fn applied(&self) -> LogId {
        self.applied
    }

    /// The entries above this one, up to the last one that was applied, are in the base.
    pub fn whole_above(&self) -> Index {
        self.whole_above
    }

    /// What happened in this segment: together its events, cut anywhere.
    pub fn events(&self) -> impl Iterator<Item = &[u8]> {
        self.events.slices()
    }

    /// How many inputs there are in it.
    pub fn inputs(&self) -> u64 {
        self.inputs
    }
}

/// What a ring held at some moment.
#[derive(Clone, Debug)]
pub struct Recording {
    /// The oldest first, and at least one. A replay may begin with any of them.
    pub segments: Vec<Arc<Segment>>,
    /// How the node stood then.
    pub end: End,
}

/// Remembers the latest inputs of a node.
///
/// The host tells it of each input before the node takes it, of each output, and when the node has nothing more to say.
///
/// Invariant: between two calls it holds at most `limit_bytes`, and one input more while it is being taken. Segments
/// that somebody is still saving are not counted.
#[derive(Debug)]
pub struct Recorder {
    limit_bytes: usize,
    closed: VecDeque<Arc<Segment>>,
    closed_bytes: usize,
    /// The newest segment. None before the first base, and after an overflow.
    open: Option<Segment>,
    memory: Memory,
    fingerprint: Fingerprint,
    /// There were inputs or outputs since the last fingerprint.
    is_stirred: bool,
    /// A boundary of checkpoints was passed, and no segment begun since.
    passed_boundary: bool,
    /// A base was too large for the ring: so many turns pass before the next is made, since that costs some time.
    turns_to_rest: u32,
}

impl Recorder {
    /// A ring of so many bytes.
    ///
    /// # Panics
    /// When that is none.
    pub fn new(limit_bytes: usize) -> Recorder {
        assert!(limit_bytes > 0, "a ring without any bytes remembers nothing");
        Recorder {
            limit_bytes,
            closed: VecDeque::new(),
            closed_bytes: 0,
            open: None,
            memory: Memory::new((limit_bytes / PARTS).clamp(SMALLEST_PART_BYTES, LARGEST_PART_BYTES)),
            fingerprint: Fingerprint::default(),
            is_stirred: false,
            passed_boundary: false,
            turns_to_rest: 0,
        }
    }

    /// The node is about to take this.
    pub fn input(&mut self, now: Time, input: &Input) {
        let Some(open) = &mut self.open else { return };
        self.is_stirred = true;
        let holds_more = open.events.input(&mut self.memory, now, input);
        open.inputs += 1;
        if holds_more && self.bytes() > self.limit_bytes {
            self.make_room();
        }
    }

    /// The node asks for this.
    pub fn output(&mut self, output: &Output) {
        if let Output::Checkpoint(checkpoint) = output {
            self.passed_boundary |= checkpoint.tail_bytes.is_none();
        }
        if self.open.is_some() {
            self.is_stirred = true;
            self.fingerprint.output(output);
        }
    }

    /// The node has nothing more to say.
    pub fn turned(&mut self, node: &Node) {
        if let Some(open) = &mut self.open {
            if !std::mem::take(&mut self.is_stirred) {
                return;
            }
            open.events.turned(&mut self.memory, self.fingerprint.turned(node));
        }
        let least = if self.passed_boundary { LEAST_SHARE } else { SEGMENTS };
        if self.open.as_ref().is_none_or(|open| open.bytes() >= self.limit_bytes / least) {
            self.begin(node);
        }
        if self.bytes() > self.limit_bytes {
            self.make_room();
        }
    }

    /// What is remembered; nothing before the first base, and after an overflow.
    pub fn recording(&self, node: &Node) -> Option<Recording> {
        let open = self.open.clone()?;
        let mut segments: Vec<Arc<Segment>> = self.closed.iter().cloned().collect();
        segments.push(Arc::new(open));
        let kv = node.kv();
        let end = End {
            at: node.now(),
            inputs: segments.iter().map(|segment| segment.inputs).sum(),
            applied: node.raft().applied(),
            revision: kv.revision(),
            state_hash: kv.state_hash(),
        };
        Some(Recording { segments, end })
    }

    /// How much it holds, in bytes.
    pub fn bytes(&self) -> usize {
        self.closed_bytes + self.open.as_ref().map_or(0, Segment::bytes) + self.memory.weight()
    }

    /// Begins a segment, when that is possible now.
    fn begin(&mut self, node: &Node) {
        if self.turns_to_rest > 0 {
            self.turns_to_rest -= 1;
            return;
        }
        let Some(base) = node.base() else { return };
        let most = codec::MAX_BYTES.min(self.limit_bytes / 2);
        // Entries that wait for a disk may be many. To write them all down only to see that takes long.
        let written = (base.weight() <= most).then(|| write_base(&base));
        let Some(written) = written.filter(|written| written.length() <= most) else {
            self.turns_to_rest = REST;
            return;
        };
        if let Some(full) = self.open.take() {
            self.closed_bytes += full.bytes();
            self.closed.push_back(Arc::new(full));
        }
        let wanted = written.weight() + self.limit_bytes / SEGMENTS;
        while self.closed_bytes + wanted > self.limit_bytes && self.forget_oldest().is_some() {}
        self.open = Some(Segment {
            base: Arc::new(written),
            applied: base.applied(),
            whole_above: base.whole_above(),
            events: Tape::new(&mut self.memory),
            inputs: 0,
        });
        self.fingerprint = Fingerprint::default();
        self.passed_boundary = false;
    }

    /// Gives up what is worth the least until there is no more than there may be: memory that waits, then the oldest
    /// segments, and all there is when the newest alone is too much: a segment without its beginning is good for
    /// nothing.
    fn make_room(&mut self) {
        while self.bytes() > self.limit_bytes {
            if self.memory.release().or_else(|| self.forget_oldest()).is_none() {
                self.open = None;
                self.is_stirred = false;
                return;
            }
        }
    }

    /// Its memory waits to be used again. Nothing when only the newest segment is left.
    fn forget_oldest(&mut self) -> Option<()> {
        let oldest = self.closed.pop_front()?;
        self.closed_bytes -= oldest.bytes();
        // Somebody may still be saving it.
        if let Ok(unshared) = Arc::try_unwrap(oldest) {
            unshared.events.forget(&mut self.memory);
        }
        Some(())
    }
}
