//! How a node whose checkpoints have gone bad wins them back from its peers before it starts.
//!
//! What it needs and when a piece is right is decided in `quorate_storage::mending`; here peers are asked for it, over
//! their HTTP addresses, which they answer also when they wait for the same (`crate::http::lending`). So a cluster
//! whose nodes are all damaged, in different places, mends itself before there is a leader.
//!
//! A node gives up when it gets no further and every other member has said that it has not got what is missing, and
//! does not get any further itself; or when the others have a leader and somebody does not answer for [`MOST_ROUNDS`]
//! rounds. Then it comes back under a new id ([`crate::comeback`]).

use std::sync::atomic::{AtomicBool, Ordering};

use quorate_client::Endpoint;
use quorate_node::raft::LogId;
use quorate_storage::lending::Wanted;
use quorate_storage::mending::{Mending, Step};
use quorate_storage::{Fatal, FileDisk};
use tracing::{debug, info, warn};

use crate::borrowing::{Lent, ask_to_lend};
use crate::comeback::Former;
use crate::join::pause;
use crate::net::Net;
use crate::runtime::Runtime;

/// So often is somebody asked who does not answer, while the others have a leader.
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
    for round in 1.. {
        let mut peers = Peers { runtime, net, former, silent: Vec::new(), pieces: 0 };
        peers.offer(&mut mending).await;
        if let Some(last) = peers.go_on(&mut mending).await? {
            info!(checkpoint = %last, pieces = peers.pieces, "a checkpoint was mended with pieces from peers");
            return Ok(Ok(last));
        }
        let missing = mending.missing().collect::<Vec<_>>().join(", ");
        let missing = if missing.is_empty() { "no checkpoint has a file".to_owned() } else { missing };
        let stuck = peers.pieces == 0;
        gets_on.store(!stuck, Ordering::Relaxed);
        let nobody_has_it = stuck && peers.silent.is_empty();
        if nobody_has_it || (round >= MOST_ROUNDS && former.sees_leader(runtime, net).await) {
            warn!(missing, "nobody has what is missing");
            return Ok(Err(missing));
        }
        for (endpoint, reason) in &peers.silent {
            debug!(%endpoint, reason, missing, "did not answer; will ask again");
        }
        pause(runtime).await;
        mending.begin();
    }
    unreachable!("rounds have no end")
}

/// Whom is asked in one round.
struct Peers<'a, R, N> {
    runtime: &'a R,
    net: &'a N,
    former: &'a Former,
    /// Those that did not answer, with the reason.
    silent: Vec<(Endpoint, String)>,
    /// How many pieces were had.
    pieces: u32,
}

impl<R: Runtime, N: Net> Peers<'_, R, N> {
    /// Has all of them say which checkpoints they have.
    async fn offer(&mut self, mending: &mut Mending<FileDisk>) {
        for endpoint in self.former.endpoints() {
            match self.ask(endpoint, &Wanted::List).await {
                Lent::Piece(list) => mending.offer(&list),
                Lent::Nothing => {}
                Lent::Silent(reason) => self.silent.push((endpoint.clone(), reason)),
            }
        }
    }

    /// Goes on until a checkpoint is whole, or there is none left to try.
    async fn go_on(&mut self, mending: &mut Mending<FileDisk>) -> Result<Option<LogId>, Fatal> {
        loop {
            let wanted = match mending.step()? {
                Step::Whole(last) => return Ok(Some(last)),
                Step::Nothing => return Ok(None),
                Step::Ask(wanted) => wanted,
            };
            if !self.fetch(mending, &wanted).await? {
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
                Lent::Piece(piece) if mending.take(&piece)? => {
                    self.pieces += 1;
                    return Ok(true);
                }
                Lent::Piece(_) | Lent::Nothing => {}
                Lent::Silent(reason) => self.silent.push((endpoint.clone(), reason)),
            }
        }
        Ok(false)
    }

    async fn ask(&self, endpoint: &Endpoint, wanted: &Wanted) -> Lent {
        ask_to_lend(self.runtime, self.net, endpoint, self.former.identity, wanted).await
    }
}
