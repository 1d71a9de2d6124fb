//! `/backup`: a checkpoint of this node as one file.
//!
//! The tag of a backup names its bytes, on whichever node: so a reader whose connection broke goes on anywhere that has
//! the same checkpoint (`Range` with `If-Range`, RFC 9110 §13.1.5 and §14.2), and with `If-Match` it can ask around for
//! such a node without having each of the others take a checkpoint of its own. With `If-None-Match` it learns whether
//! what it has is what there is now.

use std::ops::Range;
use std::sync::Arc;

use hyper::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use quorate_node::kv::Revision;
use quorate_node::{ReadLevel, Reply, Request};
use quorate_storage::backup::{Opened, Tag, Unopened};
use tokio::sync::mpsc;

use super::app::{App, with_type};
use super::body::{AnswerBody, StreamedBody};
use super::error::ApiError;
use super::headers::{NOSNIFF, OCTET_STREAM, QUORATE_REVISION};
use super::leader::unexpected;
use super::request::{BackupCall, format_timeout};
use super::service::Terms;
use crate::backups::{MOST, Pinned, Slot};
use crate::net::Net;
use crate::runtime::{Runtime, race};

/// How many pieces wait to be sent.
const PIECES_AHEAD: usize = 1;

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET` and `HEAD`.
    pub(super) async fn backup(
        &self,
        head: &Parts,
        call: &BackupCall,
        terms: Terms,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let slot = self.context.backups.slot().ok_or(ApiError::TooManyBackups { most: MOST })?;
        let (pin, takes_range) = self.pinned(call, terms).await?;
        let opened = pin.opened;
        if call.if_none_match.as_deref().is_some_and(|known| names(known, opened.tag)) {
            return Ok(unchanged(&opened));
        }
        let asked = call.range.as_deref().filter(|_| takes_range && head.method == Method::GET);
        let part = match asked.map_or(Asked::Whole, |range| parse_range(range, opened.file_bytes)) {
            Asked::Whole => None,
            Asked::Part(range) => Some(range),
            Asked::Nothing => return Err(ApiError::RangeNotSatisfiable { length: opened.file_bytes }),
        };
        let body = match head.method {
            Method::GET => self.stream(slot, pin, part.clone().unwrap_or(0..opened.file_bytes)),
            _ => AnswerBody::empty(),
        };
        Ok(answer(&opened, part, body))
    }

    /// The checkpoint that is sent, and whether a range of it may be: only when the request names it.
    async fn pinned(&self, call: &BackupCall, terms: Terms) -> Result<(Pinned, bool), ApiError> {
        if let Some(tags) = call.if_match.as_deref().filter(|tags| *tags != "*") {
            for tag in tags.split(',').filter_map(|tag| parse_tag(tag.trim())) {
                if let Some(pin) = self.kept(tag).await? {
                    let is_same = call.if_range.as_deref().is_none_or(|named| parse_tag(named) == Some(tag));
                    return Ok((pin, is_same));
                }
            }
            return Err(ApiError::CheckpointGone(tags.to_owned()));
        }
        // A date names nothing here, as it would name no bytes.
        if let Some(tag) = call.if_range.as_deref().filter(|_| call.range.is_some()).and_then(parse_tag)
            && let Some(pin) = self.kept(tag).await?
        {
            return Ok((pin, true));
        }
        // Nor is a range without a tag one of this: whoever put it behind the beginning of another would have neither.
        Ok((self.newest(call.level, terms).await?, false))
    }

    /// The checkpoint with that tag, if this node still has it.
    async fn kept(&self, tag: Tag) -> Result<Option<Pinned>, ApiError> {
        match self.context.backups.open(Some(tag)).await.ok_or(ApiError::ShuttingDown)? {
            Ok(pin) => Ok(Some(pin)),
            Err(Unopened::NotThere | Unopened::Damaged) => Ok(None),
        }
    }

    /// A checkpoint of now.
    async fn newest(&self, level: ReadLevel, terms: Terms) -> Result<Pinned, ApiError> {
        let deadline = self.now() + terms.timeout;
        let mut least = Revision::ZERO;
        if level != ReadLevel::Stale {
            // What is read does not matter: once it is, this node has applied all that was acknowledged before.
            let request = || Request::get(Arc::default(), level);
            match self.ask_here(request, deadline).await? {
                Reply::Read { revision, .. } => least = revision,
                other => return Err(unexpected(&other)),
            }
        }
        match self.ask_here(|| Request::Checkpoint, deadline).await {
            Ok(Reply::Checkpointed) => {}
            Ok(other) => return Err(unexpected(&other)),
            Err(ApiError::NoLeader(_) | ApiError::Outside(_)) => {
                let reason = format!("it was not on the disk within {}", format_timeout(terms.timeout));
                return Err(ApiError::NoCheckpoint(reason));
            }
            Err(error) => return Err(error),
        }
        match self.context.backups.open(None).await.ok_or(ApiError::ShuttingDown)? {
            Ok(pin) if pin.opened.revision >= least => Ok(pin),
            Ok(pin) => {
                let found = pin.opened.revision;
                Err(ApiError::NoCheckpoint(format!("the newest is of revision {found}, before {least}")))
            }
            Err(Unopened::NotThere) => {
                Err(ApiError::NoCheckpoint("this node has applied nothing yet".to_owned()))
            }
            Err(Unopened::Damaged) => {
                let reason = "a file of it can't be read, and the state is being written anew: try again soon, or ask \
                              another node";
                Err(ApiError::NoCheckpoint(reason.to_owned()))
            }
        }
    }

    fn stream(&self, slot: Slot, pin: Pinned, range: Range<u64>) -> AnswerBody {
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        let body = StreamedBody::new(receiver, range.end - range.start);
        let (backups, shutdown) = (Arc::clone(&self.context.backups), self.context.shutdown.clone());
        let runtime = self.context.runtime.clone();
        self.context.runtime.spawn(async move {
            // It may take hours: an end of this node does not wait for it. Its reader goes on elsewhere, or later.
            race(shutdown.begun(), backups.pump(runtime, (slot, pin), range, sender)).await;
        });
        AnswerBody::Streamed(body)
    }
}

/// A strong entity tag that may be one of ours.
fn parse_tag(text: &str) -> Option<Tag> {
    text.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

/// Whether `If-None-Match` names this tag (RFC 9110 §13.1.2: weak comparison, and `*` for any).
fn names(known: &str, tag: Tag) -> bool {
    let same = |given: &str| parse_tag(given.strip_prefix("W/").unwrap_or(given)) == Some(tag);
    known == "*" || known.split(',').any(|given| same(given.trim()))
}

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    /// Everything: several ranges at once, other units and nonsense are ignored, as a server may.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// None that there are.
    Nothing,
}

/// Reads a `Range` header for a file of so many bytes.
fn parse_range(text: &str, length: u64) -> Asked {
    let unit = text.get(..6).filter(|unit| unit.eq_ignore_ascii_case("bytes="));
    let Some((first, last)) = unit.and_then(|_| text[6..].trim().split_once('-')) else {
        return Asked::Whole;
    };
    let number = |digits: &str| {
        let only_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // More than can be counted is behind any end.
        only_digits.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
    };
    match (number(first), number(last)) {
        (None, Some(count)) if first.is_empty() => match count {
            0 => Asked::Nothing,
            count => Asked::Part(length.saturating_sub(count)..length),
        },
        (Some(first), _) if last.is_empty() && first < length => Asked::Part(first..length),
        (Some(first), Some(last)) if first > last => Asked::Whole,
        (Some(first), Some(last)) if first < length => Asked::Part(first..last.saturating_add(1).min(length)),
        (Some(_), Some(_)) => Asked::Nothing,
        (Some(_), None) if last.is_empty() => Asked::Nothing,
        _ => Asked::Whole,
    }
}

fn quoted(tag: Tag) -> String {
    format!("\"{tag}\"")
}

/// The asker has that one already.
fn unchanged(opened: &Opened) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    name(opened, response.headers_mut());
    response
}

/// Says which one it is.
fn name(opened: &Opened, headers: &mut HeaderMap) {
    let tag = HeaderValue::try_from(quoted(opened.tag)).expect("digits and quotes are a header value");
    headers.insert(ETAG, tag);
    headers.insert(QUORATE_REVISION, HeaderValue::from(opened.revision.0));
}

fn answer(opened: &Opened, part: Option<Range<u64>>, body: AnswerBody) -> Response<AnswerBody> {
    let length = opened.file_bytes;
    let status = if part.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let mut response = with_type(status, OCTET_STREAM, body);
    let headers = response.headers_mut();
    if let Some(Range { start, end }) = &part {
        let range = HeaderValue::try_from(format!("bytes {start}-{}/{length}", end - 1));
        headers.insert(CONTENT_RANGE, range.expect("digits are a header value"));
    }
    let Range { start, end } = part.unwrap_or(0..length);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(end - start));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    name(opened, headers);
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        let cases = [
            ("bytes=0-", Asked::Part(0..100)),
            ("bytes=40-", Asked::Part(40..100)),
            ("BYTES=40-49", Asked::Part(40..50)),
            ("bytes=40-1000", Asked::Part(40..100)),
            ("bytes=99-99", Asked::Part(99..100)),
            ("bytes=-10", Asked::Part(90..100)),
            ("bytes=-1000", Asked::Part(0..100)),
            ("bytes=100-", Asked::Nothing),
            ("bytes=100-200", Asked::Nothing),
            ("bytes=-0", Asked::Nothing),
            ("bytes=99999999999999999999999-", Asked::Nothing),
            ("bytes=50-40", Asked::Whole),
            ("bytes=0-1,5-6", Asked::Whole),
            ("bytes=-", Asked::Whole),
            ("bytes=a-", Asked::Whole),
            ("bytes=1-b", Asked::Whole),
            ("bytes=+1-", Asked::Whole),
            ("rows=1-2", Asked::Whole),
            ("", Asked::Whole),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_range(text, 100), expected, "{text:?}");
        }
    }

    #[test]
    fn only_a_strong_tag_of_ours_names_a_backup() {
        let tag = Tag([0xab; 16]);
        assert_eq!(parse_tag(&format!("\"{tag}\"")), Some(tag));
        for other in
            [tag.to_string(), format!("W/\"{tag}\""), "\"7\"".to_owned(), "*".to_owned(), String::new()]
        {
            assert_eq!(parse_tag(&other), None, "{other}");
        }
        for (known, is_it) in [
            (format!("\"{tag}\""), true),
            (format!("W/\"{tag}\""), true),
            (format!("\"7\", \"{tag}\""), true),
            ("*".to_owned(), true),
            (tag.to_string(), false),
            (format!("\"{}\"", Tag([0xac; 16])), false),
            (String::new(), false),
        ] {
            assert_eq!(names(&known, tag), is_it, "{known}");
        }
    }
}
