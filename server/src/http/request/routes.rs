//! Which path and method mean what: the table of routes.
//!
//! Two dozen paths, of which most are fixed, need no router: a key is the raw rest of the path, which routers would
//! split and decode. `crate::http::openapi` describes each row.

use hyper::Method;
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};

use super::ApiError;
use super::query::Parameter;
use crate::http::headers::IDEMPOTENCY_KEY;
use crate::http::lending::wanted;
use crate::tokens::Role;

/// What a request has to show, where tokens are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Nothing, unless somebody wants it so; then a token of this role.
    Probe(Role),
    /// A token of this role, or of a higher one.
    Role(Role),
    /// The same, but nothing of a browser, which is shown the page.
    RoleOrPage(Role),
    /// The same, or the certificate of a peer: nodes ask each other for this.
    RoleOrNode(Role),
    /// The same, or a join token.
    Join(Role),
}

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Hello,
    Get,
    Put,
    Delete,
    Lock,
    Unlock,
    List,
    Txn,
    Grant,
    Lease,
    KeepAlive,
    Revoke,
    Export,
    Import,
    Backup,
    Watch,
    Livez,
    Readyz,
    Version,
    OpenApi,
    Metrics,
    Status,
    Members,
    SetMembers,
    Add,
    MakeJoinToken,
    Promote,
    Remove,
    Transfer,
    Snapshot,
    Record,
    /// What peers are lent of checkpoints.
    Lend,
}

/// A path with its methods.
#[derive(Debug)]
pub(crate) struct Path {
    /// With `{…}` for what varies; at its end that is the whole rest of a path.
    pub(crate) template: &'static str,
    /// Each with what it asks for. `HEAD` goes with `GET`.
    pub(crate) methods: &'static [(&'static str, Operation)],
}

/// A request's operation, and what stands in its path for the `{…}`, still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route<'a> {
    pub(crate) operation: Operation,
    pub(super) named: &'a str,
}

/// Every route there is. The first path that fits counts.
pub(crate) const PATHS: [Path; 28] = {
    use Operation::{
        Add, Backup, Delete, Export, Get, Grant, Hello, Import, KeepAlive, Lease, Lend, List, Livez, Lock,
        MakeJoinToken, Members, Metrics, OpenApi, Promote, Put, Readyz, Record, Remove, Revoke, SetMembers,
        Snapshot, Status, Transfer, Txn, Unlock, Version, Watch,
    };
    [
        path(
            "/key/{key}",
            &[
                ("GET", Get),
                ("POST", Put),
                ("PUT", Put),
                ("DELETE", Delete),
                ("LOCK", Lock),
                ("UNLOCK", Unlock),
            ],
        ),
        path("/keys", &[("GET", List)]),
        path("/txn", &[("POST", Txn)]),
        path("/leases", &[("POST", Grant)]),
        path("/leases/{id}/keepalive", &[("POST", KeepAlive)]),
        path("/leases/{id}", &[("GET", Lease), ("DELETE", Revoke)]),
        path("/watch", &[("GET", Watch)]),
        path("/data.json", &[("GET", Export), ("POST", Import)]),
        path("/backup", &[("GET", Backup)]),
        path("/", &[("GET", Hello)]),
        path("/livez", &[("GET", Livez)]),
        path("/readyz", &[("GET", Readyz)]),
        path("/version", &[("GET", Version)]),
        path("/openapi.json", &[("GET", OpenApi)]),
        path("/metrics", &[("GET", Metrics)]),
        path("/debug/recording", &[("GET", Record)]),
        path("/raft/status", &[("GET", Status)]),
        path("/raft/members", &[("GET", Members), ("POST", SetMembers)]),
        path("/raft/add", &[("POST", Add)]),
        path("/raft/join-tokens", &[("POST", MakeJoinToken)]),
        path("/raft/promote", &[("POST", Promote)]),
        path("/raft/remove", &[("POST", Remove)]),
        path("/raft/transfer", &[("POST", Transfer)]),
        path("/raft/snapshot", &[("POST", Snapshot)]),
        path("/raft/checkpoints", &[("GET", Lend)]),
        path("/raft/checkpoints/{name}", &[("GET", Lend)]),
        path("/raft/runs/{digest}", &[("GET", Lend)]),
        path("/raft/runs/{digest}/{first}", &[("GET", Lend)]),
    ]
};

const fn path(template: &'static str, methods: &'static [(&'static str, Operation)]) -> Path {
    Path { template, methods }
}

/// Finds what `method` on `path` asks for.
///
/// # Errors
/// `route_not_found`, `method_not_allowed`.
pub(crate) fn route_of<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, ApiError> {
    let found = PATHS.iter().find_map(|row| Some((row, named(row.template, path)?)));
    let is_there =
        found.is_some_and(|(row, _)| row.methods[0].1 != Operation::Lend || wanted(path).is_some());
    let Some((row, named)) = found.filter(|_| is_there) else {
        return Err(ApiError::RouteNotFound(path.to_owned()));
    };
    let sought = if method == Method::HEAD { "GET" } else { method.as_str() };
    match row.methods.iter().find(|(name, _)| *name == sought) {
        Some((_, operation)) => Ok(Route { operation: *operation, named }),
        None => Err(ApiError::MethodNotAllowed {
            method: method.to_string(),
            path: path.to_owned(),
            allow: row.allow(),
        }),
    }
}

/// The template that a path is of, which names no key.
#[cfg(feature = "otel")]
pub(crate) fn template_of(path: &str) -> Option<&'static str> {
    PATHS.iter().map(|row| row.template).find(|template| named(template, path).is_some())
}

/// What stands in the path for the first `{…}` of a template, if the path is of that form.
fn named<'a>(template: &str, path: &'a str) -> Option<&'a str> {
    let Some((before, rest)) = template.split_once('{') else {
        return (template == path).then_some("");
    };
    let (_, after) = rest.split_once('}')?;
    let named = path.strip_prefix(before)?;
    if after.contains('{') { Some(named) } else { named.strip_suffix(after) }
}

impl Path {
    /// The methods that it has, as in `Allow`.
    pub(crate) fn allow(&self) -> String {
        let mut allowed = Vec::new();
        for (name, _) in self.methods {
            allowed.push(*name);
            if *name == "GET" {
                allowed.push("HEAD");
            }
        }
        allowed.join(", ")
    }
}

impl Operation {
    /// All there are, in the order of the type.
    pub(crate) const ALL: [Operation; 32] = {
        use Operation as Of;
        [
            Of::Hello,
            Of::Get,
            Of::Put,
            Of::Delete,
            Of::Lock,
            Of::Unlock,
            Of::List,
            Of::Txn,
            Of::Grant,
            Of::Lease,
            Of::KeepAlive,
            Of::Revoke,
            Of::Export,
            Of::Import,
            Of::Backup,
            Of::Watch,
            Of::Livez,
            Of::Readyz,
            Of::Version,
            Of::OpenApi,
            Of::Metrics,
            Of::Status,
            Of::Members,
            Of::SetMembers,
            Of::Add,
            Of::MakeJoinToken,
            Of::Promote,
            Of::Remove,
            Of::Transfer,
            Of::Snapshot,
            Of::Record,
            Of::Lend,
        ]
    };

    /// What metrics call it.
    pub(crate) fn name(self) -> &'static str {
        use Operation as Of;
        match self {
            Of::Hello => "hello",
            Of::Get => "get",
            Of::Put => "put",
            Of::Delete => "delete",
            Of::Lock => "lock",
            Of::Unlock => "unlock",
            Of::List => "list",
            Of::Txn => "txn",
            Of::Grant => "lease_grant",
            Of::Lease => "lease_get",
            Of::KeepAlive => "lease_keepalive",
            Of::Revoke => "lease_revoke",
            Of::Export => "export",
            Of::Import => "import",
            Of::Backup => "backup",
            Of::Watch => "watch",
            Of::Livez => "livez",
            Of::Readyz => "readyz",
            Of::Version => "version",
            Of::OpenApi => "openapi",
            Of::Metrics => "metrics",
            Of::Status => "status",
            Of::Members => "members",
            Of::SetMembers => "members_set",
            Of::Add => "member_add",
            Of::MakeJoinToken => "join_token",
            Of::Promote => "member_promote",
            Of::Remove => "member_remove",
            Of::Transfer => "transfer",
            Of::Snapshot => "snapshot",
            Of::Record => "recording",
            Of::Lend => "lend",
        }
    }

    /// Whether one of the headers that make conditions and promises means something here. A read may have others than
    /// `If-Match` without taking them: then they change nothing.
    pub(crate) fn takes(self, name: &HeaderName) -> bool {
        use Operation as Of;
        let is_key_write = matches!(self, Of::Put | Of::Delete);
        if *name == IF_MATCH {
            is_key_write || self == Of::Backup
        } else if *name == IF_NONE_MATCH {
            is_key_write || matches!(self, Of::Get | Of::Backup | Of::Hello)
        } else if *name == IDEMPOTENCY_KEY {
            is_key_write || matches!(self, Of::Txn | Of::Import | Of::Grant | Of::KeepAlive | Of::Revoke)
        } else {
            false
        }
    }

    /// What whoever asks for it has to show. Which keys it reaches is another question: [`Call::reach`](super::Call).
    pub(crate) fn need(self) -> Need {
        use Operation as Of;
        match self {
            Of::Livez | Of::Readyz => Need::Probe(Role::Read),
            Of::Hello => Need::RoleOrPage(Role::Read),
            Of::Version | Of::OpenApi | Of::Metrics => Need::Role(Role::Read),
            Of::Get | Of::List | Of::Watch | Of::Lease | Of::Export | Of::Backup => Need::Role(Role::Read),
            Of::Put | Of::Delete | Of::Lock | Of::Unlock | Of::Txn | Of::Import => Need::Role(Role::Write),
            Of::Grant | Of::KeepAlive | Of::Revoke => Need::Role(Role::Write),
            Of::Members => Need::Role(Role::Read),
            Of::Status => Need::RoleOrNode(Role::Read),
            Of::SetMembers | Of::Promote | Of::Remove | Of::Transfer | Of::Record => Need::Role(Role::Admin),
            Of::MakeJoinToken => Need::Role(Role::Admin),
            Of::Add => Need::Join(Role::Admin),
            Of::Snapshot | Of::Lend => Need::RoleOrNode(Role::Admin),
        }
    }

    /// The query parameters that go with it.
    pub(crate) fn parameters(self) -> &'static [Parameter] {
        use Operation as Of;
        use Parameter::{
            After, Consistency, Cursor, End, Events, From, Holder, Key, Lease, Limit, Prefix, Previous,
            Revision, Start, Timeout, Ttl, Values, Verbose, Wait,
        };
        match self {
            Of::Hello | Of::Livez | Of::Version | Of::OpenApi | Of::Metrics => &[],
            Of::Record | Of::Lend => &[],
            Of::Watch => &[Timeout, Key, Prefix, From, Events, Previous],
            Of::Readyz | Of::Status => &[Verbose],
            Of::Get => &[Timeout, Consistency, Revision, Holder],
            Of::Put => &[Timeout, Ttl, Lease, Holder],
            Of::Delete => &[Timeout, Holder],
            Of::List => &[Timeout, Consistency, Prefix, Start, End, After, Limit, Values, Revision, Cursor],
            Of::Members | Of::Export | Of::Backup | Of::Lease => &[Timeout, Consistency],
            Of::Add => &[Timeout, Wait],
            Of::Txn | Of::Grant | Of::KeepAlive | Of::Revoke => &[Timeout],
            Of::Lock | Of::Unlock | Of::Import | Of::Snapshot => &[Timeout],
            Of::SetMembers | Of::Promote | Of::Remove | Of::Transfer | Of::MakeJoinToken => &[Timeout],
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn every_route_is_found_by_its_methods() {
        let cases = [
            ("GET", "/", Operation::Hello, ""),
            ("HEAD", "/", Operation::Hello, ""),
            ("GET", "/key/a", Operation::Get, "a"),
            ("HEAD", "/key/a", Operation::Get, "a"),
            ("POST", "/key/a", Operation::Put, "a"),
            ("PUT", "/key/a", Operation::Put, "a"),
            ("DELETE", "/key/a", Operation::Delete, "a"),
            ("GET", "/key/", Operation::Get, ""),
            ("GET", "/key//", Operation::Get, "/"),
            ("GET", "/key/a/b%2F..//", Operation::Get, "a/b%2F..//"),
            ("LOCK", "/key/a/b", Operation::Lock, "a/b"),
            ("UNLOCK", "/key/a", Operation::Unlock, "a"),
            ("GET", "/keys", Operation::List, ""),
            ("POST", "/txn", Operation::Txn, ""),
            ("POST", "/leases", Operation::Grant, ""),
            ("GET", "/leases/00000000000000a1", Operation::Lease, "00000000000000a1"),
            ("POST", "/leases/a1/keepalive", Operation::KeepAlive, "a1"),
            ("DELETE", "/leases/a1", Operation::Revoke, "a1"),
            ("GET", "/data.json", Operation::Export, ""),
            ("POST", "/data.json", Operation::Import, ""),
            ("GET", "/backup", Operation::Backup, ""),
            ("HEAD", "/backup", Operation::Backup, ""),
            ("GET", "/watch", Operation::Watch, ""),
            ("GET", "/livez", Operation::Livez, ""),
            ("GET", "/readyz", Operation::Readyz, ""),
            ("GET", "/version", Operation::Version, ""),
            ("GET", "/openapi.json", Operation::OpenApi, ""),
            ("GET", "/metrics", Operation::Metrics, ""),
            ("GET", "/debug/recording", Operation::Record, ""),
            ("GET", "/raft/status", Operation::Status, ""),
            ("GET", "/raft/members", Operation::Members, ""),
            ("POST", "/raft/members", Operation::SetMembers, ""),
            ("POST", "/raft/add", Operation::Add, ""),
            ("POST", "/raft/join-tokens", Operation::MakeJoinToken, ""),
            ("POST", "/raft/promote", Operation::Promote, ""),
            ("POST", "/raft/remove", Operation::Remove, ""),
            ("POST", "/raft/transfer", Operation::Transfer, ""),
            ("POST", "/raft/snapshot", Operation::Snapshot, ""),
            ("GET", "/raft/checkpoints", Operation::Lend, ""),
        ];
        for (method, path, operation, named) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(route_of(&method, path).unwrap(), Route { operation, named }, "{method} {path}");
        }
    }

    #[test]
    fn each_operation_has_its_place_and_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = Operation::ALL.map(Operation::name).into();
        assert_eq!(names.len(), Operation::ALL.len());
        for (place, operation) in Operation::ALL.into_iter().enumerate() {
            assert_eq!(operation as usize, place, "{operation:?}");
        }
        let routed = PATHS.iter().flat_map(|path| path.methods).map(|(_, operation)| *operation as usize);
        assert_eq!(routed.max(), Some(Operation::ALL.len() - 1));
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in
            ["", "*", "/key", "/keys/", "/txn/", "/Key/a", "//", "/livez/", "/raft", "/raft/", "/index.html"]
        {
            assert_eq!(route_of(&Method::GET, path), Err(ApiError::RouteNotFound(path.to_owned())));
        }
    }

    #[test]
    fn other_methods_are_told_which_are_allowed() {
        let cases = [
            ("POST", "/", "GET, HEAD"),
            ("PATCH", "/key/a", "GET, HEAD, POST, PUT, DELETE, LOCK, UNLOCK"),
            ("OPTIONS", "/key/a", "GET, HEAD, POST, PUT, DELETE, LOCK, UNLOCK"),
            ("get", "/livez", "GET, HEAD"),
            ("GET", "/raft/add", "POST"),
            ("PUT", "/raft/members", "GET, HEAD, POST"),
            ("PUT", "/data.json", "GET, HEAD, POST"),
            ("lock", "/key/a", "GET, HEAD, POST, PUT, DELETE, LOCK, UNLOCK"),
            ("POST", "/keys", "GET, HEAD"),
            ("PUT", "/leases/a1", "GET, HEAD, DELETE"),
            ("GET", "/leases/a1/keepalive", "POST"),
        ];
        for (method, path, expected) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            match route_of(&method, path) {
                Err(ApiError::MethodNotAllowed { allow, .. }) => assert_eq!(allow, expected),
                other => panic!("{method} {path} gave {other:?}"),
            }
        }
    }
}
