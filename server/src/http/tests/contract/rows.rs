//! The rows: which request is answered with what.
//!
//! `{…}` in a target, header or body stands for what the cluster at hand has, see [`super::world`].

/// A request in a situation, and its answer.
#[derive(Clone, Debug)]
pub(super) struct Row {
    /// Method and template, as the document has them; [`EVERY_ROUTE`] is each of them.
    pub(super) route: &'static str,
    pub(super) situation: &'static str,
    pub(super) target: &'static str,
    pub(super) headers: Vec<(&'static str, &'static str)>,
    pub(super) body: &'static str,
    pub(super) status: u16,
    /// Of an error.
    pub(super) code: Option<&'static str>,
    /// Whether it is that of an earlier, equal request.
    pub(super) is_replayed: bool,
    /// The first event of a stream.
    pub(super) event: Option<&'static str>,
}

/// What a row says that holds of them all.
pub(super) const EVERY_ROUTE: &str = "every route";

/// `answer` is a status and, after a space, a code.
pub(super) fn row(
    route: &'static str,
    situation: &'static str,
    target: &'static str,
    answer: &'static str,
) -> Row {
    let (status, code) = answer.split_once(' ').map_or((answer, None), |(status, code)| (status, Some(code)));
    let status = status.parse().expect("an answer begins with its status");
    let headers = Vec::new();
    Row { route, situation, target, headers, body: "", status, code, is_replayed: false, event: None }
}

impl Row {
    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Row {
        self.headers.push((name, value));
        self
    }

    pub(super) fn body(self, body: &'static str) -> Row {
        Row { body, ..self }
    }

    pub(super) fn replayed(self) -> Row {
        Row { is_replayed: true, ..self }
    }

    pub(super) fn event(self, event: &'static str) -> Row {
        Row { event: Some(event), ..self }
    }
}

/// What a browser accepts that is to show a page.
pub(super) const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

const KEY_ROUTES: [&str; 7] = [
    "GET /key/{key}",
    "HEAD /key/{key}",
    "POST /key/{key}",
    "PUT /key/{key}",
    "DELETE /key/{key}",
    "LOCK /key/{key}",
    "UNLOCK /key/{key}",
];

/// Those that are refused before anybody looks what is asked.
pub(super) fn of_every_route() -> Vec<Row> {
    let refused = |situation, answer| row(EVERY_ROUTE, situation, "", answer);
    vec![
        refused("a query parameter that it doesn't have", "400 bad_query"),
        refused("`Quorate-Forwarded` is no id", "400 malformed").with("quorate-forwarded", "nobody"),
        refused("the body is packed (`Content-Encoding`)", "400 malformed").with("content-encoding", "gzip"),
        refused("the `Origin` is another server's", "403 cross_origin").with("origin", "http://evil.example"),
        refused("a peer of another history passed it on", "421 not_leader")
            .with("quorate-forwarded", "{stranger}")
            .with("quorate-history", "{stranger}"),
        refused("the `Host` is none of this node's names", "421 wrong_host").with("host", "evil.example"),
        refused("more than 32 KiB of headers", "431 headers_too_large").with("x-large", "{40 kB}"),
        refused("this node passed it on itself", "508 proxy_loop").with("quorate-forwarded", "{own}"),
    ]
}

/// The same where tokens are asked for, also at probes.
pub(super) fn of_every_guarded_route() -> Vec<Row> {
    let refused = |situation| row(EVERY_ROUTE, situation, "", "401 unauthenticated");
    vec![
        refused("tokens are asked for, and the request has none"),
        refused("the token is none that there is").with("authorization", "Bearer {no token}"),
        refused("the token's secret is another one").with("authorization", "Bearer {guessed}"),
        refused("what is shown is no token").with("authorization", "Basic dTpw"),
    ]
}

/// Of a cluster in which all is well, in this order.
pub(super) fn of_a_sound_cluster() -> Vec<Row> {
    [
        keys(),
        conditions(),
        tags(),
        repeated(),
        locks(),
        lists(),
        transactions(),
        leases(),
        files(),
        watches(),
        nodes(),
        members(),
        comings_and_goings(),
    ]
    .concat()
}

fn keys() -> Vec<Row> {
    let mut rows = Vec::new();
    for route in KEY_ROUTES {
        rows.push(row(route, "nothing after `/key/`", "/key/", "400 key_empty"));
        rows.push(row(route, "the key is no UTF-8", "/key/%FF", "400 key_not_utf8"));
        rows.push(row(route, "a `%` without two hex digits", "/key/%zz", "400 malformed"));
        rows.push(row(route, "a key of 4,097 bytes", "/key/{4097 bytes}", "414 key_too_long"));
    }
    let named = ("idempotency-key", "used {at}");
    let again = "the `Idempotency-Key` was another request's";
    rows.extend([
        row("GET /key/{key}", "the key is not there", "/key/{at}/none", "404"),
        row("HEAD /key/{key}", "the key is not there", "/key/{at}/none", "404"),
        row("PUT /key/{key}", "a key of 40,000 bytes", "/key/{40 kB}", "414 key_too_long"),
        row("PUT /key/{key}", "a value", "/key/{at}/a", "200").body("value"),
        row("PUT /key/{key}", "with an `Idempotency-Key`", "/key/{at}/a", "200").with(named.0, named.1),
        row("PUT /key/{key}", again, "/key/{at}/a", "422 idempotency_mismatch")
            .with(named.0, named.1)
            .body("x"),
        row("POST /key/{key}", "a value", "/key/{at}/a", "200").body("value"),
        row("POST /key/{key}", again, "/key/{at}/a", "422 idempotency_mismatch").with(named.0, named.1),
        row("DELETE /key/{key}", again, "/key/{at}/a", "422 idempotency_mismatch").with(named.0, named.1),
        row("GET /key/{key}", "the key is there", "/key/{at}/a", "200"),
        row("HEAD /key/{key}", "the key is there", "/key/{at}/a", "200"),
        row("GET /key/{key}", "at a revision that is not reached", "/key/a?revision=987654", "400 bad_query"),
        row("PUT /key/{key}", "with a time to live", "/key/{at}/ttl?ttl=30s", "200").body("value"),
        row("PUT /key/{key}", "half a second to live", "/key/a?ttl=500ms", "400 bad_query"),
        row(
            "PUT /key/{key}",
            "with a time to live and a lease",
            "/key/a?ttl=1s&lease={lease}",
            "400 bad_query",
        ),
        row("PUT /key/{key}", "with a lease", "/key/{at}/leased?lease={lease}", "200").body("value"),
        row(
            "PUT /key/{key}",
            "with a lease that is not there",
            "/key/a?lease=00000000000000a1",
            "404 lease_not_found",
        ),
        row(
            "POST /key/{key}",
            "with a lease that is not there",
            "/key/a?lease=00000000000000a1",
            "404 lease_not_found",
        ),
        row("PUT /key/{key}", "a value above the limit", "/key/a", "413 value_too_large")
            .body("{1001 bytes}"),
        row("POST /key/{key}", "a value above the limit", "/key/a", "413 value_too_large")
            .body("{1001 bytes}"),
        row("DELETE /key/{key}", "the key is not there", "/key/{at}/none", "200"),
    ]);
    rows
}

fn conditions() -> Vec<Row> {
    let (put, post, delete) = ("PUT /key/{key}", "POST /key/{key}", "DELETE /key/{key}");
    let not_there = "`If-Match: *`, and the key is not there";
    let there = "`If-None-Match: *`, and the key is there";
    vec![
        row("GET /key/{key}", "`If-None-Match` names what is there", "/key/{at}/a", "304")
            .with("if-none-match", "*"),
        row("HEAD /key/{key}", "`If-None-Match` names what is there", "/key/{at}/a", "304")
            .with("if-none-match", "*"),
        row(put, "`If-Match: *`, and the key is there", "/key/{at}/a", "200").with("if-match", "*").body("1"),
        row(put, not_there, "/key/{at}/none", "412 precondition_failed").with("if-match", "*"),
        row(put, there, "/key/{at}/a", "412 precondition_failed").with("if-none-match", "*"),
        row(put, "`If-Match` without quotes", "/key/{at}/a", "400 malformed").with("if-match", "7"),
        row(post, there, "/key/{at}/a", "412 precondition_failed").with("if-none-match", "*"),
        row(delete, not_there, "/key/{at}/none", "412 precondition_failed").with("if-match", "*"),
        row(delete, "`If-Match: *`, and the key is there", "/key/{at}/a", "200").with("if-match", "*"),
        row("GET /key/{key}", "`If-Match`, which a read can't keep", "/key/a", "400 malformed")
            .with("if-match", "*"),
        row(put, "an `Idempotency-Key` of no bytes", "/key/a", "400 malformed").with("idempotency-key", ""),
    ]
}

/// Conditions that name a revision: of two keys, each written once before.
fn tags() -> Vec<Row> {
    let (get, put, post, delete) =
        ("GET /key/{key}", "PUT /key/{key}", "POST /key/{key}", "DELETE /key/{key}");
    let (of_now, of_before) = ("`If-Match` names what is there", "`If-Match` names what was there before");
    let not_of_now = "`If-None-Match` names what is there";
    let not_of_before = "`If-None-Match` names what was there before";
    let (key, other) = ("/key/{at}/tagged", "/key/{at}/tagged/too");
    vec![
        row(put, not_of_now, key, "412 precondition_failed").with("if-none-match", "{its tag}"),
        row(put, of_now, key, "200").with("if-match", "{its tag}").body("2"),
        row(put, of_before, key, "412 precondition_failed").with("if-match", "{its tag}"),
        row(post, of_before, key, "412 precondition_failed").with("if-match", "{its tag}"),
        row(delete, of_before, key, "412 precondition_failed").with("if-match", "{its tag}"),
        row(post, not_of_before, key, "200").with("if-none-match", "{its tag}").body("3"),
        row(get, not_of_before, key, "200").with("if-none-match", "{its tag}"),
        row(delete, of_now, other, "200").with("if-match", "{the other's tag}"),
    ]
}

/// Writes with a key, each of which is sent twice.
fn repeated() -> Vec<Row> {
    let (again, keep) = ("the same again, with its `Idempotency-Key`", "POST /leases/{id}/keepalive");
    let (put, delete, of_lease) =
        ("PUT /key/{key}", "DELETE /key/{key}", "/key/{at}/a?lease=00000000000000a1");
    let missing = "/leases/00000000000000a1/keepalive";
    let first = [
        row(put, "with an `Idempotency-Key`", "/key/{at}/once", "200").body("once"),
        row(delete, "with an `Idempotency-Key`", "/key/{at}/once", "200"),
        row(put, "with a lease that is not there", of_lease, "404 lease_not_found").body("once"),
        row(put, "`If-Match: *`, and the key is not there", "/key/{at}/none", "412 precondition_failed")
            .with("if-match", "*"),
        row("POST /txn", "with an `Idempotency-Key`", "/txn", "200").body("{}"),
        row("POST /leases", "with an `Idempotency-Key`", "/leases", "200").body(r#"{"ttl":"30s"}"#),
        row(keep, "it is not there", missing, "404 lease_not_found"),
        row("POST /data.json", "with an `Idempotency-Key`", "/data.json", "200").body("{}"),
    ];
    let keys = ["once 1", "once 2", "once 3", "once 4", "once 5", "once 6", "once 7", "once 8"];
    let mut rows = Vec::new();
    for (row, key) in first.into_iter().zip(keys) {
        let row = row.with("idempotency-key", key);
        rows.extend([row.clone(), Row { situation: again, ..row }.replayed()]);
    }
    rows
}

fn locks() -> Vec<Row> {
    let (lock, unlock) = ("LOCK /key/{key}", "UNLOCK /key/{key}");
    let mut rows = vec![
        row(lock, "the body names nobody", "/key/{at}/l", "400 bad_json").body("{}"),
        row(unlock, "the body names nobody", "/key/{at}/l", "400 bad_json").body("{}"),
        row(lock, "a body above the limit", "/key/l", "413 request_too_large").body("{4001 bytes}"),
        row(unlock, "a body above the limit", "/key/l", "413 request_too_large").body("{4001 bytes}"),
    ];
    for route in
        ["GET /key/{key}", "HEAD /key/{key}", "POST /key/{key}", "PUT /key/{key}", "DELETE /key/{key}"]
    {
        rows.push(row(
            route,
            "`?ID=` of a lock that nobody holds",
            "/key/{at}/l?ID=me",
            "412 precondition_failed",
        ));
    }
    rows.extend([
        row(lock, "nobody holds it", "/key/{at}/l", "200").body(r#"{"ID":"me"}"#),
        row(lock, "whoever takes it says more of itself", "/key/{at}/more", "200")
            .body(r#"{"ID":"me","colour":"red"}"#),
        row(lock, "somebody else holds it", "/key/{at}/l", "423 locked").body(r#"{"ID":"you"}"#),
        row(unlock, "somebody else holds it", "/key/{at}/l", "423 locked").body(r#"{"ID":"you"}"#),
        row("PUT /key/{key}", "`?ID=` of who holds the lock", "/key/{at}/l?ID=me", "200").body("state"),
    ]);
    for route in
        ["GET /key/{key}", "HEAD /key/{key}", "POST /key/{key}", "PUT /key/{key}", "DELETE /key/{key}"]
    {
        rows.push(row(route, "`?ID=`, and another holds the lock", "/key/{at}/l?ID=you", "423 locked"));
    }
    rows.push(row(unlock, "who holds it gives it back", "/key/{at}/l", "200").body(r#"{"ID":"me"}"#));
    rows
}

fn lists() -> Vec<Row> {
    let route = "GET /keys";
    vec![
        row(route, "a prefix", "/keys?prefix={at}/&limit=2", "200"),
        row("HEAD /keys", "all", "/keys", "200"),
        row(route, "from `start` to before `end`", "/keys?start={at}/&end={at}0", "200"),
        row(route, "behind a key (`after`)", "/keys?prefix={at}/&after={at}/a", "200"),
        row(route, "no values (`values=false`)", "/keys?prefix={at}/&values=false", "200"),
        row(route, "at a `revision` that is kept", "/keys?revision={revision}", "200"),
        row(route, "where a `cursor` points", "/keys?cursor={cursor}", "200"),
        row(route, "where a `cursor` points, and a `limit`", "/keys?cursor={cursor}&limit=1", "200"),
        row(route, "a cursor of another range", "/keys?cursor={cursor}&prefix=other", "400 bad_query"),
        row(route, "at a revision that is not reached", "/keys?revision=987654", "400 bad_query"),
        row(route, "a `limit` of 0", "/keys?limit=0", "400 bad_query"),
        row(route, "a prefix and a range", "/keys?prefix=a&end=b", "400 bad_query"),
        row(route, "a cursor that no answer gave", "/keys?cursor=AQ", "400 bad_query"),
        row(route, "a target of more than 16 KiB", "/keys?prefix={40 kB}", "414 uri_too_long"),
    ]
}

fn transactions() -> Vec<Row> {
    let txn = |situation, body, answer| row("POST /txn", situation, "/txn", answer).body(body);
    let put = r#"{"success":[{"put":{"key":"{at}/t","value":"aGk="}},{"get":{"key":"{at}/t"}},{"delete":{"key":"b"}}]}"#;
    let of_lease = r#"{"success":[{"put":{"key":"a","value":"","lease":"00000000000000a1"}}]}"#;
    let twice = r#"{"success":[{"delete":{"key":"a"}},{"delete":{"key":"a"}}]}"#;
    let many = r#"{"success":[{"put":{"key":"a","value":"{900 in base64}"}},{"put":{"key":"b","value":"{900 in base64}"}},{"put":{"key":"c","value":"{900 in base64}"}}]}"#;
    vec![
        txn("reads and writes", put, "200"),
        txn(
            "a comparison that does not hold",
            r#"{"compare":[{"key":"a","target":"version","op":">","value":7}]}"#,
            "200",
        ),
        txn("no JSON", "x", "400 bad_json"),
        txn("a field that there is not", r#"{"sucess":[]}"#, "400 bad_json"),
        txn(
            "an operation with a field that there is not",
            r#"{"success":[{"put":{"key":"a","value":"","colour":"red"}}]}"#,
            "400 bad_json",
        ),
        txn(
            "a comparison with a field that there is not",
            r#"{"compare":[{"key":"a","target":"version","op":"=","value":0,"colour":"red"}]}"#,
            "400 bad_json",
        ),
        txn("128 operations", r#"{"success":[{128 gets}]}"#, "200"),
        txn("129 operations", r#"{"success":[{129 gets}]}"#, "400 bad_json"),
        txn("one key is written twice", twice, "400 duplicate_key"),
        txn("a lease that is not there", of_lease, "404 lease_not_found"),
        txn(
            "a value above the limit",
            r#"{"success":[{"put":{"key":"a","value":"{1002 in base64}"}}]}"#,
            "413 value_too_large",
        ),
        txn("more than the limit, decoded", many, "413 request_too_large"),
        txn("the `Idempotency-Key` was another request's", "{}", "422 idempotency_mismatch")
            .with("idempotency-key", "used {at}"),
    ]
}

fn leases() -> Vec<Row> {
    let again = "the `Idempotency-Key` was another request's";
    let mut rows = vec![
        row("POST /leases", "a time to live", "/leases", "200").body(r#"{"ttl":"30s"}"#),
        row("POST /leases", "half a second to live", "/leases", "400 bad_json").body(r#"{"ttl":"500ms"}"#),
        row("POST /leases", "a field that there is not", "/leases", "400 bad_json")
            .body(r#"{"ttl":"30s","colour":"red"}"#),
        row("POST /leases", "a body above the limit", "/leases", "413 request_too_large")
            .body("{4001 bytes}"),
        row("POST /leases", again, "/leases", "422 idempotency_mismatch")
            .with("idempotency-key", "used {at}")
            .body(r#"{"ttl":"30s"}"#),
        row("GET /leases/{id}", "it lives", "/leases/{lease}", "200"),
        row("HEAD /leases/{id}", "it lives", "/leases/{lease}", "200"),
        row("POST /leases/{id}/keepalive", "it lives", "/leases/{lease}/keepalive", "200"),
        row("DELETE /leases/{id}", "it lives", "/leases/{lease}", "200"),
    ];
    let routes = ["GET /leases/{id}", "HEAD /leases/{id}", "DELETE /leases/{id}"];
    for route in routes {
        rows.push(row(route, "it is not there", "/leases/00000000000000a1", "404 lease_not_found"));
        rows.push(row(route, "it is no lease's name", "/leases/a1", "400 malformed"));
    }
    let (keep, missing) = ("POST /leases/{id}/keepalive", "/leases/00000000000000a1");
    rows.extend([
        row(keep, "it is not there", "/leases/00000000000000a1/keepalive", "404 lease_not_found"),
        row(keep, "it is no lease's name", "/leases/a1/keepalive", "400 malformed"),
        row(keep, again, "/leases/00000000000000a1/keepalive", "422 idempotency_mismatch")
            .with("idempotency-key", "used {at}"),
        row("DELETE /leases/{id}", again, missing, "422 idempotency_mismatch")
            .with("idempotency-key", "used {at}"),
    ]);
    rows
}

fn files() -> Vec<Row> {
    let import = |situation, body, answer| row("POST /data.json", situation, "/data.json", answer).body(body);
    let three = r#"{"YQ==":"{900 in base64}","Yg==":"{900 in base64}","Yw==":"{900 in base64}"}"#;
    let (backup, tagged) = ("GET /backup", ("if-match", "{tag}"));
    vec![
        import("keys and values", r#"{"YQ==":"Yg=="}"#, "200"),
        import("an entry that can't be decoded", r#"{"YQ==":"?"}"#, "400 bad_json"),
        import("a value above the limit", r#"{"YQ==":"{1002 in base64}"}"#, "413 value_too_large"),
        import("more than the limit, decoded", three, "413 request_too_large"),
        import(
            "the `Idempotency-Key` was another request's",
            r#"{"YQ==":"Yg=="}"#,
            "422 idempotency_mismatch",
        )
        .with("idempotency-key", "used {at}"),
        row("GET /data.json", "all keys and values", "/data.json", "200"),
        row("HEAD /data.json", "all keys and values", "/data.json", "200"),
        row("POST /raft/snapshot", "a checkpoint of now", "/raft/snapshot", "200"),
        row("GET /debug/recording", "what this node was given lately", "/debug/recording", "200"),
        row("HEAD /debug/recording", "what this node was given lately", "/debug/recording", "200"),
        row(backup, "a backup of now", "/backup", "200"),
        row("HEAD /backup", "a backup of now", "/backup", "200"),
        row(backup, "a range of one that is kept", "/backup", "206")
            .with(tagged.0, tagged.1)
            .with("range", "bytes=0-9"),
        row(backup, "one that is not kept", "/backup", "412 precondition_failed")
            .with("if-match", "\"000000000000000000000000000000a1\""),
        row("HEAD /backup", "one that is not kept", "/backup", "412 precondition_failed")
            .with("if-match", "\"000000000000000000000000000000a1\""),
        row(backup, "a range behind its end", "/backup", "416 range_not_satisfiable")
            .with(tagged.0, tagged.1)
            .with("range", "bytes=999999999-"),
    ]
}

fn watches() -> Vec<Row> {
    let mut rows = vec![
        row("GET /watch", "what was seen is of another history", "/watch?prefix=", "200")
            .with("quorate-history", "{stranger}")
            .event("reset"),
        row(
            "GET /watch",
            "`from` a revision on that is kept",
            "/watch?key={at}/tagged&from={revision}",
            "200",
        )
        .event("put"),
        row("GET /watch", "behind the event that `Last-Event-ID` names", "/watch?prefix={at}/tagged", "200")
            .with("last-event-id", "{revision}-0")
            .event("put"),
        row("GET /watch", "only deletes, `from` a revision on", "/watch?prefix=&events=delete&from=1", "200")
            .event("delete"),
        row("HEAD /watch", "a prefix", "/watch?prefix=", "200"),
    ];
    for route in ["GET /watch", "HEAD /watch"] {
        rows.extend([
            row(route, "neither `key` nor `prefix`", "/watch", "400 bad_query"),
            row(route, "an empty key", "/watch?key=", "400 key_empty"),
            row(route, "a key of 4,097 bytes", "/watch?key={4097 bytes}", "414 key_too_long"),
            row(route, "`Last-Event-ID` is none", "/watch?key=a", "400 malformed").with("last-event-id", "7"),
        ]);
    }
    rows
}

fn nodes() -> Vec<Row> {
    let mut rows = Vec::new();
    let routes = [
        ("GET /", "HEAD /", "/"),
        ("GET /livez", "HEAD /livez", "/livez"),
        ("GET /readyz", "HEAD /readyz", "/readyz"),
        ("GET /version", "HEAD /version", "/version"),
        ("GET /openapi.json", "HEAD /openapi.json", "/openapi.json"),
        ("GET /metrics", "HEAD /metrics", "/metrics"),
        ("GET /raft/status", "HEAD /raft/status", "/raft/status"),
        ("GET /raft/members", "HEAD /raft/members", "/raft/members"),
        ("GET /raft/checkpoints", "HEAD /raft/checkpoints", "/raft/checkpoints"),
    ];
    for (get, head, target) in routes {
        rows.push(row(get, "all is well", target, "200"));
        rows.push(row(head, "all is well", target, "200"));
    }
    rows.extend([
        row("GET /", "a browser asks (`Accept: text/html`)", "/", "200").with("accept", BROWSER),
        row("HEAD /", "a browser asks (`Accept: text/html`)", "/", "200").with("accept", BROWSER),
        row("GET /", "a browser asks, and has the page", "/", "304")
            .with("accept", BROWSER)
            .with("if-none-match", "*"),
        row("HEAD /", "a browser asks, and has the page", "/", "304")
            .with("accept", BROWSER)
            .with("if-none-match", "*"),
        row("GET /readyz", "in detail", "/readyz?verbose", "200"),
        row("GET /raft/status", "in detail", "/raft/status?verbose", "200"),
        row("GET /raft/status", "as events (`Accept: text/event-stream`)", "/raft/status", "200")
            .with("accept", "text/event-stream")
            .event("overview"),
        row("HEAD /raft/status", "as events (`Accept: text/event-stream`)", "/raft/status", "200")
            .with("accept", "text/event-stream"),
        row("GET /nowhere", "there is no such route", "/nowhere", "404 route_not_found"),
        row("PATCH /key/{key}", "the route has no such method", "/key/a", "405 method_not_allowed"),
        row("POST /livez", "the route has no such method", "/livez", "405 method_not_allowed"),
        row("GET /raft/checkpoints/{name}", "it is there", "/raft/checkpoints/{checkpoint}", "200"),
        row("HEAD /raft/checkpoints/{name}", "it is there", "/raft/checkpoints/{checkpoint}", "200"),
    ]);
    let lent = [
        ("GET /raft/checkpoints/{name}", "/raft/checkpoints/00000000000000ff-0000000000000002"),
        ("HEAD /raft/checkpoints/{name}", "/raft/checkpoints/00000000000000ff-0000000000000002"),
        ("GET /raft/runs/{digest}", "/raft/runs/{digest}"),
        ("HEAD /raft/runs/{digest}", "/raft/runs/{digest}"),
        ("GET /raft/runs/{digest}/{first}", "/raft/runs/{digest}/0"),
        ("HEAD /raft/runs/{digest}/{first}", "/raft/runs/{digest}/0"),
    ];
    for (route, target) in lent {
        rows.push(row(route, "this node does not have it", target, "404 not_lent"));
    }
    let names = [
        ("GET /raft/checkpoints/{name}", "/raft/checkpoints/x"),
        ("HEAD /raft/checkpoints/{name}", "/raft/checkpoints/x"),
        ("GET /raft/runs/{digest}", "/raft/runs/x"),
        ("HEAD /raft/runs/{digest}", "/raft/runs/x"),
        ("GET /raft/runs/{digest}/{first}", "/raft/runs/{digest}/x"),
        ("HEAD /raft/runs/{digest}/{first}", "/raft/runs/{digest}/x"),
    ];
    for (route, target) in names {
        rows.push(row(route, "it can be no piece's name", target, "404 route_not_found"));
    }
    rows
}

fn members() -> Vec<Row> {
    let add = |situation, body, answer| {
        row("POST /raft/add", situation, "/raft/add?timeout=20s", answer).body(body)
    };
    let mut rows = vec![
        add("a member again, where it is", r#"{"ID":"{own}","Address":"{own address}"}"#, "200"),
        add(
            "an address that can't be dialled",
            r#"{"ID":"{stranger}","Address":"0.0.0.0:1"}"#,
            "400 bad_json",
        ),
        add(
            "`Replaces` names no member",
            r#"{"ID":"{stranger}","Address":"{nobody}","Replaces":"{another stranger}"}"#,
            "404 member_not_found",
        ),
        add(
            "the address of a member",
            r#"{"ID":"{stranger}","Address":"{own address}"}"#,
            "409 address_in_use",
        ),
        add("nobody answers there", r#"{"ID":"{stranger}","Address":"{nobody}"}"#, "409 address_unreachable"),
        row("POST /raft/join-tokens", "to live for longer than 30 days", "/raft/join-tokens", "400 bad_json")
            .body(r#"{"ttl":"31d"}"#),
        row("POST /raft/promote", "it votes already", "/raft/promote", "200").body(r#"{"ID":"{own}"}"#),
        row("POST /raft/members", "so it is already", "/raft/members", "200").body(r#"{"voters":[{all}]}"#),
        row("POST /raft/members", "nobody is to vote", "/raft/members", "409 would_lose_quorum")
            .body(r#"{"voters":[]}"#),
        row("POST /raft/members", "a voter who is no member", "/raft/members", "404 member_not_found")
            .body(r#"{"voters":[{all},"{stranger}"]}"#),
        row("POST /raft/transfer", "it leads already", "/raft/transfer", "200").body(r#"{"ID":"{leader}"}"#),
    ];
    for (route, target) in [
        ("POST /raft/promote", "/raft/promote"),
        ("POST /raft/remove", "/raft/remove"),
        ("POST /raft/transfer", "/raft/transfer"),
    ] {
        rows.push(row(route, "no member", target, "404 member_not_found").body(r#"{"ID":"{stranger}"}"#));
    }
    for (route, target) in [
        ("POST /raft/add", "/raft/add"),
        ("POST /raft/join-tokens", "/raft/join-tokens"),
        ("POST /raft/promote", "/raft/promote"),
        ("POST /raft/remove", "/raft/remove"),
        ("POST /raft/transfer", "/raft/transfer"),
        ("POST /raft/members", "/raft/members"),
    ] {
        rows.push(row(route, "no JSON", target, "400 bad_json").body("x"));
        rows.push(row(route, "a field that there is not", target, "400 bad_json").body(match route {
            "POST /raft/add" => r#"{"ID":"{own}","Address":"{own address}","colour":"red"}"#,
            "POST /raft/members" => r#"{"voters":[{all}],"colour":"red"}"#,
            "POST /raft/join-tokens" => r#"{"ttl":"1h","colour":"red"}"#,
            _ => r#"{"ID":"{own}","colour":"red"}"#,
        }));
        rows.push(row(route, "a body above the limit", target, "413 request_too_large").body("{4001 bytes}"));
    }
    rows
}

/// A node that comes and goes, and leadership that goes elsewhere: nothing may be behind these.
fn comings_and_goings() -> Vec<Row> {
    let newcomer = r#"{"ID":"{newcomer}"}"#;
    vec![
        row("POST /raft/add", "a new node, to stay a learner", "/raft/add", "200")
            .body(r#"{"ID":"{newcomer}","Address":"{newcomer's address}","Role":"learner"}"#),
        row("POST /raft/promote", "a learner that has not caught up", "/raft/promote", "409 not_caught_up")
            .body(newcomer),
        row("POST /raft/remove", "a member, here a learner", "/raft/remove", "200").body(newcomer),
        row("POST /raft/transfer", "to whoever is best", "/raft/transfer", "200").body("{}"),
    ]
}
