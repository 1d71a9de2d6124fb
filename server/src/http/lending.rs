//! What a node lends its peers: pieces of its checkpoints, so that one whose own have gone bad can mend them
//! (`crate::mend`).
//!
//! | path | answer |
//! |---|---|
//! | `/raft/checkpoints` | which checkpoints there are, a name a line |
//! | `/raft/checkpoints/{name}` | a manifest |
//! | `/raft/runs/{digest}` | a run's header and table of checksums |
//! | `/raft/runs/{digest}/{block}` | blocks of a run from this one on, as many sound ones in a row as there are, at most 16 |

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::{Response, StatusCode};
use quorate_node::raft::Digest;
use quorate_storage::FileDisk;
use quorate_storage::lending::{self, Wanted};

use super::app::{App, refusal, with_type};
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::{OCTET_STREAM, QUORATE_CLUSTER, QUORATE_HISTORY, QUORATE_NODE};
use crate::context::Identity;
use crate::net::Net;
use crate::runtime::Runtime;

const CHECKPOINTS: &str = "/raft/checkpoints";
const RUNS: &str = "/raft/runs/";

/// What a path asks to be lent.
pub(super) fn wanted(path: &str) -> Option<Wanted> {
    if let Some(rest) = path.strip_prefix(CHECKPOINTS) {
        return match rest.strip_prefix('/') {
            None => rest.is_empty().then_some(Wanted::List),
            Some(name) => lending::slot_of(name).map(Wanted::Manifest),
        };
    }
    let rest = path.strip_prefix(RUNS)?;
    match rest.split_once('/') {
        None => digest(rest).map(Wanted::Table),
        Some((run, first)) => Some(Wanted::Blocks { run: digest(run)?, first: first.parse().ok()? }),
    }
}

/// The path that asks for it.
pub(crate) fn path_to(wanted: &Wanted) -> String {
    match wanted {
        Wanted::List => CHECKPOINTS.to_owned(),
        Wanted::Manifest(last) => format!("{CHECKPOINTS}/{}", lending::name(*last)),
        Wanted::Table(run) => format!("{RUNS}{run}"),
        Wanted::Blocks { run, first } => format!("{RUNS}{run}/{first}"),
    }
}

fn digest(digits: &str) -> Option<Digest> {
    let mut bytes = [0; 32];
    if digits.len() != 2 * bytes.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(Digest(bytes))
}

/// The files of a node that does not serve yet.
#[derive(Clone, Debug)]
pub(crate) struct Lender {
    /// Whose they are.
    pub(crate) identity: Identity,
    /// The data dir.
    pub(crate) place: PathBuf,
    /// Whether it gets on itself: what it has not got it may have soon.
    pub(crate) gets_on: Arc<AtomicBool>,
}

impl Lender {
    /// What is wanted, if it is there.
    pub(super) fn lend(&self, wanted: &Wanted) -> Result<Response<AnswerBody>, ApiError> {
        match lending::lend(&FileDisk::read_only(&self.place), wanted) {
            None if self.gets_on.load(Ordering::Relaxed) => Err(ApiError::Mending),
            lent => Ok(answer(wanted, lent, self.identity)),
        }
    }
}

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET /raft/checkpoints…`, `GET /raft/runs/…`
    pub(super) async fn lend(&self, wanted: Wanted) -> Result<Response<AnswerBody>, ApiError> {
        let lent = self.context.storage.lend(wanted).await.ok_or(ApiError::Overloaded)?;
        Ok(answer(&wanted, lent, self.context.identity))
    }
}

fn answer(wanted: &Wanted, lent: Option<Vec<u8>>, of: Identity) -> Response<AnswerBody> {
    let mut response = match lent {
        Some(lent) => with_type(StatusCode::OK, OCTET_STREAM, AnswerBody::Whole(lent.into())),
        None => refusal(&ApiError::NotLent(path_to(wanted))),
    };
    // A piece of another history would fit as little as one of another cluster; nor does their "no" count.
    let ids = [(QUORATE_NODE, of.node.0), (QUORATE_CLUSTER, of.cluster.0), (QUORATE_HISTORY, of.history.0)];
    for (name, id) in ids {
        let id = format!("{id:032x}").parse().expect("hex digits are a header value");
        response.headers_mut().insert(name, id);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_node::raft::{Index, LogId, Term};

    #[test]
    fn every_piece_has_a_path_of_its_own() {
        let last = LogId { term: Term(2), index: Index(4_000) };
        let run = Digest([0xab; 32]);
        let pieces =
            [Wanted::List, Wanted::Manifest(last), Wanted::Table(run), Wanted::Blocks { run, first: 17 }];
        for piece in pieces {
            assert_eq!(wanted(&path_to(&piece)), Some(piece));
        }
        assert_eq!(path_to(&pieces[1]), "/raft/checkpoints/0000000000000fa0-0000000000000002");
    }

    #[test]
    fn nothing_else_is_lent() {
        let run = "ab".repeat(32);
        let paths = [
            "/raft/checkpoint".to_owned(),
            "/raft/checkpoints/".to_owned(),
            "/raft/checkpoints/fa0-2".to_owned(),
            "/raft/checkpoints/../stable/a".to_owned(),
            "/raft/runs/".to_owned(),
            "/raft/runs/ab".to_owned(),
            format!("/raft/runs/{run}/"),
            format!("/raft/runs/{run}/-1"),
            format!("/raft/runs/{run}/4294967296"),
            format!("/raft/runs/{}é", &run[..62]),
        ];
        for path in paths {
            assert_eq!(wanted(&path), None, "{path}");
        }
    }
}
