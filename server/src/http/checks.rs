//! What is looked at in every request's head, before anything is done.

use std::net::IpAddr;

use hyper::Version;
use hyper::header::{CONTENT_ENCODING, HOST, HeaderMap, ORIGIN};
use hyper::http::request::Parts;
use quorate_node::raft::NodeId;

use super::error::ApiError;
use super::headers::QUORATE_FORWARDED;
use super::request::unsupported;

/// The longest request target: room for the longest key with every byte percent-encoded, and a query.
pub(crate) const MAX_TARGET_BYTES: usize = 16 << 10;
/// The most that all headers together may have, counted as they are sent.
pub(crate) const MAX_HEADER_BYTES: usize = 32 << 10;

/// The names this server answers to.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    /// Host and port of the URL it advertises.
    advertised: String,
    /// Whether other names are refused.
    guarded: bool,
}

impl Hosts {
    /// `guarded`: the server is open (anybody may ask) and listens on loopback, where the only strangers that can reach
    /// it are pages in a browser on this machine, whose own name was made to point here (DNS rebinding).
    pub(crate) fn new(advertised_url: &str, guarded: bool) -> Hosts {
        let advertised = advertised_url.split_once("://").map_or(advertised_url, |(_, rest)| rest);
        Hosts { advertised: advertised.trim_end_matches('/').to_owned(), guarded }
    }

    fn knows(&self, host: &str) -> bool {
        let name = split_port(host).0;
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        bare.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || name.eq_ignore_ascii_case(split_port(&self.advertised).0)
    }
}

/// Who forwarded a request, when a peer did.
pub(crate) type ForwardedBy = Option<NodeId>;

/// Everything that can be told from the head alone.
///
/// # Errors
/// `uri_too_long`, `headers_too_large`, `wrong_host`, `cross_origin`, `malformed`, `proxy_loop`.
pub(crate) fn check_head(head: &Parts, hosts: &Hosts, own_id: NodeId) -> Result<ForwardedBy, ApiError> {
    let target_bytes = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    // A key that is too long gets the code that says so.
    if target_bytes > MAX_TARGET_BYTES && !head.uri.path().starts_with("/key/") {
        return Err(ApiError::UriTooLong(target_bytes));
    }
    check_header_size(&head.headers)?;
    let host = check_host(head, hosts)?;
    check_origin(&head.headers, host, hosts)?;
    check_encoding(&head.headers)?;
    forwarded_by(&head.headers, own_id)
}

fn check_header_size(headers: &HeaderMap) -> Result<(), ApiError> {
    // Each takes a colon, a space and a line end besides.
    let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > MAX_HEADER_BYTES { Err(ApiError::HeadersTooLarge(bytes)) } else { Ok(()) }
}

/// The host that was asked for: an absolute target's counts before the header's (RFC 9112 §3.2.2).
fn check_host<'a>(head: &'a Parts, hosts: &Hosts) -> Result<Option<&'a str>, ApiError> {
    let mut named = head.headers.get_all(HOST).iter();
    let header = named.next();
    if named.next().is_some() {
        return Err(ApiError::Malformed("the request has more than one Host header: send one".to_owned()));
    }
    let header = match header {
        Some(value) => Some(value.to_str().map_err(|_| ApiError::WrongHost(lossy(value.as_bytes())))?),
        None if head.version == Version::HTTP_11 => {
            return Err(ApiError::Malformed(
                "the request has no Host header: HTTP/1.1 asks for one".to_owned(),
            ));
        }
        None => None,
    };
    let host = head.uri.authority().map(|authority| authority.as_str()).or(header);
    match host {
        Some(host) if hosts.guarded && !hosts.knows(host) => Err(ApiError::WrongHost(host.to_owned())),
        host => Ok(host),
    }
}

/// Only browsers send `Origin`, with every request that a page of another origin makes a change with.
fn check_origin(headers: &HeaderMap, host: Option<&str>, hosts: &Hosts) -> Result<(), ApiError> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let refused = || ApiError::CrossOrigin(lossy(origin.as_bytes()));
    let origin = origin.to_str().map_err(|_| refused())?;
    // A proxy that adds TLS in front of us changes the scheme that the page sees, and with it the port left out.
    let (authority, default_port) = match origin.split_once("://") {
        Some(("http", authority)) => (authority, "80"),
        Some(("https", authority)) => (authority, "443"),
        _ => return Err(refused()),
    };
    let is_same = |ours: &str| same_authority(authority, ours, default_port);
    if host.is_some_and(is_same) || is_same(&hosts.advertised) { Ok(()) } else { Err(refused()) }
}

/// Nothing here takes a body apart.
fn check_encoding(headers: &HeaderMap) -> Result<(), ApiError> {
    let plain = |value: &[u8]| value.is_empty() || value.eq_ignore_ascii_case(b"identity");
    match headers.get(CONTENT_ENCODING) {
        Some(value) if !plain(value.as_bytes()) => Err(unsupported(&CONTENT_ENCODING)),
        _ => Ok(()),
    }
}

fn forwarded_by(headers: &HeaderMap, own_id: NodeId) -> Result<ForwardedBy, ApiError> {
    let Some(value) = headers.get(QUORATE_FORWARDED) else { return Ok(None) };
    let id = value.to_str().ok().and_then(|text| text.parse::<NodeId>().ok()).ok_or_else(|| {
        let seen = lossy(value.as_bytes());
        ApiError::Malformed(format!(
            "the header {QUORATE_FORWARDED} is {seen:?}, no node id: only peers send it"
        ))
    })?;
    if id == own_id { Err(ApiError::ProxyLoop(id.to_string())) } else { Ok(Some(id)) }
}

fn same_authority(left: &str, right: &str, default_port: &str) -> bool {
    let (left_name, left_port) = split_port(left);
    let (right_name, right_port) = split_port(right);
    left_name.eq_ignore_ascii_case(right_name)
        && left_port.unwrap_or(default_port) == right_port.unwrap_or(default_port)
}

/// Host and port; an IPv6 address keeps its brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (authority, None),
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use hyper::Request;

    const OWN: NodeId = NodeId(7);

    fn head(method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn guarded(headers: &[(&str, &str)]) -> Result<ForwardedBy, ApiError> {
        check_head(&head("GET", "/key/a", headers), &Hosts::new("http://node.example:8080", true), OWN)
    }

    #[test]
    fn a_guarded_server_answers_to_its_own_names_only() {
        let cases = [
            ("localhost:8080", true),
            ("LocalHost", true),
            ("127.0.0.1:8080", true),
            ("127.8.9.1", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("node.example:8080", true),
            ("Node.Example:80", true),
            ("evil.example:8080", false),
            ("127.0.0.1.evil.example", false),
            ("10.0.0.1:8080", false),
            ("localhost.evil.example", false),
            ("", false),
        ];
        for (host, known) in cases {
            let expected = if known { Ok(None) } else { Err(ApiError::WrongHost(host.to_owned())) };
            assert_eq!(guarded(&[("host", host)]), expected, "{host}");
        }
    }

    #[test]
    fn an_unguarded_server_answers_to_any_name_but_needs_one() {
        let hosts = Hosts::new("http://10.0.0.1:8080", false);
        assert_eq!(check_head(&head("GET", "/", &[("host", "any.example")]), &hosts, OWN), Ok(None));
        let codes = [vec![], vec![("host", "a"), ("host", "b")]]
            .map(|headers| check_head(&head("GET", "/", &headers), &hosts, OWN).unwrap_err().name().1);
        assert_eq!(codes, ["malformed", "malformed"]);
    }

    #[test]
    fn an_absolute_target_counts_before_the_header() {
        let hosts = Hosts::new("http://127.0.0.1:8080", true);
        let request = head("GET", "http://evil.example/key/a", &[("host", "localhost")]);
        assert_eq!(check_head(&request, &hosts, OWN), Err(ApiError::WrongHost("evil.example".to_owned())));
    }

    #[test]
    fn pages_of_other_origins_are_refused() {
        let cases = [
            ("http://localhost:8080", true),
            ("http://LOCALHOST:8080", true),
            ("https://localhost:8080", true),
            ("http://node.example:8080", true),
            ("http://localhost", false),
            ("http://localhost:8081", false),
            ("http://evil.example:8080", false),
            ("null", false),
            ("", false),
            ("ftp://localhost:8080", false),
        ];
        for (origin, ours) in cases {
            let expected = if ours { Ok(None) } else { Err(ApiError::CrossOrigin(origin.to_owned())) };
            assert_eq!(guarded(&[("host", "localhost:8080"), ("origin", origin)]), expected, "{origin}");
        }
        let default_port = guarded(&[("host", "localhost"), ("origin", "http://localhost:80")]);
        assert_eq!(default_port, Ok(None));
    }

    #[test]
    fn a_body_that_is_packed_is_refused() {
        for (encoding, code) in [("gzip", Some("malformed")), ("Identity", None), ("", None)] {
            let checked = guarded(&[("host", "localhost"), ("content-encoding", encoding)]);
            assert_eq!(checked.err().map(|error| error.name().1), code, "{encoding}");
        }
    }

    #[test]
    fn forwarded_requests_name_their_peer_and_never_come_back() {
        let host = ("host", "localhost");
        let other = NodeId(8).to_string();
        assert_eq!(guarded(&[host, ("quorate-forwarded", &other)]), Ok(Some(NodeId(8))));
        let own = OWN.to_string();
        assert_eq!(guarded(&[host, ("quorate-forwarded", &own)]), Err(ApiError::ProxyLoop(own.clone())));
        assert_eq!(guarded(&[host, ("quorate-forwarded", "me")]).unwrap_err().name().1, "malformed");
    }

    #[test]
    fn sizes_are_bounded() {
        let hosts = Hosts::new("http://localhost:8080", true);
        let long = format!("/livez?{}", "a".repeat(MAX_TARGET_BYTES));
        let refused = check_head(&head("GET", &long, &[("host", "localhost")]), &hosts, OWN);
        assert_eq!(refused.unwrap_err().name().1, "uri_too_long");
        let large = "a".repeat(MAX_HEADER_BYTES);
        assert_eq!(
            guarded(&[("host", "localhost"), ("x-large", &large)]).unwrap_err().name().1,
            "headers_too_large"
        );
    }
}
