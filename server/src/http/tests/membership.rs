//! Members that come, go and hand over, and reads by lease.

use hyper::Method;
use quorate_node::raft::NodeId;
use serde_json::{Value, json};

use super::cluster::{Answer, Cluster, Line, soon};
use crate::real::RealRuntime;
use crate::runtime::Runtime;

const SUCCESS: &str = r#"{"status":"success"}"#;

impl Cluster {
    async fn post(&self, at: usize, target: &str, body: &Value) -> Answer {
        self.ask(at, Method::POST, target, body.to_string().as_bytes()).await
    }

    async fn json(&self, at: usize, target: &str) -> Value {
        serde_json::from_slice(&self.ask(at, Method::GET, target, b"").await.body).unwrap()
    }

    /// Waits for one of those that are left to lead, and to be known to them.
    async fn leader_among(&self, left: &[usize]) -> usize {
        soon(async {
            loop {
                let mut leaders = Vec::new();
                for at in left {
                    leaders.push(self.json(*at, "/raft/status").await["leader"]["id"].clone());
                }
                let found = left.iter().find(|at| leaders.iter().all(|leader| *leader == id(**at)));
                if let Some(leader) = found {
                    return *leader;
                }
                RealRuntime::start().sleep(std::time::Duration::from_millis(2)).await;
            }
        })
        .await
    }
}

/// The id of the node at this place.
fn id(at: usize) -> String {
    NodeId(at as u128 + 1).to_string()
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.code())
}

#[tokio::test]
async fn a_leader_that_is_removed_says_so_once_it_is_done_and_another_leads() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    let left: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    let answer = cluster.post(left[0], "/raft/remove", &json!({ "ID": id(old) })).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, SUCCESS));

    let leader = cluster.leader_among(&left).await;
    let members = cluster.json(leader, "/raft/members").await;
    let ids: Vec<&Value> =
        members["members"].as_array().unwrap().iter().map(|member| &member["id"]).collect();
    assert_eq!((ids, &members["joint"]), (vec![&json!(id(left[0])), &json!(id(left[1]))], &Value::Null));
    assert_eq!(cluster.ask(leader, Method::PUT, "/key/a", b"1").await.status, 200);
    let again = cluster.post(leader, "/raft/remove", &json!({ "ID": id(old) })).await;
    assert_eq!(refusal(&again), (404, "member_not_found".to_owned()));

    // The one that is out knows it, and says so.
    assert_eq!(cluster.json(old, "/raft/status").await["role"], "learner");
    let ready = cluster.ask(old, Method::GET, "/readyz?verbose", b"").await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("the cluster has 2 others"), "{ready:?}");
}

#[tokio::test]
async fn the_last_voter_stays() {
    let cluster = Cluster::start(1).await;
    let nobody = NodeId(9).to_string();
    let cases = [
        ("/raft/remove", json!({ "ID": id(0) }), 409, "would_lose_quorum"),
        ("/raft/remove", json!({ "ID": nobody }), 404, "member_not_found"),
        ("/raft/remove", json!({ "ID": id(0), "Force": true }), 400, "bad_json"),
        ("/raft/members", json!({ "voters": [], "learners": [id(0)] }), 409, "would_lose_quorum"),
        ("/raft/members", json!({ "voters": [id(0), nobody], "learners": [] }), 404, "member_not_found"),
        ("/raft/members", json!({ "voters": id(0) }), 400, "bad_json"),
        ("/raft/transfer", json!({ "ID": nobody }), 404, "member_not_found"),
        ("/raft/transfer", json!({}), 409, "not_caught_up"),
        ("/raft/transfer?wait=voter", json!({}), 400, "bad_query"),
    ];
    for (target, body, status, code) in cases {
        let answer = cluster.post(0, target, &body).await;
        assert_eq!(refusal(&answer), (status, code.to_owned()), "{target} {body}");
    }
    // What is so already is done.
    let same = json!({ "voters": [id(0)], "learners": [] });
    for (target, body) in [("/raft/members", same), ("/raft/transfer", json!({ "ID": id(0) }))] {
        assert_eq!(cluster.post(0, target, &body).await.text(), SUCCESS, "{target}");
    }
    assert_eq!(cluster.json(0, "/raft/members").await["index"], 1);
}

#[tokio::test]
async fn any_set_of_members_becomes_any_other_in_one_call() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let (one, two) = ((leader + 1) % 3, (leader + 2) % 3);
    // The leader leaves for a follower's sake, and stays as a learner.
    let body = json!({ "voters": [id(one)], "learners": [id(leader)] });
    for _ in 0..2 {
        let answer = cluster.post(one, "/raft/members?timeout=10s", &body).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, SUCCESS));
    }
    assert_eq!(cluster.leader_among(&[one, leader]).await, one);
    let members = cluster.json(leader, "/raft/members").await;
    let roles: Vec<(&Value, &Value)> = members["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| (&member["id"], &member["role"]))
        .collect();
    let mut expected = [(json!(id(one)), json!("voter")), (json!(id(leader)), json!("learner"))];
    expected.sort_by_key(|(id, _)| id.to_string());
    assert_eq!(roles, expected.iter().map(|(id, role)| (id, role)).collect::<Vec<_>>());

    // Who left is no member any more, a learner can't lead, and a learner may be promoted.
    let gone = json!({ "voters": [id(one), id(two)], "learners": [] });
    let answer = cluster.post(leader, "/raft/members", &gone).await;
    assert_eq!(refusal(&answer), (404, "member_not_found".to_owned()));
    let answer = cluster.post(leader, "/raft/transfer", &json!({ "ID": id(leader) })).await;
    assert_eq!(refusal(&answer), (409, "not_caught_up".to_owned()));
    assert!(answer.text().contains("is a learner"), "{answer:?}");
    assert_eq!(cluster.post(leader, "/raft/promote", &json!({ "ID": id(leader) })).await.text(), SUCCESS);
    assert_eq!(cluster.post(leader, "/raft/transfer", &json!({ "ID": id(leader) })).await.text(), SUCCESS);
    assert_eq!(cluster.leader_among(&[one, leader]).await, leader);
}

/// Nobody makes it a voter, so waiting for that would use up the time and end with a wrong promise.
#[tokio::test]
async fn one_that_is_to_stay_a_learner_is_not_waited_for() {
    let cluster = Cluster::start(3).await;
    let members = cluster.json(0, "/raft/members").await;
    let address = |at: usize| members["members"][at]["address"].clone();
    let sets = json!({ "voters": [id(0), id(1)], "learners": [id(2)] });
    assert_eq!(cluster.post(1, "/raft/members?timeout=10s", &sets).await.text(), SUCCESS);
    for at in 0..3 {
        let known = json!({ "ID": id(2), "Address": address(2) });
        let answer = cluster.post(at, "/raft/add?wait=voter&timeout=60s", &known).await;
        assert_eq!(refusal(&answer), (409, "not_caught_up".to_owned()));
        assert!(answer.text().contains("promote it"), "{answer:?}");
        let both = json!({ "ID": id(2), "Address": address(2), "Role": "learner" });
        let answer = cluster.post(at, "/raft/add?wait=voter", &both).await;
        assert_eq!(refusal(&answer), (400, "bad_query".to_owned()));
    }
    assert_eq!(cluster.post(0, "/raft/promote", &json!({ "ID": id(2) })).await.text(), SUCCESS);
    let known = json!({ "ID": id(2), "Address": address(2) });
    assert_eq!(cluster.post(0, "/raft/add?wait=voter", &known).await.text(), SUCCESS);
}

#[tokio::test]
async fn leadership_goes_where_it_is_told_or_to_the_best() {
    let cluster = Cluster::start(3).await;
    let first = cluster.leader().await;
    let second = (first + 1) % 3;
    let answer = cluster.post((first + 2) % 3, "/raft/transfer", &json!({ "ID": id(second) })).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (200, SUCCESS));
    assert_eq!(cluster.leader().await, second);
    for body in [b"".as_slice(), b"{}"] {
        let before = cluster.leader().await;
        let answer = cluster.ask((before + 1) % 3, Method::POST, "/raft/transfer", body).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, SUCCESS));
        assert_ne!(cluster.leader().await, before);
    }
}

#[tokio::test]
async fn a_lease_serves_reads_on_every_node_as_fresh_as_any() {
    let cluster = Cluster::start(3).await;
    for number in 0..30 {
        let value = number.to_string();
        assert_eq!(cluster.ask(number % 3, Method::PUT, "/key/a", value.as_bytes()).await.status, 200);
        for at in 0..3 {
            let read = cluster.ask(at, Method::GET, "/key/a?consistency=lease", b"").await;
            assert_eq!(read.text(), value);
        }
    }
    for target in ["/raft/members?consistency=lease", "/data.json?consistency=lease"] {
        assert_eq!(cluster.ask(0, Method::GET, target, b"").await.status, 200, "{target}");
    }
}

#[tokio::test]
async fn a_leader_that_ends_hands_over_first() {
    let cluster = Cluster::start(3).await;
    let old = cluster.leader().await;
    let left: Vec<usize> = (0..3).filter(|at| *at != old).collect();
    let term = cluster.json(old, "/raft/status").await["term"].as_u64().unwrap();
    let members = cluster.json(left[0], "/raft/members").await;
    cluster.servers[old].stop().await;
    // Somebody led before it was gone: not an election timeout later.
    let leader = cluster.leader_among(&left).await;
    let status = cluster.json(leader, "/raft/status").await;
    assert_eq!(status["term"], term + 1, "one election, without a contest");
    let after = cluster.json(leader, "/raft/members").await;
    assert_eq!(after["index"], members["index"], "the membership stays as it is");
}

#[tokio::test]
async fn a_node_about_to_end_serves_on_and_keeps_no_connection() {
    let cluster = Cluster::start(1).await;
    let shutdown = &cluster.servers[0].context.shutdown;
    let mut line = Line::open(&cluster.addresses[0]).await;
    let get = "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    assert_eq!(line.ask(get).await.0, 200);
    shutdown.leave();
    assert_eq!(line.ask(get).await.0, 200);
    line.closes().await;
    let read = cluster.ask(0, Method::PUT, "/key/a", b"1").await;
    assert_eq!((read.status.as_u16(), read.header("connection")), (200, Some("close")));
    let ready = cluster.ask(0, Method::GET, "/readyz", b"").await;
    let body: Value = serde_json::from_slice(&ready.body).unwrap();
    assert_eq!(
        (ready.status.as_u16(), &body["checks"]["leader"]),
        (503, &json!("failed")),
        "nobody new should come"
    );
}
