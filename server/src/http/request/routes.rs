//! Which path and method mean what: the table of routes.
//!
//! A `match` on a dozen fixed paths and one prefix needs no router: a key is the raw rest of the path, which routers
//! would split and decode.

use hyper::Method;

use quorate_storage::lending::Wanted;

use super::ApiError;
use super::query::Parameter;
use crate::http::lending::wanted;

/// What method and path ask for. Keys are as they stand in the path, still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route<'a> {
    /// `GET /`
    Hello,
    /// `GET /key/{key}`
    Get(&'a str),
    /// `POST` or `PUT /key/{key}`
    Put(&'a str),
    /// `DELETE /key/{key}`
    Delete(&'a str),
    /// `LOCK /key/{key}`
    Lock(&'a str),
    /// `UNLOCK /key/{key}`
    Unlock(&'a str),
    /// `GET /keys`
    List,
    /// `POST /txn`
    Txn,
    /// `POST /leases`
    Grant,
    /// `GET /leases/{id}`
    Lease(&'a str),
    /// `POST /leases/{id}/keepalive`
    KeepAlive(&'a str),
    /// `DELETE /leases/{id}`
    Revoke(&'a str),
    /// `GET /data.json`
    Export,
    /// `POST /data.json`
    Import,
    /// `GET /backup`
    Backup,
    /// `GET /watch`
    Watch,
    /// `GET /livez`
    Livez,
    /// `GET /readyz`
    Readyz,
    /// `GET /version`
    Version,
    /// `GET /raft/status`
    Status,
    /// `GET /raft/members`
    Members,
    /// `POST /raft/members`
    SetMembers,
    /// `POST /raft/add`
    Add,
    /// `POST /raft/promote`
    Promote,
    /// `POST /raft/remove`
    Remove,
    /// `POST /raft/transfer`
    Transfer,
    /// `POST /raft/snapshot`
    Snapshot,
    /// `GET /raft/checkpoints…`, `GET /raft/runs/…`
    Lend(Wanted),
}

/// Finds what `method` on `path` asks for.
///
/// # Errors
/// `route_not_found`, `method_not_allowed`.
pub(super) fn find<'a>(method: &Method, path: &'a str) -> Result<Route<'a>, ApiError> {
    let read = |call| (method == Method::GET || method == Method::HEAD).then_some(call);
    let post = |call| (method == Method::POST).then_some(call);
    let put = |call| (method == Method::POST || method == Method::PUT).then_some(call);
    let delete = |call| (method == Method::DELETE).then_some(call);
    let locking = |name, call| (method.as_str() == name).then_some(call);

    let (call, allow) = match path {
        "/" => (read(Route::Hello), "GET, HEAD"),
        "/backup" => (read(Route::Backup), "GET, HEAD"),
        "/watch" => (read(Route::Watch), "GET, HEAD"),
        "/livez" => (read(Route::Livez), "GET, HEAD"),
        "/readyz" => (read(Route::Readyz), "GET, HEAD"),
        "/version" => (read(Route::Version), "GET, HEAD"),
        "/raft/status" => (read(Route::Status), "GET, HEAD"),
        "/raft/members" => (read(Route::Members).or(post(Route::SetMembers)), "GET, HEAD, POST"),
        "/raft/add" => (post(Route::Add), "POST"),
        "/raft/promote" => (post(Route::Promote), "POST"),
        "/raft/remove" => (post(Route::Remove), "POST"),
        "/raft/transfer" => (post(Route::Transfer), "POST"),
        "/raft/snapshot" => (post(Route::Snapshot), "POST"),
        "/data.json" => (read(Route::Export).or(post(Route::Import)), "GET, HEAD, POST"),
        "/keys" => (read(Route::List), "GET, HEAD"),
        "/txn" => (post(Route::Txn), "POST"),
        "/leases" => (post(Route::Grant), "POST"),
        _ => {
            if let Some(key) = path.strip_prefix("/key/") {
                let call = read(Route::Get(key)).or(put(Route::Put(key))).or(delete(Route::Delete(key)));
                let call =
                    call.or(locking("LOCK", Route::Lock(key))).or(locking("UNLOCK", Route::Unlock(key)));
                (call, "GET, HEAD, POST, PUT, DELETE, LOCK, UNLOCK")
            } else if let Some(rest) = path.strip_prefix("/leases/") {
                match rest.strip_suffix("/keepalive") {
                    Some(lease) => (post(Route::KeepAlive(lease)), "POST"),
                    None => (read(Route::Lease(rest)).or(delete(Route::Revoke(rest))), "GET, HEAD, DELETE"),
                }
            } else if let Some(wanted) = wanted(path) {
                (read(Route::Lend(wanted)), "GET, HEAD")
            } else {
                return Err(ApiError::RouteNotFound(path.to_owned()));
            }
        }
    };
    call.ok_or_else(|| ApiError::MethodNotAllowed {
        method: method.to_string(),
        path: path.to_owned(),
        allow,
    })
}

impl Route<'_> {
    /// The query parameters that go with it.
    pub(super) fn parameters(&self) -> &'static [Parameter] {
        use Parameter::{
            After, Consistency, Cursor, End, Holder, Lease, Limit, Prefix, Revision, Start, Timeout, Ttl,
            Values, Verbose, Wait,
        };
        match self {
            Route::Hello | Route::Livez | Route::Version | Route::Status | Route::Lend(_) => &[],
            // It reads its query itself.
            Route::Watch => &[],
            Route::Readyz => &[Verbose],
            Route::Get(_) => &[Timeout, Consistency, Revision, Holder],
            Route::Put(_) => &[Timeout, Ttl, Lease, Holder],
            Route::Delete(_) => &[Timeout, Holder],
            Route::List => {
                &[Timeout, Consistency, Prefix, Start, End, After, Limit, Values, Revision, Cursor]
            }
            Route::Members | Route::Export | Route::Backup | Route::Lease(_) => &[Timeout, Consistency],
            Route::Add => &[Timeout, Wait],
            Route::Txn | Route::Grant | Route::KeepAlive(_) | Route::Revoke(_) => &[Timeout],
            Route::Lock(_) | Route::Unlock(_) | Route::Import | Route::Snapshot => &[Timeout],
            Route::SetMembers | Route::Promote | Route::Remove | Route::Transfer => &[Timeout],
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
            ("GET", "/", Route::Hello),
            ("HEAD", "/", Route::Hello),
            ("GET", "/key/a", Route::Get("a")),
            ("HEAD", "/key/a", Route::Get("a")),
            ("POST", "/key/a", Route::Put("a")),
            ("PUT", "/key/a", Route::Put("a")),
            ("DELETE", "/key/a", Route::Delete("a")),
            ("GET", "/key/", Route::Get("")),
            ("GET", "/key//", Route::Get("/")),
            ("GET", "/key/a/b%2F..//", Route::Get("a/b%2F..//")),
            ("LOCK", "/key/a/b", Route::Lock("a/b")),
            ("UNLOCK", "/key/a", Route::Unlock("a")),
            ("GET", "/keys", Route::List),
            ("POST", "/txn", Route::Txn),
            ("POST", "/leases", Route::Grant),
            ("GET", "/leases/00000000000000a1", Route::Lease("00000000000000a1")),
            ("POST", "/leases/a1/keepalive", Route::KeepAlive("a1")),
            ("DELETE", "/leases/a1", Route::Revoke("a1")),
            ("GET", "/data.json", Route::Export),
            ("POST", "/data.json", Route::Import),
            ("GET", "/backup", Route::Backup),
            ("HEAD", "/backup", Route::Backup),
            ("GET", "/watch", Route::Watch),
            ("GET", "/livez", Route::Livez),
            ("GET", "/readyz", Route::Readyz),
            ("GET", "/version", Route::Version),
            ("GET", "/raft/status", Route::Status),
            ("GET", "/raft/members", Route::Members),
            ("POST", "/raft/members", Route::SetMembers),
            ("POST", "/raft/add", Route::Add),
            ("POST", "/raft/promote", Route::Promote),
            ("POST", "/raft/remove", Route::Remove),
            ("POST", "/raft/transfer", Route::Transfer),
            ("POST", "/raft/snapshot", Route::Snapshot),
            ("GET", "/raft/checkpoints", Route::Lend(Wanted::List)),
        ];
        for (method, path, call) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(find(&method, path).unwrap(), call, "{method} {path}");
        }
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in
            ["", "*", "/key", "/keys/", "/txn/", "/Key/a", "//", "/livez/", "/raft", "/raft/", "/index.html"]
        {
            assert_eq!(find(&Method::GET, path), Err(ApiError::RouteNotFound(path.to_owned())));
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
            match find(&method, path) {
                Err(ApiError::MethodNotAllowed { allow, .. }) => assert_eq!(allow, expected),
                other => panic!("{method} {path} gave {other:?}"),
            }
        }
    }
}
