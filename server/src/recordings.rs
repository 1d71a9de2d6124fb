//! What a flight recorder remembers, made into a file.
//!
//! The ring has everything but the store that the node had where it begins. That is a checkpoint which does not go
//! further, and the log's entries between the two. Which segments still have both depends on what the storage keeps;
//! the oldest that has is where the file begins. The entries are read first: the log moves on, and a checkpoint that is
//! open does not.

use std::sync::Arc;

use bytes::Bytes;
use quorate_node::raft::{Entry, Index};
use quorate_node::recording::{End, Head, Recording, Segment};
use quorate_node::wire::codec;
use quorate_node::wire::recording::{Kind, header, piece_head};
use quorate_storage::backup::Unopened;
use tokio::sync::mpsc;

use crate::backups::{PATIENCE, Pinned, Slot};
use crate::context::Context;
use crate::runtime::{Runtime, timeout_at};

/// How much of the log is read at a time, and the size of the pieces of what happened, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// The log holds at most about so many bytes between two checkpoints, and a command more. What is more is not read into
/// memory for a recording.
const MOST_ENTRY_BYTES: usize = 256 << 20;

/// A recording, and the store that it begins with.
pub(crate) struct Complete {
    head: Head,
    /// From the one it begins with.
    segments: Vec<Arc<Segment>>,
    end: End,
    /// What its store is made of: nothing, when there are entries from the first on.
    checkpoint: Option<Pinned>,
    /// As they were read, a piece each.
    entries: Vec<Vec<Entry>>,
}

/// Finds a store for a recording. Nothing when there is none for any of its segments, or the storage has ended.
pub(crate) async fn complete<R: Runtime, N>(
    context: &Context<R, N>,
    recording: Recording,
) -> Option<Complete> {
    let Recording { segments, mut end } = recording;
    for from in 0..segments.len() {
        let Some((checkpoint, entries)) = store_of(context, &segments[from]).await else { continue };
        let segments = segments[from..].to_vec();
        end.inputs = segments.iter().map(|segment| segment.inputs()).sum();
        let head = Head::new(context.identity.node, context.identity.cluster);
        return Some(Complete { head, segments, end, checkpoint, entries });
    }
    None
}

/// What the store is made of that the node had where a segment begins.
async fn store_of<R: Runtime, N>(
    context: &Context<R, N>,
    segment: &Segment,
) -> Option<(Option<Pinned>, Vec<Vec<Entry>>)> {
    let (checkpoint, after) = match context.backups.open_up_to(segment.applied().index).await? {
        Ok(pinned) => {
            let last = pinned.opened.last.index;
            (Some(pinned), last)
        }
        Err(Unopened::NotThere) => (None, Index(0)),
        Err(Unopened::Damaged) => return None,
    };
    let (mut entries, mut bytes): (Vec<Vec<Entry>>, usize) = (Vec::new(), 0);
    let mut next = after.next();
    while next <= segment.whole_above() {
        let read = context.storage.entries(next, segment.whole_above(), PIECE_BYTES).await?;
        next = read.last()?.id.index.next();
        bytes += read.iter().map(Entry::weight).sum::<usize>();
        if bytes > MOST_ENTRY_BYTES {
            return None;
        }
        entries.push(read);
    }
    Some((checkpoint, entries))
}

impl Complete {
    /// Sends the file to `sink`, until all is sent, or the other side is gone or takes nothing for a minute. Without
    /// the last word, which is `None`, it is cut short.
    pub(crate) async fn send<R: Runtime, N>(
        self,
        context: Arc<Context<R, N>>,
        _slot: Slot,
        sink: mpsc::Sender<Option<Bytes>>,
    ) {
        if self.send_pieces(&context, &sink).await.is_some() {
            let _ = sent(&context.runtime, &sink, None).await;
        } else {
            tracing::warn!("a recording breaks off: its reader is gone, or its checkpoint can't be read");
        }
    }

    async fn send_pieces<R: Runtime, N>(
        &self,
        context: &Context<R, N>,
        sink: &mpsc::Sender<Option<Bytes>>,
    ) -> Option<()> {
        let runtime = &context.runtime;
        sent(runtime, sink, Some(header().into())).await?;
        send_piece(runtime, sink, Kind::Head, &codec::encode(&self.head)).await?;
        send_piece(runtime, sink, Kind::Base, &self.segments.first()?.base()).await?;
        for some in &self.entries {
            send_piece(runtime, sink, Kind::Entries, &codec::encode(some)).await?;
        }
        if let Some(pinned) = &self.checkpoint {
            let opened = pinned.opened;
            let mut offset = 0;
            while offset < opened.file_bytes {
                let piece = context.backups.piece(runtime, opened.tag, offset, opened.file_bytes).await?;
                offset += piece.len() as u64;
                send_piece(runtime, sink, Kind::Checkpoint, &piece).await?;
            }
        }
        // There is always one piece, also when nothing has happened yet.
        let (mut piece, mut is_first) = (Vec::new(), true);
        for slice in self.segments.iter().flat_map(|segment| segment.events()) {
            for some in slice.chunks(PIECE_BYTES) {
                if piece.len() + some.len() > PIECE_BYTES {
                    send_piece(runtime, sink, Kind::Events, &piece).await?;
                    piece.clear();
                    is_first = false;
                }
                piece.extend_from_slice(some);
            }
        }
        if is_first || !piece.is_empty() {
            send_piece(runtime, sink, Kind::Events, &piece).await?;
        }
        send_piece(runtime, sink, Kind::End, &codec::encode(&self.end)).await
    }
}

async fn send_piece<R: Runtime>(
    runtime: &R,
    sink: &mpsc::Sender<Option<Bytes>>,
    kind: Kind,
    payload: &[u8],
) -> Option<()> {
    let mut bytes = piece_head(kind, payload).to_vec();
    bytes.extend_from_slice(payload);
    sent(runtime, sink, Some(bytes.into())).await
}

async fn sent<R: Runtime>(
    runtime: &R,
    sink: &mpsc::Sender<Option<Bytes>>,
    piece: Option<Bytes>,
) -> Option<()> {
    timeout_at(runtime, runtime.now() + PATIENCE, sink.send(piece)).await.ok()?.ok()
}
