//! How a node whose checkpoints have gone bad wins them back from its peers before it starts.
//!
//! What it needs and when a piece is right is decided in `quorate_storage::mending`; here peers are asked for it, over
//! their HTTP addresses, which they answer also when they wait for the same (`crate::http::lending`). So a cluster
//! whose nodes are all damaged, in different places, mends itself before there is a leader.
//!
//! A node gives up when it gets no further and every other member has said that it has not got what is missing, and
//! does not get any further itself; or when nothing came in [`MOST_ROUNDS`] rounds and the others have a leader. Then
//! it comes back under a new id ([`crate::comeback`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use quorate_client::Endpoint;
use quorate_node::raft::LogId;
use quorate_storage::lending::{Wanted, state_hash};
use quorate_storage::mending::{Mending, Step};
use quorate_storage::{Fatal, FileDisk};
use tracing::{info, warn};

use crate::borrowing::{Lent, ask_to_lend};
use crate::comeback::Former;
use crate::join::{ANSWER_BYTES, NOTHING_STRANGE, PATIENCE, exchange, pause};
use crate::net::Net;
use crate::real::off_thread;
use crate::runtime::{Runtime, timeout_at};

/// So often in a row is somebody asked who does not answer, while the others have a leader.
const MOST_ROUNDS: u32 = 5;

/// Mends a checkpoint. Gives the one that is whole now, or what nobody has.
pub(crate) async fn mend<R: Runtime, N: Net>(
    runtime: &R,
    net: &N,
    former: &Former,
    mut mending: Mending<FileDisk>,
    gets_on: &AtomicBool,
) -> Result<Result<LogId, String>, Fatal> {
    warn!(
        node = %former.identity.node, loss = former.loss(),
        "checkpoints are damaged: asks the other members for what is missing"
    );
    let (mut stuck, mut said) = (0, Vec::new());
    loop {
        let mut peers = Peers { runtime, net, former, silent: Vec::new(), behind: Vec::new(), pieces: 0 };
        peers.offer(&mut mending).await;
        let whole;
        (mending, whole) = peers.go_on(mending).await?;
        if let Some(last) = whole {
            info!(checkpoint = %last, pieces = peers.pieces, "a checkpoint was mended with pieces from peers");
            return Ok(Ok(last));
        }
        let missing = mending.missing().collect::<Vec<_>>().join(", ");
        let missing = if missing.is_empty() { "no checkpoint has a file".to_owned() } else { missing };
        stuck = if peers.pieces == 0 { stuck + 1 } else { 0 };
        gets_on.store(stuck == 0, Ordering::Relaxed);
        let nobody_has_it = stuck > 0 && peers.silent.is_empty();
        if nobody_has_it || (stuck >= MOST_ROUNDS && former.sees_leader(runtime, net).await) {
            warn!(missing, "nobody has what is missing");
            return Ok(Err(missing));
        }
        peers.have_checkpoints_taken().await;
        if peers.silent != said {
            for (endpoint, reason) in &peers.silent {
                warn!(%endpoint, reason, missing, "could not be asked; will try again");
            }
            said = peers.silent;
        }
        pause(runtime).await;
        mending.begin();
    }
}

/// Whom is asked in one round.
struct Peers<'a, R, N> {
    runtime: &'a R,
    net: &'a N,
    former: &'a Former,
    /// Those that did not answer, or may have more soon, with the reason.
    silent: Vec<(Endpoint, String)>,
    /// Those of them that have no checkpoint yet that reaches far enough.
    behind: Vec<Endpoint>,
    /// How many pieces were had.
    pieces: u32,
}

impl<R: Runtime, N: Net> Peers<'_, R, N> {
    /// Has all of them say which checkpoints they have.
    async fn offer(&mut self, mending: &mut Mending<FileDisk>) {
        for endpoint in self.former.endpoints() {
            match self.ask(endpoint, &Wanted::List).await {
                Lent::Piece(list) if mending.offer(&list) => {}
                Lent::Piece(_) | Lent::Nothing => {
                    self.silent.push((endpoint.clone(), "it has no checkpoint that late yet".to_owned()));
                    self.behind.push(endpoint.clone());
                }
                Lent::Silent(reason) => self.silent.push((endpoint.clone(), reason)),
            }
        }
    }

    /// One whose log goes on, and whose checkpoints are older than this node's log, can take one now.
    async fn have_checkpoints_taken(&self) {
        for endpoint in &self.behind {
            let request = Request::post("/raft/snapshot").body(Full::new(Bytes::new()));
            let asked = exchange(self.net, endpoint, request.expect(NOTHING_STRANGE), ANSWER_BYTES);
            // Whether it did shows in the next round.
            let _ = timeout_at(self.runtime, self.runtime.now() + PATIENCE, asked).await;
        }
    }

    /// Goes on until a checkpoint is whole, or there is none left to try.
    async fn go_on(
        &mut self,
        mut mending: Mending<FileDisk>,
    ) -> Result<(Mending<FileDisk>, Option<LogId>), Fatal> {
        loop {
            // It may read gigabytes, and this node is asked for pieces meanwhile.
            let (given_back, step) = off_thread(move || {
                let step = mending.step();
                (mending, step)
            })
            .await;
            mending = given_back;
            let wanted = match step? {
                Step::Whole(last) => return Ok((mending, Some(last))),
                Step::Nothing => return Ok((mending, None)),
                Step::Ask(wanted) => wanted,
            };
            let had = match wanted {
                Wanted::Manifest(last) => self.fetch_manifest(&mut mending, last).await?,
                _ => self.fetch(&mut mending, &wanted).await?,
            };
            if had {
                self.pieces += 1;
            } else {
                mending.pass();
            }
        }
    }

    /// Asks everybody who answers, until somebody has it.
    async fn fetch(&mut self, mending: &mut Mending<FileDisk>, wanted: &Wanted) -> Result<bool, Fatal> {
        for endpoint in self.former.endpoints() {
            if self.silent.iter().any(|(silent, _)| silent == endpoint) {
                continue;
            }
            match self.ask(endpoint, wanted).await {
                Lent::Piece(piece) if mending.take(&piece)? => return Ok(true),
                Lent::Piece(_) | Lent::Nothing => {}
                Lent::Silent(reason) => self.silent.push((endpoint.clone(), reason)),
            }
        }
        Ok(false)
    }

    /// Nothing proves a manifest but what others say: of those who have it all must mean the same state, or most.
    async fn fetch_manifest(&mut self, mending: &mut Mending<FileDisk>, last: LogId) -> Result<bool, Fatal> {
        let mut states: BTreeMap<u64, Vec<Bytes>> = BTreeMap::new();
        for endpoint in self.former.endpoints() {
            match self.ask(endpoint, &Wanted::Manifest(last)).await {
                Lent::Piece(file) => {
                    if let Some(hash) = state_hash(&file, last) {
                        states.entry(hash).or_default().push(file);
                    }
                }
                Lent::Nothing => {}
                Lent::Silent(reason) => {
                    if !self.silent.iter().any(|(silent, _)| silent == endpoint) {
                        self.silent.push((endpoint.clone(), reason));
                    }
                }
            }
        }
        let all: usize = states.values().map(Vec::len).sum();
        let most = states.into_values().find(|files| 2 * files.len() > all);
        let Some(file) = most.and_then(|mut files| files.pop()) else { return Ok(false) };
        mending.take(&file)
    }

    async fn ask(&self, endpoint: &Endpoint, wanted: &Wanted) -> Lent {
        ask_to_lend(self.runtime, self.net, (endpoint, None), self.former.identity, wanted).await
    }
}
