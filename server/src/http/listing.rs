//! `GET /keys`: page by page from the node, all pages at the revision of the first.
//!
//! A page is asked for when the one before it has been taken by the connection, so a list holds two pages in memory,
//! however long it is, and a client that stops reading holds it back. When the past that it reads at is gone in the
//! meantime (the client took too long), the answer breaks off in a way that can't be taken for its end.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use quorate_node::raft::Time;
use quorate_node::{List, Page, Query, ReadLevel, Refusal, Reply, Request};
use tokio::sync::mpsc;

use super::app::{App, json, with_type};
use super::body::{AnswerBody, OpenBody};
use super::error::ApiError;
use super::headers::{JSON, QUORATE_REVISION};
use super::json::EntryAnswer;
use super::keys::out_of_reach;
use super::leader::unexpected;
use super::request::ListCall;
use super::service::Terms;
use crate::context::Context;
use crate::handle::Answer;
use crate::net::Net;
use crate::runtime::{Runtime, timeout_at};

/// How long a client may take nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a page may take, and the pause after which a node that is too busy is asked for it again.
const PAGE_TIMEOUT: Duration = Duration::from_secs(5);
const PAGE_PAUSE: Duration = Duration::from_millis(20);

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET` and `HEAD`.
    pub(super) async fn list(&self, call: ListCall, terms: Terms) -> Result<Response<AnswerBody>, ApiError> {
        let level = call.level;
        let mut listing = Listing::new(call);
        let page = self.page(&listing.next, level, self.now() + terms.timeout).await?;
        let revision = page.revision;
        let first = listing.take(&page);
        let mut response = if listing.is_over {
            json(first)
        } else {
            with_type(StatusCode::OK, JSON, AnswerBody::Open(self.streamed(first, listing)))
        };
        response.headers_mut().insert(QUORATE_REVISION, HeaderValue::from(revision.0));
        Ok(response)
    }

    /// A page, from the node here.
    pub(super) async fn page(&self, list: &List, level: ReadLevel, deadline: Time) -> Result<Page, ApiError> {
        let request = || Request::Read { query: Query::List(list.clone()), level };
        match self.ask_here(request, deadline).await? {
            Reply::Listed(page) => Ok(page),
            Reply::OutOfReach { oldest, newest } => Err(out_of_reach(list.revision, oldest, newest)),
            other => Err(unexpected(&other)),
        }
    }

    fn streamed(&self, first: Bytes, mut listing: Listing) -> OpenBody {
        let (sender, receiver) = mpsc::channel(1);
        let context = Arc::clone(&self.context);
        self.context.runtime.spawn(async move {
            let mut piece = first;
            loop {
                let patience = context.runtime.now() + PATIENCE;
                let sent = timeout_at(&context.runtime, patience, sender.send(Some(piece))).await;
                if !matches!(sent, Ok(Ok(()))) {
                    return;
                }
                if listing.is_over {
                    // Whoever doesn't hear this takes the answer for broken.
                    let _ = timeout_at(&context.runtime, patience, sender.send(None)).await;
                    return;
                }
                match next_page(&context, &listing.next).await {
                    Some(page) => piece = listing.take(&page),
                    None => return,
                }
            }
        });
        OpenBody::new(receiver)
    }
}

/// A page after the first: this node has seen the revision, and needs nobody for it. `None` when it can't be had.
async fn next_page<R: Runtime, N>(context: &Context<R, N>, list: &List) -> Option<Page> {
    let deadline = context.runtime.now() + PAGE_TIMEOUT;
    while context.runtime.now() < deadline {
        let request = Request::Read { query: Query::List(list.clone()), level: ReadLevel::Stale };
        match context.handle.request(request, deadline).await {
            Answer::Reply(Reply::Listed(page)) => return Some(page),
            Answer::Overloaded | Answer::Reply(Reply::Refused(Refusal::Overloaded)) => {
                context.runtime.sleep(PAGE_PAUSE).await;
            }
            Answer::Reply(_) => {
                tracing::debug!("a list broke off");
                return None;
            }
            Answer::DeadlinePassed | Answer::Stopped | Answer::Abandoned => return None,
        }
    }
    None
}

/// A list on its way out.
struct Listing {
    /// What it is, as a cursor tells it.
    call: ListCall,
    /// The next page.
    next: List,
    /// How many keys are still wanted.
    left: usize,
    /// How many were written.
    written: usize,
    is_over: bool,
}

impl Listing {
    fn new(call: ListCall) -> Listing {
        let left = call.limit.unwrap_or(usize::MAX);
        let next = List { limit: left, ..call.list.clone() };
        Listing { call, next, left, written: 0, is_over: false }
    }

    /// A page as it is written, with what comes before the first and after the last.
    fn take(&mut self, page: &Page) -> Bytes {
        let mut out = Vec::new();
        if self.written == 0 {
            out.extend_from_slice(format!("{{\"revision\":{},\"keys\":[", page.revision).as_bytes());
        }
        for (key, entry) in &page.entries {
            if self.written > 0 {
                out.push(b',');
            }
            self.written += 1;
            serde_json::to_writer(&mut out, &EntryAnswer::new(key, entry, self.call.values))
                .expect("structs with fields of text and numbers are always JSON");
        }
        self.left -= page.entries.len();
        self.next.revision = Some(page.revision);
        self.next.limit = self.left;
        if let Some((last, _)) = page.entries.last() {
            self.next.start = Bound::Excluded(Arc::clone(last));
        }
        self.is_over = !page.more || self.left == 0;
        if self.is_over {
            out.extend_from_slice(&self.end(page));
        }
        Bytes::from(out)
    }

    fn end(&self, page: &Page) -> Vec<u8> {
        match page.entries.last().filter(|_| page.more) {
            None => b"],\"more\":false}".to_vec(),
            Some((last, _)) => {
                let cursor = self.call.cursor(page.revision, last);
                format!("],\"more\":true,\"next\":\"{cursor}\"}}").into_bytes()
            }
        }
    }
}
