//! One look at the cluster: every member is asked how it is, all at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use quorate_client::{Activity, Detail, Endpoint, EndpointError, NodeOverview, Overview, Status};
use quorate_node::View;
use quorate_node::raft::{Contact, NodeId, Time};
use tokio::sync::oneshot;

use super::rates::activity;
use crate::context::Context;
use crate::http::own_status;
use crate::join::{JoinError, NOTHING_STRANGE, exchange};
use crate::net::Net;
use crate::runtime::{Runtime, timeout_at};

/// How long a node may take to answer. Less than the time between two looks, so that one that is down delays nobody.
const PATIENCE: Duration = Duration::from_millis(900);

/// Larger than any answer.
const ANSWER_BYTES: usize = 64 << 10;

/// Rates are those of at least so long: an election makes for two looks in a row, between which nothing happened.
const RATE_TIME: Duration = Duration::from_millis(900);

/// What was counted at each node, and when; and what that came to.
#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<NodeId, (Time, Detail, Option<Activity>)>);

/// Why a node told nothing, in words.
type Problem = String;

/// Looks at all members; nothing when this node has stopped.
pub(super) async fn look<R: Runtime, N: Net>(
    context: &Arc<Context<R, N>>,
    counted: &mut Counted,
) -> Option<Overview> {
    let view = context.handle.status().await?;
    let deadline = context.deadline_in(PATIENCE);
    let contacts = view.members.contacts.iter().filter(|(id, _)| **id != view.id);
    let asked: Vec<_> =
        contacts.map(|(id, contact)| (*id, contact, ask_apart(context, *id, contact, deadline))).collect();
    let own = view.members.contacts.get(&view.id).unwrap_or(&context.contact);
    let told = own_status(context, &view, true);
    let mut nodes = vec![seen_of(&view, (view.id, own), Ok(told), (context.runtime.now(), counted))];
    for (id, contact, answer) in asked {
        let answer = answer.await.unwrap_or_else(|_| Err("it was not asked".to_owned()));
        nodes.push(seen_of(&view, (id, contact), answer, (context.runtime.now(), counted)));
    }
    nodes.sort_by(|one, other| one.id.cmp(&other.id));
    counted.0.retain(|id, _| *id == view.id || view.members.contacts.contains_key(id));
    Some(Overview { node: view.id.to_string(), nodes })
}

/// Asks in a task of its own, so that all are asked at once.
fn ask_apart<R: Runtime, N: Net>(
    context: &Arc<Context<R, N>>,
    id: NodeId,
    contact: &Contact,
    deadline: Time,
) -> oneshot::Receiver<Result<Status, Problem>> {
    let (sender, receiver) = oneshot::channel();
    let (asking, url) = (Arc::clone(context), contact.url.clone());
    context.runtime.spawn(async move {
        let asked = ask(&asking, id, &url);
        let late = || Err("it does not answer in time: is it up, and can this node reach it?".to_owned());
        let answer = timeout_at(&asking.runtime, deadline, asked).await.unwrap_or_else(|_| late());
        // Whoever asked may have ended.
        let _ = sender.send(answer);
    });
    receiver
}

async fn ask<R: Runtime, N: Net>(context: &Context<R, N>, id: NodeId, url: &str) -> Result<Status, Problem> {
    if url.is_empty() {
        return Err("it has not said yet where it serves HTTP".to_owned());
    }
    let endpoint: Endpoint = url.parse().map_err(|error: EndpointError| error.to_string())?;
    // The token that goes with it is not to be read on the way.
    if context.contact.url.starts_with("https:") && !url.starts_with("https:") {
        return Err("its URL is not https, as this node's is: it is not asked".to_owned());
    }
    let request = Request::get("/raft/status?verbose").body(Full::new(Bytes::new())).expect(NOTHING_STRANGE);
    let answer = exchange(&context.net, &endpoint, request, ANSWER_BYTES).await;
    let answer = answer.map_err(|error: JoinError| error.to_string())?;
    match answer.status() {
        StatusCode::OK => status_in(answer.body(), id, &context.identity.cluster.to_string()),
        StatusCode::UNAUTHORIZED => {
            Err("it asks for a token, and this node shows none that it knows: give the nodes \
                                         certificates, or --node-token-file"
                .to_owned())
        }
        status => Err(format!("it answers {status}: {}", said_in(answer.body()))),
    }
}

/// An address may have come into other hands.
fn status_in(body: &[u8], id: NodeId, cluster: &str) -> Result<Status, Problem> {
    let status: Status =
        serde_json::from_slice(body).map_err(|error| format!("its answer can't be understood: {error}"))?;
    if status.id != id.to_string() || status.cluster != cluster {
        return Err("another node answers there, or one of another cluster".to_owned());
    }
    Ok(status)
}

/// The text of an error, as far as it is worth showing to everybody who looks on.
fn said_in(body: &[u8]) -> String {
    const MOST_CHARS: usize = 300;
    let error: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text = error.as_ref().and_then(|error| error.get("error")?.as_str()).unwrap_or_default();
    text.chars().take(MOST_CHARS).collect()
}

/// What there is to say of a node that gave this answer.
fn seen_of(
    view: &View,
    (id, contact): (NodeId, &Contact),
    answer: Result<Status, Problem>,
    (now, counted): (Time, &mut Counted),
) -> NodeOverview {
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let membership = match (view.members.is_voter(id), view.members.contains(id)) {
        (true, _) => "voter",
        (false, true) => "learner",
        (false, false) => "outsider",
    };
    let (status, problem) = match answer {
        Ok(status) => (Some(status), None),
        Err(problem) => (None, Some(problem)),
    };
    let (detail, status) = match status {
        Some(mut status) => (status.detail.take(), Some(status)),
        None => (None, None),
    };
    NodeOverview {
        id: id.to_string(),
        name: text(&contact.name),
        address: contact.address.clone(),
        url: text(&contact.url),
        membership: membership.to_owned(),
        problem,
        status,
        condition: detail.as_ref().map(|detail| detail.condition.clone()),
        activity: detail.and_then(|detail| counted.note(id, now, detail)),
    }
}

impl Counted {
    /// What a node did since it was last looked at.
    fn note(&mut self, id: NodeId, now: Time, detail: Detail) -> Option<Activity> {
        let Some((at, before, lately)) = self.0.get_mut(&id) else {
            self.0.insert(id, (now, detail, None));
            return None;
        };
        let between = now.since(*at);
        if between >= RATE_TIME || lately.is_none() {
            *lately = Some(activity(before, &detail, between));
        }
        if between >= RATE_TIME {
            (*at, *before) = (now, detail);
        }
        lately.clone()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use quorate_client::{Condition, Durations};

    fn detail(reads: u64) -> Detail {
        let none = Durations { bounds_us: vec![1_000], counts: vec![0, 0] };
        let condition = Condition {
            version: String::new(),
            keys: 0,
            damaged: 0,
            disk_full: false,
            restoring: false,
            disk_busy_ms: 0,
        };
        let reads = Durations { counts: vec![reads, 0], ..none.clone() };
        Detail { condition, reads, writes: none.clone(), syncs: none }
    }

    #[test]
    fn a_second_look_at_once_changes_no_rate() {
        let mut counted = Counted::default();
        let mut reads = |at_ms: u64, total| {
            counted.note(NodeId(1), Time(at_ms * 1000), detail(total)).map(|seen| seen.reads.per_second)
        };
        assert_eq!(reads(0, 100), None);
        assert_eq!(reads(1000, 110), Some(10.0));
        assert_eq!(reads(1010, 111), Some(10.0));
        assert_eq!(reads(2000, 130), Some(20.0));
    }

    #[test]
    fn whoever_else_answers_is_not_taken_for_the_node() {
        let status = |id: u128| {
            format!(
                r#"{{"id":"{id:032x}","role":"follower","term":1,"leader":null,"commit":1,"applied":1,"last":1,"snapshot":0,
                "revision":1,"cluster":"c","history":"h"}}"#
            )
        };
        let asked = |body: &str, cluster: &str| status_in(body.as_bytes(), NodeId(7), cluster);
        assert_eq!(asked(&status(7), "c").unwrap().term, 1);
        assert!(asked(&status(8), "c").unwrap_err().starts_with("another node answers there"));
        assert!(asked(&status(7), "d").unwrap_err().starts_with("another node answers there"));
        assert!(asked("<html>", "c").unwrap_err().starts_with("its answer can't be understood"));
    }
}
