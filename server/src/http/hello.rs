//! `GET /`: a greeting for programs, the dashboard for browsers.

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::accept::prefers;
use super::app::{json, with_type};
use super::body::AnswerBody;
use super::headers::NOSNIFF;
use super::json::HELLO;
use crate::dashboard::page;

/// The page's type.
const PAGE_TYPE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// Whether a request for `/` is for the page. It holds nothing secret, so nobody has to show a token for it: the page
/// itself asks for one when what it wants to show needs it.
pub(crate) fn wants_page(headers: &HeaderMap) -> bool {
    prefers(headers, "text/html")
}

/// The answer to `GET /`.
pub(super) fn hello(headers: &HeaderMap) -> Response<AnswerBody> {
    let mut response = if !wants_page(headers) {
        json(HELLO)
    } else if is_known(headers) {
        let mut known = Response::new(AnswerBody::empty());
        *known.status_mut() = StatusCode::NOT_MODIFIED;
        page_headers(known.headers_mut());
        known
    } else {
        let body = AnswerBody::Whole(Bytes::from_static(page().text.as_bytes()));
        let mut whole = with_type(StatusCode::OK, PAGE_TYPE, body);
        page_headers(whole.headers_mut());
        whole
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// Whether the browser has this very page.
fn is_known(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = lines.flat_map(|line| line.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == page().tag)
}

fn page_headers(headers: &mut HeaderMap) {
    let text = |text| HeaderValue::from_static(text);
    headers.insert(CONTENT_SECURITY_POLICY, text(&page().policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(REFERRER_POLICY, text("no-referrer"));
    headers.insert(CACHE_CONTROL, text("no-cache"));
    headers.insert(ETAG, text(&page().tag));
}
