//! The rows of clusters that are not well, each with what is wrong with it.

use super::rows::{BROWSER, Row, row};

/// What is wrong with a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Nearly nothing of the past is kept.
    NoPast,
    /// The disks are full.
    NoRoom,
    /// One idempotency key is remembered, and no more.
    NoNames,
    /// Bodies may wait for nothing.
    NoMemory,
    /// No request may wait for the node.
    Busy,
    /// Of three members one is down.
    OneDown,
    /// The others are down.
    Alone,
    /// The disks do nothing any more.
    Stuck,
    /// The node that is asked has begun to end.
    Ending,
    /// Tokens are asked for.
    Guarded,
    /// It does not listen on loopback alone, and so a new node needs a join token.
    Closed,
}

impl Trouble {
    pub(super) const ALL: [Trouble; 11] = [
        Trouble::NoPast,
        Trouble::NoRoom,
        Trouble::NoNames,
        Trouble::NoMemory,
        Trouble::Busy,
        Trouble::OneDown,
        Trouble::Alone,
        Trouble::Stuck,
        Trouble::Ending,
        Trouble::Guarded,
        Trouble::Closed,
    ];

    pub(super) fn rows(self) -> Vec<Row> {
        match self {
            Trouble::NoPast => of_the_past(),
            Trouble::NoRoom => of_a_full_disk(),
            Trouble::NoNames => of_a_full_table(),
            Trouble::NoMemory => of_waiting_bodies(),
            Trouble::Busy => of_a_busy_node(),
            Trouble::OneDown => of_a_member_down(),
            Trouble::Alone => of_a_node_alone(),
            Trouble::Stuck => of_disks_that_stand_still(),
            Trouble::Ending => of_a_node_that_ends(),
            Trouble::Guarded => of_a_guarded_cluster(),
            Trouble::Closed => of_joins(),
        }
    }
}

const VALUE: &str = "value";
const TXN: &str = r#"{"success":[{"put":{"key":"a","value":"aGk="}}]}"#;
const FILE: &str = r#"{"YQ==":"Yg=="}"#;
const TTL: &str = r#"{"ttl":"30s"}"#;
const HOLDER: &str = r#"{"ID":"me"}"#;

fn of_the_past() -> Vec<Row> {
    let gone = "a revision that is not kept any more";
    vec![
        row("GET /key/{key}", gone, "/key/a?revision=1", "410 compacted"),
        row("HEAD /key/{key}", gone, "/key/a?revision=1", "410 compacted"),
        row("GET /keys", gone, "/keys?revision=1", "410 compacted"),
        row("HEAD /keys", gone, "/keys?revision=1", "410 compacted"),
        row(
            "GET /keys",
            "a cursor of a moment ago, for which a revision is kept that else were gone",
            "/keys?cursor={cursor}",
            "200",
        ),
        row("GET /watch", "`from` a revision on that is not kept any more", "/watch?prefix=&from=1", "200")
            .event("reset"),
        row("GET /watch", "what is behind `Last-Event-ID` is not kept any more", "/watch?prefix=", "200")
            .with("last-event-id", "1-0")
            .event("reset"),
    ]
}

/// What changes the store and needs space for that.
const GROWING: [(&str, &str, &str); 6] = [
    ("PUT /key/{key}", "/key/a", VALUE),
    ("POST /key/{key}", "/key/a", VALUE),
    ("POST /txn", "/txn", TXN),
    ("POST /data.json", "/data.json", FILE),
    ("POST /leases", "/leases", TTL),
    ("LOCK /key/{key}", "/key/l", HOLDER),
];

fn of_a_full_disk() -> Vec<Row> {
    let refused = GROWING.map(|(route, target, body)| {
        row(route, "the leader's disk is full", target, "507 disk_full").body(body)
    });
    let mut rows = refused.to_vec();
    let done = [
        ("GET /key/{key}", "/key/{at}/tagged", ""),
        ("DELETE /key/{key}", "/key/{at}/tagged", ""),
        ("DELETE /key/{key}", "/key/a", ""),
        ("UNLOCK /key/{key}", "/key/{at}/held", HOLDER),
        ("POST /leases/{id}/keepalive", "/leases/{lease}/keepalive", ""),
        ("DELETE /leases/{id}", "/leases/{lease}", ""),
    ];
    rows.extend(
        done.map(|(route, target, body)| row(route, "the leader's disk is full", target, "200").body(body)),
    );
    rows.extend([
        row(
            "DELETE /key/{key}",
            "the leader's disk is full, and a condition holds",
            "/key/{at}/tagged/too",
            "200",
        )
        .with("if-match", "{the other's tag}"),
        row("POST /txn", "the leader's disk is full, and it only deletes", "/txn", "200")
            .body(r#"{"success":[{"delete":{"key":"a"}}]}"#),
        row("GET /key/{key}", "the leader's disk is full, and the key is not there", "/key/a", "404"),
    ]);
    rows
}

fn of_a_full_table() -> Vec<Row> {
    let full = "no more idempotency keys can be remembered";
    let refused = [
        ("PUT /key/{key}", "/key/a", VALUE),
        ("POST /key/{key}", "/key/a", VALUE),
        ("DELETE /key/{key}", "/key/a", ""),
        ("POST /txn", "/txn", TXN),
        ("POST /data.json", "/data.json", FILE),
        ("POST /leases", "/leases", TTL),
        ("POST /leases/{id}/keepalive", "/leases/{lease}/keepalive", ""),
        ("DELETE /leases/{id}", "/leases/{lease}", ""),
    ];
    let row = |(route, target, body)| {
        row(route, full, target, "503 idempotency_full").with("idempotency-key", "new {at}").body(body)
    };
    refused.map(row).to_vec()
}

fn of_waiting_bodies() -> Vec<Row> {
    let row = |(route, target, body)| {
        row(route, "the bodies that wait take up all memory for them", target, "503 overloaded").body(body)
    };
    let transfer = ("POST /raft/transfer", "/raft/transfer", r#"{"ID":"{own}"}"#);
    GROWING.into_iter().chain([transfer]).map(row).collect()
}

/// What waits for the node: each has a place in a queue that is not endless.
fn of_a_busy_node() -> Vec<Row> {
    let asked = [
        ("GET /key/{key}", "/key/a", ""),
        ("HEAD /key/{key}", "/key/a", ""),
        ("GET /keys", "/keys", ""),
        ("HEAD /keys", "/keys", ""),
        ("GET /data.json", "/data.json", ""),
        ("HEAD /data.json", "/data.json", ""),
        ("GET /backup", "/backup", ""),
        ("HEAD /backup", "/backup", ""),
        ("GET /watch", "/watch?prefix=", ""),
        ("HEAD /watch", "/watch?prefix=", ""),
        ("GET /raft/members", "/raft/members", ""),
        ("HEAD /raft/members", "/raft/members", ""),
        ("GET /leases/{id}", "/leases/00000000000000a1", ""),
        ("HEAD /leases/{id}", "/leases/00000000000000a1", ""),
        ("DELETE /key/{key}", "/key/a", ""),
        ("UNLOCK /key/{key}", "/key/l", HOLDER),
        ("POST /leases/{id}/keepalive", "/leases/00000000000000a1/keepalive", ""),
        ("DELETE /leases/{id}", "/leases/00000000000000a1", ""),
        ("POST /raft/snapshot", "/raft/snapshot", ""),
        ("POST /raft/add", "/raft/add", r#"{"ID":"{own}","Address":"{own address}"}"#),
        ("POST /raft/join-tokens", MAKE, HOUR),
        ("POST /raft/promote", "/raft/promote", r#"{"ID":"{own}"}"#),
        ("POST /raft/remove", "/raft/remove", r#"{"ID":"{own}"}"#),
        ("POST /raft/members", "/raft/members", r#"{"voters":[{all}]}"#),
    ];
    let situation = "as many requests as may be wait for the node already";
    let row = |(route, target, body)| row(route, situation, target, "503 overloaded").body(body);
    asked.into_iter().chain(GROWING).map(row).collect()
}

fn of_a_member_down() -> Vec<Row> {
    let transfer = "the one named is down";
    let remove = "of the two that are left one would be down";
    vec![
        row("POST /raft/transfer", transfer, "/raft/transfer", "409 not_caught_up")
            .body(r#"{"ID":"{down}"}"#),
        row("POST /raft/remove", remove, "/raft/remove", "409 would_lose_quorum").body(r#"{"ID":"{up}"}"#),
        row("POST /raft/remove", "a member, here one that is down", "/raft/remove", "200")
            .body(r#"{"ID":"{down}"}"#),
    ]
}

fn of_a_node_alone() -> Vec<Row> {
    let nobody = "nobody leads until the deadline";
    let asked = [
        ("GET /key/{key}", "/key/a?timeout=200ms", ""),
        ("GET /keys", "/keys?timeout=200ms", ""),
        ("GET /data.json", "/data.json?timeout=200ms", ""),
        ("GET /backup", "/backup?timeout=200ms", ""),
        ("GET /raft/members", "/raft/members?timeout=200ms", ""),
        ("GET /leases/{id}", "/leases/00000000000000a1?timeout=200ms", ""),
        ("PUT /key/{key}", "/key/a?timeout=200ms", VALUE),
        ("POST /key/{key}", "/key/a?timeout=200ms", VALUE),
        ("DELETE /key/{key}", "/key/a?timeout=200ms", ""),
        ("LOCK /key/{key}", "/key/l?timeout=200ms", HOLDER),
        ("UNLOCK /key/{key}", "/key/l?timeout=200ms", HOLDER),
        ("POST /txn", "/txn?timeout=200ms", TXN),
        ("POST /data.json", "/data.json?timeout=200ms", FILE),
        ("POST /leases", "/leases?timeout=200ms", TTL),
        ("POST /leases/{id}/keepalive", "/leases/00000000000000a1/keepalive?timeout=200ms", ""),
        ("DELETE /leases/{id}", "/leases/00000000000000a1?timeout=200ms", ""),
        ("POST /raft/promote", "/raft/promote?timeout=200ms", r#"{"ID":"{own}"}"#),
        ("POST /raft/remove", "/raft/remove?timeout=200ms", r#"{"ID":"{own}"}"#),
        ("POST /raft/transfer", "/raft/transfer?timeout=200ms", ""),
        ("POST /raft/members", "/raft/members?timeout=200ms", r#"{"voters":["{own}"]}"#),
    ];
    let mut rows: Vec<Row> = asked
        .into_iter()
        .map(|(route, target, body)| row(route, nobody, target, "503 no_leader").body(body))
        .collect();
    rows.push(row("GET /readyz", "no leader is known", "/readyz", "503"));
    rows.push(row("GET /key/{key}", "stale, and nobody leads", "/key/a?consistency=stale", "404"));
    rows.push(row("GET /keys", "stale, and nobody leads", "/keys?consistency=stale", "200"));
    rows
}

fn of_disks_that_stand_still() -> Vec<Row> {
    let unknown = "it is in the log, and was not committed until the deadline";
    let asked = [
        ("PUT /key/{key}", "/key/a?timeout={patience}", VALUE),
        ("POST /txn", "/txn?timeout={patience}", TXN),
    ];
    let row_of = |(route, target, body)| row(route, unknown, target, "504 outcome_unknown").body(body);
    let mut rows = asked.map(row_of).to_vec();
    rows.push(
        row("POST /raft/members", unknown, "/raft/members?timeout={patience}", "504 outcome_unknown")
            .body(r#"{"voters":[{all but one}]}"#),
    );
    let change = "another change is not done until the deadline";
    rows.push(
        row("POST /raft/remove", change, "/raft/remove?timeout={patience}", "409 change_in_progress")
            .body(r#"{"ID":"{up}"}"#),
    );
    rows
}

fn of_a_node_that_ends() -> Vec<Row> {
    vec![row("PUT /key/{key}", "this node has begun to end", "/key/a", "503 shutting_down").body(VALUE)]
}

const MAKE: &str = "/raft/join-tokens";
const HOUR: &str = r#"{"ttl":"1h"}"#;

/// Of a cluster beyond loopback that asks nobody for tokens.
fn of_joins() -> Vec<Row> {
    let add = |situation, body, answer| {
        row("POST /raft/add", situation, "/raft/add?timeout=20s", answer).body(body)
    };
    let (newcomer, stranger) = (
        r#"{"ID":"{newcomer}","Address":"{newcomer's address}","Role":"learner"}"#,
        r#"{"ID":"{stranger}","Address":"{nobody}"}"#,
    );
    let with = |row: Row, token| row.with("quorate-join-token", token);
    let refused = |situation, token, code| with(add(situation, stranger, code), token);
    vec![
        add("a member again, where it is", r#"{"ID":"{own}","Address":"{own address}"}"#, "200"),
        add("a new node with nothing that lets it in", stranger, "403 join_token_needed"),
        refused("what is shown as a join token is none", "{no token}", "403 join_token_invalid"),
        refused("a part of a join token", "{half a join token}", "403 join_token_invalid"),
        refused("a join token of another cluster", "{another's join token}", "403 join_token_invalid"),
        refused("a join token that nobody made", "{forged join token}", "403 join_token_invalid"),
        refused("a join token that has expired", "{old join token}", "403 join_token_expired"),
        with(add("a new node with a join token", newcomer, "200"), "{join token}"),
        with(add("the same node with the same join token", newcomer, "200"), "{join token}"),
        refused("a join token that another node has spent", "{join token}", "403 join_token_spent"),
        row("POST /raft/join-tokens", "an hour to live", MAKE, "200").body(HOUR),
    ]
}

/// The tokens there are for keys that begin with `team/` alone, but for that of the admin.
fn of_a_guarded_cluster() -> Vec<Row> {
    let (reads, writes) = ("a token that may only read", "a token for other keys");
    let (mine, other) = (
        r#"{"success":[{"get":{"key":"team/a"}}]}"#,
        r#"{"compare":[{"key":"a","target":"version","op":"=","value":0}]}"#,
    );
    let reader = |row: Row| row.with("authorization", "Bearer {reader}");
    let writer = |row: Row| row.with("authorization", "Bearer {writer}");
    let admin = |row: Row| row.with("authorization", "Bearer {admin}");
    let mut rows = vec![
        reader(row("PUT /key/{key}", reads, "/key/team/a", "403 forbidden")),
        reader(row("POST /txn", reads, "/txn", "403 forbidden").body(mine)),
        reader(row("LOCK /key/{key}", reads, "/key/team/a", "403 forbidden").body(HOLDER)),
        reader(row("POST /leases", reads, "/leases", "403 forbidden").body(TTL)),
        reader(row("GET /key/{key}", "the key is not there", "/key/team/none", "404")),
        reader(row("GET /key/{key}", writes, "/key/teams", "403 forbidden")),
        reader(row("GET /keys", writes, "/keys?prefix=t", "403 forbidden")),
        reader(row("GET /keys", writes, "/keys", "403 forbidden")),
        reader(row("GET /keys", "a prefix", "/keys?prefix=team/b", "200")),
        reader(row("GET /watch", writes, "/watch?prefix=", "403 forbidden")),
        reader(row("GET /raft/status", "all is well", "/raft/status", "200")),
        row("GET /", "a browser asks, without a token", "/", "200").with("accept", BROWSER),
        reader(row("GET /metrics", "all is well", "/metrics", "200")),
        writer(row("PUT /key/{key}", "a value", "/key/team/a", "200").body(VALUE)),
        writer(row("PUT /key/{key}", writes, "/key/a", "403 forbidden").body(VALUE)),
        writer(row("DELETE /key/{key}", writes, "/key/a", "403 forbidden")),
        writer(row("POST /txn", "reads and writes", "/txn", "200").body(mine)),
        writer(row("POST /txn", writes, "/txn", "403 forbidden").body(other)),
        writer(row("POST /data.json", writes, "/data.json", "403 forbidden").body(FILE)),
        writer(row("GET /data.json", writes, "/data.json", "403 forbidden")),
        writer(row("GET /backup", writes, "/backup", "403 forbidden")),
    ];
    let member = r#"{"ID":"{own}"}"#;
    for (route, target, body) in [
        ("POST /raft/add", "/raft/add", r#"{"ID":"{own}","Address":"{own address}"}"#),
        ("POST /raft/join-tokens", MAKE, HOUR),
        ("POST /raft/promote", "/raft/promote", member),
        ("POST /raft/remove", "/raft/remove", member),
        ("POST /raft/transfer", "/raft/transfer", "{}"),
        ("POST /raft/members", "/raft/members", r#"{"voters":[{all}]}"#),
        ("POST /raft/snapshot", "/raft/snapshot", ""),
        ("GET /debug/recording", "/debug/recording", ""),
        ("GET /raft/checkpoints", "/raft/checkpoints", ""),
    ] {
        rows.push(writer(row(route, "a token that is no admin's", target, "403 forbidden").body(body)));
    }
    rows.push(admin(row("POST /raft/join-tokens", "an hour to live", MAKE, "200").body(HOUR)));
    rows.push(
        row(
            "POST /raft/add",
            "a join token that nobody made, and no other token",
            "/raft/add",
            "403 join_token_invalid",
        )
        .with("quorate-join-token", "{forged join token}")
        .body(r#"{"ID":"{stranger}","Address":"{nobody}"}"#),
    );
    rows.push(admin(row("POST /raft/promote", "it votes already", "/raft/promote", "200").body(member)));
    rows.push(admin(row("GET /data.json", "all keys and values", "/data.json", "200")));
    rows
}
