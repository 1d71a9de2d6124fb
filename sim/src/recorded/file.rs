//! A recording read from its file.

use quorate_node::Node;
use quorate_node::raft::{Entry, Members, NodeId, Time};
use quorate_node::recording::{BadRecording, End, Head, Rebuild};
use quorate_node::wire::codec::{self, DecodeError, Encoded};
use quorate_node::wire::recording::{Kind, RecordingDecoder, RecordingError};
use quorate_storage::backup::{Flaw, HEADER_BYTES, Verifier};

/// A recording, whole, of which every checksum fits.
#[derive(Debug)]
pub struct Recorded {
    head: Head,
    end: End,
    base: Vec<u8>,
    /// A backup; empty when the entries begin with the first of the log.
    checkpoint: Vec<u8>,
    entries: Vec<Entry>,
    pub(super) events: Vec<u8>,
}

/// Why a recording can't be replayed.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// Its file is not whole.
    #[error(transparent)]
    File(#[from] RecordingError),
    /// A piece is not what it should be.
    #[error("a piece of the recording can't be read: {0}; take another one, or get this one again")]
    Piece(#[from] DecodeError),
    /// The checkpoint in it is not whole.
    #[error("the checkpoint in the recording is not whole: {0}")]
    Checkpoint(#[from] Flaw),
    /// What is in it does not go together, or another release took it.
    #[error(transparent)]
    Bad(#[from] BadRecording),
}

/// The node as a recording begins, and who is around it.
pub(super) struct Beginning {
    pub(super) node: Node,
    pub(super) id: NodeId,
    pub(super) members: Members,
    pub(super) at: Time,
}

impl Recorded {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`RecordedError`].
    pub fn read(file: &[u8]) -> Result<Recorded, RecordedError> {
        /// So much is given to the decoder at a time, which copies it once more.
        const STEP_BYTES: usize = 1 << 20;
        let mut decoder = RecordingDecoder::new();
        let (mut head, mut end, mut base) = (None, None, Vec::new());
        let (mut checkpoint, mut entries, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for bytes in file.chunks(STEP_BYTES) {
            decoder.push(bytes);
            while let Some((kind, payload)) = decoder.next_piece()? {
                match kind {
                    Kind::Head => head = Some(decoded(payload)?),
                    Kind::Base => base.extend_from_slice(payload),
                    Kind::Entries => entries.extend(decoded::<Vec<Entry>>(payload)?),
                    Kind::Checkpoint => checkpoint.extend_from_slice(payload),
                    Kind::Events => events.extend_from_slice(payload),
                    Kind::End => end = Some(decoded(payload)?),
                }
            }
        }
        decoder.finish()?;
        let (head, end) = (head.expect("a whole file has a head"), end.expect("and an end"));
        Ok(Recorded { head, end, base, checkpoint, entries, events })
    }

    /// What it is of.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// How the node stood in the end.
    pub fn end(&self) -> &End {
        &self.end
    }

    /// Whether the store that it begins with comes from a checkpoint.
    pub fn has_checkpoint(&self) -> bool {
        !self.checkpoint.is_empty()
    }

    /// Puts the node together as it was where the recording begins.
    pub(super) fn begin(&self) -> Result<Beginning, RecordedError> {
        let mut rebuild = Rebuild::new(&self.head, &self.base)?;
        if !self.checkpoint.is_empty() {
            let mut verifier = Verifier::new();
            verifier.feed(&self.checkpoint)?;
            verifier.finish()?;
            let header = verifier.header().expect("a whole backup has a header");
            let runs = verifier.runs_start().expect("and a manifest");
            // The tables between the two are for whoever verifies blocks.
            let manifest = &self.checkpoint[HEADER_BYTES..position(header.tables_start())];
            rebuild.restore(header.last.index, [manifest, &self.checkpoint[position(runs)..]])?;
        }
        self.entries.iter().try_for_each(|entry| rebuild.entry(entry))?;
        let (id, at, members) = (rebuild.id(), rebuild.begins_at(), rebuild.members().clone());
        Ok(Beginning { node: rebuild.finish()?, id, members, at })
    }
}

fn decoded<T: Encoded>(payload: &[u8]) -> Result<T, DecodeError> {
    codec::decode(payload)
}

fn position(offset: u64) -> usize {
    usize::try_from(offset).expect("the file lies in memory")
}
