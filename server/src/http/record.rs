//! `/debug/recording`: what went into this node lately.

use std::sync::Arc;

use hyper::header::X_CONTENT_TYPE_OPTIONS;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use tokio::sync::mpsc;

use super::app::{App, with_type};
use super::body::{AnswerBody, OpenBody};
use super::error::ApiError;
use super::headers::{NOSNIFF, OCTET_STREAM};
use crate::backups::MOST;
use crate::net::Net;
use crate::recordings::complete;
use crate::runtime::{Runtime, race};

impl<R: Runtime, N: Net> App<R, N> {
    /// `GET` and `HEAD`.
    pub(super) async fn record(&self, head: &Parts) -> Result<Response<AnswerBody>, ApiError> {
        if self.context.limits.flight_recorder_bytes == 0 {
            return Err(ApiError::NotRecorded);
        }
        let slot = self.context.backups.slot().ok_or(ApiError::TooManyBackups { most: MOST })?;
        let recording = self.context.handle.recording().await.ok_or(ApiError::ShuttingDown)?;
        let none = "its store is being restored, or one input was larger than --flight-recorder-bytes";
        let recording = recording.ok_or(ApiError::NoRecording(none))?;
        let no_store = "its disk has no checkpoint from before, or no log since";
        let complete = complete(&self.context, recording).await.ok_or(ApiError::NoRecording(no_store))?;
        let mut body = AnswerBody::empty();
        if head.method == Method::GET {
            let (sender, receiver) = mpsc::channel(1);
            body = AnswerBody::Open(OpenBody::new(receiver));
            let context = Arc::clone(&self.context);
            self.context.runtime.spawn(async move {
                let shutdown = context.shutdown.clone();
                race(shutdown.begun(), complete.send(context, slot, sender)).await;
            });
        }
        let mut response = with_type(StatusCode::OK, OCTET_STREAM, body);
        response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        Ok(response)
    }
}
