//! Which path and method mean what: the table of routes.
//!
//! A `match` on a dozen fixed paths and one prefix needs no router: a key is the raw rest of the path, which routers
//! would split and decode.

use hyper::Method;

use quorate_storage::lending::Wanted;

use super::error::ApiError;
use super::lending::wanted;
use super::query::Parameter;

/// What a request asks for. Keys are as they stand in the path, still percent-encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call<'a> {
    /// `GET /`
    Hello,
    /// `GET /key/{key}`
    Get(&'a str),
    /// `POST` or `PUT /key/{key}`
    Put(&'a str),
    /// `DELETE /key/{key}`
    Delete(&'a str),
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
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Result<Call<'a>, ApiError> {
    let read = |call| (method == Method::GET || method == Method::HEAD).then_some(call);
    let post = |call| (method == Method::POST).then_some(call);
    let put = |call| (method == Method::POST || method == Method::PUT).then_some(call);
    let delete = |call| (method == Method::DELETE).then_some(call);

    let (call, allow) = match path {
        "/" => (read(Call::Hello), "GET, HEAD"),
        "/backup" => (read(Call::Backup), "GET, HEAD"),
        "/watch" => (read(Call::Watch), "GET, HEAD"),
        "/livez" => (read(Call::Livez), "GET, HEAD"),
        "/readyz" => (read(Call::Readyz), "GET, HEAD"),
        "/version" => (read(Call::Version), "GET, HEAD"),
        "/raft/status" => (read(Call::Status), "GET, HEAD"),
        "/raft/members" => (read(Call::Members).or(post(Call::SetMembers)), "GET, HEAD, POST"),
        "/raft/add" => (post(Call::Add), "POST"),
        "/raft/promote" => (post(Call::Promote), "POST"),
        "/raft/remove" => (post(Call::Remove), "POST"),
        "/raft/transfer" => (post(Call::Transfer), "POST"),
        "/raft/snapshot" => (post(Call::Snapshot), "POST"),
        "/data.json" => (read(Call::Export).or(post(Call::Import)), "GET, HEAD, POST"),
        _ => {
            if let Some(key) = path.strip_prefix("/key/") {
                let call = read(Call::Get(key)).or(put(Call::Put(key))).or(delete(Call::Delete(key)));
                (call, "GET, HEAD, POST, PUT, DELETE")
            } else if let Some(wanted) = wanted(path) {
                (read(Call::Lend(wanted)), "GET, HEAD")
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

impl Call<'_> {
    /// The query parameters that go with it.
    pub(crate) fn parameters(&self) -> &'static [Parameter] {
        match self {
            Call::Hello | Call::Livez | Call::Version | Call::Status | Call::Lend(_) => &[],
            Call::Readyz => &[Parameter::Verbose],
            // It reads its query itself.
            Call::Watch => &[],
            Call::Get(_) | Call::Members | Call::Export | Call::Backup => {
                &[Parameter::Timeout, Parameter::Consistency]
            }
            Call::Add => &[Parameter::Timeout, Parameter::Wait],
            Call::Put(_) | Call::Delete(_) | Call::Import | Call::Snapshot => &[Parameter::Timeout],
            Call::SetMembers | Call::Promote | Call::Remove | Call::Transfer => &[Parameter::Timeout],
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
            ("GET", "/", Call::Hello),
            ("HEAD", "/", Call::Hello),
            ("GET", "/key/a", Call::Get("a")),
            ("HEAD", "/key/a", Call::Get("a")),
            ("POST", "/key/a", Call::Put("a")),
            ("PUT", "/key/a", Call::Put("a")),
            ("DELETE", "/key/a", Call::Delete("a")),
            ("GET", "/key/", Call::Get("")),
            ("GET", "/key//", Call::Get("/")),
            ("GET", "/key/a/b%2F..//", Call::Get("a/b%2F..//")),
            ("GET", "/data.json", Call::Export),
            ("POST", "/data.json", Call::Import),
            ("GET", "/backup", Call::Backup),
            ("HEAD", "/backup", Call::Backup),
            ("GET", "/watch", Call::Watch),
            ("GET", "/livez", Call::Livez),
            ("GET", "/readyz", Call::Readyz),
            ("GET", "/version", Call::Version),
            ("GET", "/raft/status", Call::Status),
            ("GET", "/raft/members", Call::Members),
            ("POST", "/raft/members", Call::SetMembers),
            ("POST", "/raft/add", Call::Add),
            ("POST", "/raft/promote", Call::Promote),
            ("POST", "/raft/remove", Call::Remove),
            ("POST", "/raft/transfer", Call::Transfer),
            ("POST", "/raft/snapshot", Call::Snapshot),
            ("GET", "/raft/checkpoints", Call::Lend(Wanted::List)),
        ];
        for (method, path, call) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(find(&method, path).unwrap(), call, "{method} {path}");
        }
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in ["", "*", "/key", "/keys", "/Key/a", "//", "/livez/", "/raft", "/raft/", "/index.html"] {
            assert_eq!(find(&Method::GET, path), Err(ApiError::RouteNotFound(path.to_owned())));
        }
    }

    #[test]
    fn other_methods_are_told_which_are_allowed() {
        let cases = [
            ("POST", "/", "GET, HEAD"),
            ("PATCH", "/key/a", "GET, HEAD, POST, PUT, DELETE"),
            ("OPTIONS", "/key/a", "GET, HEAD, POST, PUT, DELETE"),
            ("get", "/livez", "GET, HEAD"),
            ("GET", "/raft/add", "POST"),
            ("PUT", "/raft/members", "GET, HEAD, POST"),
            ("PUT", "/data.json", "GET, HEAD, POST"),
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
