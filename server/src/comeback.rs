//! How a node comes back that has lost what it must not forget: as another one, in the same place.
//!
//! A node without its term and vote can't know whom it voted for, and one without its log not what it acknowledged.
//! Under its old id it could help to elect a leader without a committed entry. So that id never speaks again: the node
//! asks its cluster to take it in under a new one, as a learner with an empty log, and to take the old one out, in one
//! change (`docs/PROTOCOL.md`, "Joining and replacing"). Nobody has to wipe a disk for that.
//!
//! 1. It looks for somebody who knows a leader of the cluster *and history* in `node.toml`, among those whom the newest
//!    configuration it can read names, and those given with `--join`. Until then nothing is changed.
//! 2. The new id becomes durable (`DataDir::begin_succession`).
//! 3. It asks to be taken in. The leader dials back; the handshake lets only its own cluster and history in. It makes
//!    the change only when the old id is not heard and the change costs no quorum.
//! 4. What it had is set aside, storage begins anew, and `node.toml` names the new id (`engine/storage/src/former.rs`).
//!
//! It stops, and names `quorate recover`, when the old id was the only voter; when so many of the voters say that they
//! have lost their state, too, that the others are no majority; and when a leader goes on refusing because the change
//! would cost the quorum. While nobody can be reached it waits, as any joiner does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use quorate_client::Endpoint;
use quorate_node::raft::{Contact, Members, NodeId, Tally, Time, tally};
use quorate_storage::data_dir::DataDir;
use quorate_storage::{FileDisk, newest_members};
use serde_json::Value;
use tracing::{debug, info, warn};

use crate::context::Identity;
use crate::http::QUORATE_LOST;
use crate::join::{
    ANSWER_BYTES, Ask, JoinError, Joined, NOTHING_STRANGE, PATIENCE, ask_to_add, exchange, id_in, pause,
};
use crate::net::Net;
use crate::runtime::{Runtime, timeout_at};
use crate::tokens::JoinToken;

/// How long one node may take to say how it sees the cluster. It answers that by itself.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

/// How long it may go on to be refused because of the quorum: a voter that restarts is heard again by then.
const QUORUM_PATIENCE: Duration = Duration::from_secs(15);

/// How long a node that gives up still answers who it was, so that others like it find out as well.
const LINGER: Duration = Duration::from_secs(5);

/// Why a node can't come back by itself.
#[derive(Debug, thiserror::Error)]
pub enum ComebackError {
    /// There is no cluster without it.
    #[error(
        "{loss}; node {node} was the only voter of its cluster, so nobody can take it in again. Nothing was changed in \
         {}. `quorate recover plan` shows what this data dir and those of former members hold, and `quorate recover \
         apply` goes on with one of them; else restore a backup into an empty data dir",
        dir.display()
    )]
    OnlyVoter {
        /// The data dir.
        dir: PathBuf,
        /// What is lost.
        loss: String,
        /// The node.
        node: NodeId,
    },
    /// No configuration can be read, and nobody was named.
    #[error(
        "{loss}; the node can come back under a new id, but who the other members are can't be read in {} any more: \
         give --join URL, with the URL of one of them. Nothing was changed. If a majority of the voters is lost, see \
         `quorate recover plan`",
        dir.display()
    )]
    NobodyToAsk {
        /// The data dir.
        dir: PathBuf,
        /// What is lost.
        loss: String,
    },
    /// Others have lost their state, too.
    #[error(
        "{loss}; and so it is with other voters ({}): without them and this one the voters are no majority, so nobody \
         can let this node in. `quorate recover plan` shows what the survivors hold, and `quorate recover apply` goes on \
         with one of them",
        others.join(", ")
    )]
    QuorumLost {
        /// What is lost.
        loss: String,
        /// The others.
        others: Vec<String>,
    },
    /// A leader refuses, and went on to do so.
    #[error(
        "{loss}; and the leader does not take this node in under a new id: {reason}. Start the other voters; if they are \
         lost for good, see `quorate recover plan`"
    )]
    WouldLoseQuorum {
        /// What is lost.
        loss: String,
        /// What the leader says.
        reason: String,
    },
    /// It was removed before.
    #[error(
        "{loss}; and node {node} is no member of its cluster any more, so it does not come back by itself: end it, or give \
         it an empty data dir and --join"
    )]
    Removed {
        /// What is lost.
        loss: String,
        /// The node.
        node: NodeId,
    },
}

impl ComebackError {
    /// What a leader's refusal means, when it is for good.
    fn of_refusal(code: &str, former: &Former, reason: &str, persists: bool) -> Option<ComebackError> {
        let (loss, reason) = (former.loss.clone(), reason.to_owned());
        match code {
            "would_lose_quorum" if persists => Some(ComebackError::WouldLoseQuorum { loss, reason }),
            "member_not_found" => Some(ComebackError::Removed { loss, node: former.identity.node }),
            _ => None,
        }
    }
}

/// A node that has lost what it must not forget.
#[derive(Debug)]
pub(crate) struct Former {
    /// Who it was. It never speaks under this id again.
    pub(crate) identity: Identity,
    /// What is lost.
    loss: String,
    /// The newest configuration that can be read, if any; maybe an old one.
    members: Members,
    /// Whom to ask.
    endpoints: Vec<Endpoint>,
}

impl Former {
    /// Finds out whom to ask. `join` are those whom the operator names.
    pub(crate) fn find(dir: &DataDir, identity: Identity, loss: String, join: &[Endpoint]) -> Former {
        let set_aside = dir.former_place().filter(|place| place.exists());
        let place = set_aside.as_deref().unwrap_or(dir.path());
        let members =
            newest_members(FileDisk::read_only(place)).map(|(_, members)| members).unwrap_or_default();
        let endpoints = endpoints(&members, identity.node, join);
        Former { identity, loss, members, endpoints }
    }

    /// Demands that there be somebody who could take the node in again.
    pub(crate) fn demand_others(&self, dir: &DataDir) -> Result<(), ComebackError> {
        let (node, dir, loss) = (self.identity.node, dir.path().to_owned(), self.loss.clone());
        if !self.members.is_joint() && self.members.voters.iter().eq([&node]) {
            return Err(ComebackError::OnlyVoter { dir, loss, node });
        }
        if self.endpoints.is_empty() {
            return Err(ComebackError::NobodyToAsk { dir, loss });
        }
        Ok(())
    }

    /// What is lost.
    pub(crate) fn loss(&self) -> &str {
        &self.loss
    }

    /// Whom to ask.
    pub(crate) fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// The same, after it was found out that nobody has a piece that would have made up for the loss.
    pub(crate) fn without_help(self, missing: &str) -> Former {
        let loss = format!("{}; no other member has a sound copy of what is missing: {missing}", self.loss);
        Former { loss, ..self }
    }

    /// Whether somebody knows a leader of the node's cluster and history.
    pub(crate) async fn sees_leader<R: Runtime, N: Net>(&self, runtime: &R, net: &N) -> bool {
        for endpoint in &self.endpoints {
            if self.look(runtime, net, endpoint).await == Sight::Leader {
                return true;
            }
        }
        false
    }

    /// Waits until somebody knows a leader of the node's cluster and history.
    pub(crate) async fn find_leader<R: Runtime, N: Net>(
        &self,
        runtime: &R,
        net: &N,
    ) -> Result<(), ComebackError> {
        let mut lost = BTreeSet::from([self.identity.node]);
        let mut said = Said::default();
        loop {
            for endpoint in &self.endpoints {
                match self.look(runtime, net, endpoint).await {
                    Sight::Leader => return Ok(()),
                    Sight::Lost(node) => {
                        lost.insert(node);
                        said.warn(endpoint, &format!("it was {node}, and has lost its state, too"));
                    }
                    Sight::Nothing(reason) => said.warn(endpoint, &reason),
                }
            }
            if self.is_quorum_lost(&lost) {
                warn!(loss = self.loss, "no quorum is left that could take this node in");
                runtime.sleep(LINGER).await;
                lost.remove(&self.identity.node);
                let others = lost.iter().map(NodeId::to_string).collect();
                return Err(ComebackError::QuorumLost { loss: self.loss.clone(), others });
            }
            pause(runtime).await;
        }
    }

    /// Asks to be taken in as `successor`, until that is done.
    pub(crate) async fn ask<R: Runtime, N: Net>(
        &self,
        runtime: &R,
        net: &N,
        (successor, contact): (NodeId, &Contact),
        token: Option<&JoinToken>,
    ) -> Result<(), ComebackError> {
        let Identity { node, cluster, history } = self.identity;
        let ask = Ask { id: successor, contact, replaces: Some(node), token };
        let mut said = Said::default();
        let mut refused_since: Option<Time> = None;
        loop {
            self.find_leader(runtime, net).await?;
            for endpoint in &self.endpoints {
                let asked = ask_to_add(net, endpoint, ask);
                let asked = timeout_at(runtime, runtime.now() + PATIENCE, asked).await;
                let reason = match asked.unwrap_or(Err(JoinError::Late)) {
                    Ok(joined) if joined == (Joined { cluster, history }) => {
                        info!(%endpoint, former = %node, node = %successor, "taken in under a new id");
                        return Ok(());
                    }
                    Ok(Joined { cluster, history }) => {
                        format!("it is of cluster {cluster}, history {history}: not this node's")
                    }
                    Err(JoinError::Refused { code, body, .. }) => {
                        let since = *refused_since.get_or_insert(runtime.now());
                        let persists = runtime.now().since(since) > QUORUM_PATIENCE;
                        if let Some(error) = ComebackError::of_refusal(&code, self, &body, persists) {
                            return Err(error);
                        }
                        body
                    }
                    Err(error) => error.to_string(),
                };
                said.warn(endpoint, &reason);
            }
            pause(runtime).await;
        }
    }

    /// How one node sees the cluster.
    async fn look<R: Runtime, N: Net>(&self, runtime: &R, net: &N, endpoint: &Endpoint) -> Sight {
        let request = Request::get("/raft/status").body(Full::new(Bytes::new())).expect(NOTHING_STRANGE);
        let asked = exchange(net, endpoint, request, ANSWER_BYTES);
        let answer = match timeout_at(runtime, runtime.now() + STATUS_PATIENCE, asked).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Sight::Nothing(error.to_string()),
            Err(late) => return Sight::Nothing(late.to_string()),
        };
        match id_in(answer.headers(), QUORATE_LOST.as_str()).map(NodeId) {
            // One of the URLs may be its own.
            Some(node) if node == self.identity.node => return Sight::Nothing("it is this node".to_owned()),
            Some(node) => return Sight::Lost(node),
            None => {}
        }
        if answer.status() != StatusCode::OK {
            return Sight::Nothing(format!("it answered {}", answer.status()));
        }
        let status: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
        self.judge(&status)
    }

    /// What a status says about the node's own cluster.
    fn judge(&self, status: &Value) -> Sight {
        let Identity { node, cluster, history } = self.identity;
        let text = |name: &str| status[name].as_str().unwrap_or("none").to_owned();
        if (text("cluster"), text("history")) != (cluster.to_string(), history.to_string()) {
            return Sight::Nothing(format!(
                "it is of cluster {}, history {}, and not of {cluster}, {history}, as this node was",
                text("cluster"),
                text("history")
            ));
        }
        match status["leader"]["id"].as_str() {
            Some(leader) if leader != node.to_string() => Sight::Leader,
            _ => Sight::Nothing(
                "it knows no leader: if a majority of the voters is lost for good, see `quorate recover plan`".to_owned(),
            ),
        }
    }

    /// Whether the voters that have not lost their state are too few for a majority, in either half.
    fn is_quorum_lost(&self, lost: &BTreeSet<NodeId>) -> bool {
        let known = !self.members.voters.is_empty();
        known && tally(&self.members, |voter| Some(!lost.contains(&voter))) != Tally::Won
    }
}

/// What is seen through one node.
#[derive(Debug, PartialEq, Eq)]
enum Sight {
    /// It knows a leader.
    Leader,
    /// It has lost its state, too; who it was.
    Lost(NodeId),
    /// Neither.
    Nothing(String),
}

/// What was said last of each node: the same again is worth no line.
#[derive(Default)]
struct Said(BTreeMap<Endpoint, String>);

impl Said {
    fn warn(&mut self, endpoint: &Endpoint, reason: &str) {
        if self.0.get(endpoint).is_some_and(|said| said == reason) {
            debug!(%endpoint, reason, "could not come back");
        } else {
            warn!(%endpoint, reason, "could not come back under a new id yet; will try again");
            self.0.insert(endpoint.clone(), reason.to_owned());
        }
    }
}

/// The members' URLs, but for the node's own, and those that the operator names.
fn endpoints(members: &Members, node: NodeId, join: &[Endpoint]) -> Vec<Endpoint> {
    let others = members.contacts.iter().filter(|(id, _)| **id != node);
    let own = members.contacts.get(&node).map(|contact| contact.url.as_str());
    let urls = others.map(|(_, contact)| contact.url.as_str()).filter(|url| Some(*url) != own);
    let mut endpoints = join.to_vec();
    endpoints.extend(urls.filter_map(|url| url.parse().ok()));
    let mut seen = BTreeSet::new();
    endpoints.retain(|endpoint| seen.insert(endpoint.clone()));
    endpoints
}

/// Said once, when a node begins to come back.
pub(crate) fn announce(former: &Former, dir: &Path) {
    warn!(
        node = %former.identity.node, cluster = %former.identity.cluster, loss = former.loss,
        data_dir = %dir.display(),
        "this node has lost what it must not forget: it comes back under a new id, if its cluster takes it in"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_node::wire::{ClusterId, HistoryId};
    use serde_json::json;

    fn members(voters: &[u128], outgoing: &[u128]) -> Members {
        let contact = |id: u128| Contact { url: format!("http://n{id}:80"), ..Contact::default() };
        let ids = |ids: &[u128]| ids.iter().copied().map(NodeId).collect();
        Members {
            voters: ids(voters),
            outgoing: ids(outgoing),
            contacts: voters.iter().chain(outgoing).map(|id| (NodeId(*id), contact(*id))).collect(),
            ..Members::default()
        }
    }

    fn former(members: Members) -> Former {
        let identity = Identity { node: NodeId(1), cluster: ClusterId(8), history: HistoryId(9) };
        Former { identity, loss: "gone".to_owned(), members, endpoints: Vec::new() }
    }

    #[test]
    fn a_quorum_is_lost_when_too_few_voters_are_left_in_either_half() {
        type Ids = &'static [u128];
        let table: [(Ids, Ids, Ids, bool); 9] = [
            // voters, outgoing voters, who has lost its state, and is the quorum lost?
            (&[1, 2, 3], &[], &[1], false),
            (&[1, 2, 3], &[], &[1, 2], true),
            (&[1, 2, 3], &[], &[1, 9], false),
            (&[1, 2, 3, 4], &[], &[1, 2], true),
            (&[1, 2, 3, 4, 5], &[], &[1, 2], false),
            (&[1, 2], &[], &[1], true),
            (&[1, 2, 3], &[1, 4, 5], &[1, 4], true),
            (&[1, 2, 3], &[4, 5, 6], &[1, 4], false),
            (&[], &[], &[1], false),
        ];
        for (voters, outgoing, lost, expected) in table {
            let lost = lost.iter().copied().map(NodeId).collect();
            let former = former(members(voters, outgoing));
            assert_eq!(former.is_quorum_lost(&lost), expected, "{voters:?} {outgoing:?} {lost:?}");
        }
    }

    #[test]
    fn only_a_leader_of_the_own_cluster_and_history_is_asked() {
        let former = former(Members::default());
        let status = |cluster: u128, history: u128, leader: Value| {
            let (cluster, history) = (ClusterId(cluster).to_string(), HistoryId(history).to_string());
            json!({ "cluster": cluster, "history": history, "leader": leader })
        };
        let leader = |id: u128| json!({ "id": NodeId(id).to_string(), "url": "http://n:1" });
        assert_eq!(former.judge(&status(8, 9, leader(2))), Sight::Leader);
        for (status, expected) in [
            (status(7, 9, leader(2)), "it is of cluster"),
            (status(8, 7, leader(2)), "it is of cluster"),
            (status(8, 9, Value::Null), "no leader"),
            // It still believes that this node leads, and will find out.
            (status(8, 9, leader(1)), "no leader"),
            (Value::Null, "cluster none"),
        ] {
            let Sight::Nothing(reason) = former.judge(&status) else { panic!("{status}") };
            assert!(reason.contains(expected), "{status}: {reason}");
        }
    }

    #[test]
    fn those_who_are_named_are_asked_first_and_nobody_twice() {
        let join: Vec<Endpoint> = ["http://n9:80", "http://n2:80"].map(|url| url.parse().unwrap()).into();
        let found = endpoints(&members(&[1, 2, 3], &[]), NodeId(1), &join);
        let found: Vec<String> = found.iter().map(Endpoint::to_string).collect();
        assert_eq!(found, ["http://n9:80", "http://n2:80", "http://n3:80"]);
    }
}
