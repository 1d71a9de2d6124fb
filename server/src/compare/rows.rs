//! Which rows of two states differ.
//!
//! Both states are read as they were written, from the runs of a checkpoint, a piece at a time: neither is ever held as
//! a whole.

use std::cmp::Ordering;
use std::path::Path;
use std::time::Duration;

use quorate_client::Endpoint;
use quorate_node::raft::{Digest, LogId};
use quorate_node::wire::checkpoint::{Manifest, ROW_HEAD_BYTES, RowHead, RunRef};
use quorate_storage::FileDisk;
use quorate_storage::lending::{BLOCK_BYTES, Wanted, lend, manifest_in};

use crate::borrowing::{Lent, ask_to_lend};
use crate::context::Identity;
use crate::net::Net;
use crate::runtime::Runtime;

/// So many differing rows are named.
const MOST_NAMED: usize = 20;

/// No row is larger: an entry of the log is not.
const MOST_ROW_BYTES: u64 = 1 << 30;

/// Where a checkpoint's pieces come from.
enum Source<'a, R, N> {
    Here { runtime: &'a R, disk: FileDisk },
    Peer { runtime: &'a R, net: &'a N, endpoint: &'a Endpoint, identity: Identity },
}

impl<R: Runtime, N: Net> Source<'_, R, N> {
    async fn get(&self, wanted: &Wanted) -> Result<Vec<u8>, String> {
        match self {
            Source::Here { runtime, disk } => {
                // Whoever waits for something else, as for the end, has a turn.
                runtime.sleep(Duration::ZERO).await;
                lend(disk, wanted).ok_or_else(|| format!("{wanted:?} can't be read here"))
            }
            Source::Peer { runtime, net, endpoint, identity } => {
                match ask_to_lend(*runtime, *net, (*endpoint, None), *identity, wanted).await {
                    Lent::Piece(piece) => Ok(piece.to_vec()),
                    Lent::Nothing => Err(format!("{endpoint} has no {wanted:?} any more")),
                    Lent::Silent(reason) => Err(format!("{endpoint}: {reason}")),
                }
            }
        }
    }
}

/// One row of a run.
struct Row {
    table: u8,
    key: Vec<u8>,
    /// Nothing when the run says that the row is gone.
    body: Option<Vec<u8>>,
}

impl Row {
    fn order(&self, other: &Row) -> Ordering {
        (self.table, &self.key).cmp(&(other.table, &other.key))
    }
}

/// A run that is read from its beginning on.
struct Run {
    run: RunRef,
    /// The next block to be had.
    block: u32,
    bytes: Vec<u8>,
    at: usize,
    /// The row that comes next.
    head: Option<Row>,
}

impl Run {
    async fn fill<R: Runtime, N: Net>(
        &mut self,
        source: &Source<'_, R, N>,
        bytes: usize,
    ) -> Result<(), String> {
        self.bytes.drain(..self.at);
        self.at = 0;
        while self.bytes.len() < bytes {
            let first = self.block;
            let piece = source.get(&Wanted::Blocks { run: Digest(self.run.digest), first }).await?;
            if piece.is_empty() {
                return Err("an empty piece of a run was given".to_owned());
            }
            let blocks = piece.len().div_ceil(BLOCK_BYTES as usize);
            self.block += u32::try_from(blocks).map_err(|error| error.to_string())?;
            self.bytes.extend_from_slice(&piece);
        }
        Ok(())
    }

    fn left(&self) -> u64 {
        let had = (u64::from(self.block) * u64::from(BLOCK_BYTES)).min(self.run.bytes);
        self.run.bytes - had + (self.bytes.len() - self.at) as u64
    }

    /// Moves on to the next row.
    async fn advance<R: Runtime, N: Net>(&mut self, source: &Source<'_, R, N>) -> Result<(), String> {
        self.head = None;
        if self.left() == 0 {
            return Ok(());
        }
        self.fill(source, ROW_HEAD_BYTES).await?;
        let head = self.bytes[self.at..].first_chunk().ok_or("a run ends within a row")?;
        let head = RowHead::decode(head).map_err(|bad| format!("{bad:?}"))?;
        if head.row_bytes() > self.left().min(MOST_ROW_BYTES) {
            return Err(format!("a row of {} bytes: the run is damaged", head.row_bytes()));
        }
        let whole = usize::try_from(head.row_bytes()).map_err(|error| error.to_string())?;
        self.fill(source, whole).await?;
        let row = &self.bytes[self.at + ROW_HEAD_BYTES..self.at + whole];
        let (key, body) = row.split_at(head.key_bytes as usize);
        let body = (!head.is_tombstone).then(|| body.to_vec());
        self.head = Some(Row { table: head.table, key: key.to_vec(), body });
        self.at += whole;
        Ok(())
    }
}

/// The rows of a state, in order.
struct State<'a, R, N> {
    source: Source<'a, R, N>,
    /// From the oldest to the newest.
    runs: Vec<Run>,
}

impl<'a, R: Runtime, N: Net> State<'a, R, N> {
    async fn open(source: Source<'a, R, N>, slot: LogId) -> Result<Self, String> {
        let manifest: Manifest = manifest_in(&source.get(&Wanted::Manifest(slot)).await?, slot)
            .ok_or_else(|| format!("the manifest of {slot} is damaged"))?;
        let mut runs = Vec::new();
        for run in manifest.runs {
            let mut run = Run { run, block: 0, bytes: Vec::new(), at: 0, head: None };
            run.advance(&source).await?;
            runs.push(run);
        }
        Ok(State { source, runs })
    }

    /// The next row that is there: what the newest run says of it counts.
    async fn next(&mut self) -> Result<Option<Row>, String> {
        loop {
            let heads = self.runs.iter().filter_map(|run| run.head.as_ref());
            let Some(first) = heads.min_by(|one, other| one.order(other)) else { return Ok(None) };
            let (table, key) = (first.table, first.key.clone());
            let mut newest = None;
            for run in &mut self.runs {
                if run.head.as_ref().is_some_and(|head| head.table == table && head.key == key) {
                    newest = run.head.take();
                    run.advance(&self.source).await?;
                }
            }
            if let Some(row) = newest.filter(|row| row.body.is_some()) {
                return Ok(Some(row));
            }
        }
    }
}

/// Names the first rows in which the state in `place` after `slot` differs from that of the node at `peer`, and says
/// how many there are.
///
/// # Errors
/// In words: one of the states can't be read to its end.
pub(crate) async fn differing_rows<R: Runtime, N: Net>(
    (runtime, net): (&R, &N),
    (place, identity): (&Path, Identity),
    slot: LogId,
    peer: &Endpoint,
) -> Result<String, String> {
    let mut own =
        State::<R, N>::open(Source::Here { runtime, disk: FileDisk::read_only(place) }, slot).await?;
    let source = Source::Peer { runtime, net, endpoint: peer, identity };
    let mut theirs = State::open(source, slot).await?;
    let (mut named, mut count) = (Vec::new(), 0_u64);
    let mut rows = (own.next().await?, theirs.next().await?);
    loop {
        let order = match &rows {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.order(other),
        };
        let (mine, other) = rows;
        let (row, what, mine, other) = match order {
            Ordering::Less => (mine, "only here", None, other),
            Ordering::Greater => (other, "missing here", mine, None),
            Ordering::Equal if mine.as_ref().map(|row| &row.body) == other.as_ref().map(|row| &row.body) => {
                (None, "", None, None)
            }
            Ordering::Equal => (mine, "another value or revision here", None, None),
        };
        if let Some(row) = row {
            count += 1;
            if named.len() < MOST_NAMED {
                let key = String::from_utf8_lossy(&row.key).into_owned();
                named.push(format!("{key:?} (table {}): {what}", row.table));
            }
        }
        rows = (
            if order == Ordering::Greater { mine } else { own.next().await? },
            if order == Ordering::Less { other } else { theirs.next().await? },
        );
    }
    let more = if count > MOST_NAMED as u64 { ", and so on" } else { "" };
    Ok(format!("{count} rows differ: {}{more}", named.join(", ")))
}
