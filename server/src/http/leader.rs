//! Having something done by the leader, wherever it is.
//!
//! One loop serves all changes. Each turn looks who leads: if this node does, the change is proposed here; if another
//! does, the request is passed on; if nobody does, the loop waits for news. It ends with an answer, or at the deadline.
//! A turn is repeated only after an attempt that certainly changed nothing, so a change is made at most once.

use std::sync::Arc;
use std::time::Duration;

use hyper::Response;
use hyper::header::HeaderMap;
use quorate_node::raft::Time;
use quorate_node::{Refusal, Reply, Request, View};

use super::app::App;
use super::body::AnswerBody;
use super::error::ApiError;
use super::headers::QUORATE_ERROR;
use super::proxy::{Asked, AttemptError, Repetition};
use super::request::format_timeout;
use crate::announce::is_outside;
use crate::handle::Answer;
use crate::metrics::PassedOn;
use crate::net::Net;
use crate::runtime::{Either, Runtime, race};
use crate::watch;

/// The pauses between attempts when no news comes: from the first, doubling, to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(100);

/// Who leads, as far as this node knows.
enum Leader {
    /// This node.
    Here,
    /// The node at this URL.
    At(String),
    /// Nobody known, or one whose URL is not.
    Unknown,
}

/// What the leader may be asked to do.
pub(super) trait Operation<R, N> {
    /// Does it here. Only called on a node that believes to lead.
    fn perform(
        &self,
        app: &App<R, N>,
        deadline: Time,
    ) -> impl Future<Output = Result<Response<AnswerBody>, AttemptError>> + Send;
}

/// Why this node, asked as the leader, changed nothing, or nothing that it knows of.
pub(super) enum NotChanged {
    /// Nothing was done: another node, or this one later, may do it.
    NothingDone,
    /// Nothing was done, and the node says why.
    Refused(Refusal),
    /// It must not be tried again.
    Failed(ApiError),
}

impl From<ApiError> for NotChanged {
    fn from(error: ApiError) -> Self {
        NotChanged::Failed(error)
    }
}

impl From<NotChanged> for AttemptError {
    fn from(why: NotChanged) -> Self {
        match why {
            NotChanged::NothingDone => AttemptError::NOTHING_DONE,
            NotChanged::Refused(refusal) => AttemptError::Failed(refused(refusal)),
            NotChanged::Failed(error) => AttemptError::Failed(error),
        }
    }
}

impl<R: Runtime, N: Net> App<R, N> {
    /// Has `operation` done by the leader: here, or by passing `asked` on.
    ///
    /// A request with an idempotency key is asked again also when nobody knows what became of an attempt: it is carried
    /// out once. From then on only an answer that tells what became of it ends this; that nothing was done *this* time
    /// does not. A read leaves nothing behind, so of it nothing is ever unknown.
    ///
    /// # Errors
    /// `not_leader` when a peer had passed the request on to this node and it does not lead; `no_leader` at the
    /// deadline; whatever the operation says.
    pub(super) async fn at_leader(
        &self,
        asked: &Asked<'_>,
        operation: &(impl Operation<R, N> + Sync),
    ) -> Result<Response<AnswerBody>, ApiError> {
        let mut news = News::new(self, asked.deadline);
        // What a peer said last, when it is a member that we can ask.
        let mut hint: Option<String> = None;
        let mut unknown: Option<String> = None;
        let repetition = if asked.is_forwarded { Repetition::Harmful } else { asked.repetition };
        loop {
            let view = news.look();
            let leader = hint.take().map_or_else(|| self.leader(&view), Leader::At);
            let attempt = match leader {
                Leader::Here => operation.perform(self, asked.deadline).await,
                Leader::At(url) if asked.is_forwarded => {
                    return Err(ApiError::NotLeader { leader_url: Some(url) });
                }
                Leader::Unknown if asked.is_forwarded => {
                    return Err(ApiError::NotLeader { leader_url: None });
                }
                Leader::At(url) => self.pass_on(&Arc::from(url), asked).await,
                Leader::Unknown => Err(AttemptError::NOTHING_DONE),
            };
            match attempt {
                Ok(response) => match leaves_open(response.headers(), unknown.is_some()) {
                    Some(what) if repetition == Repetition::DoneOnce => unknown = Some(what),
                    Some(_) if repetition == Repetition::Harmless => {}
                    _ => return Ok(response),
                },
                Err(AttemptError::Failed(ApiError::OutcomeUnknown(_)))
                    if repetition == Repetition::Harmless => {}
                Err(AttemptError::Failed(error)) => {
                    let leaves_open = unknown.is_some() || matches!(error, ApiError::OutcomeUnknown(_));
                    if !(repetition == Repetition::DoneOnce && leaves_open) {
                        return Err(error);
                    }
                    unknown = Some(error.to_string());
                }
                Err(AttemptError::NothingDone { .. }) if asked.is_forwarded => {
                    return Err(ApiError::NotLeader { leader_url: None });
                }
                Err(AttemptError::NothingDone { leader_url }) => {
                    hint = leader_url.filter(|url| self.is_other_member(&view, url));
                }
            }
            match (news.wait().await, &unknown) {
                (Ok(()), _) => {}
                (Err(error), None) => return Err(error),
                (Err(_), Some(what)) => {
                    return Err(ApiError::OutcomeUnknown(format!(
                        "after several attempts, the last: {what}"
                    )));
                }
            }
        }
    }

    /// Passes a request on to the leader at `url`. For the answer to one that may be sent again nobody waits any longer
    /// once another node leads: the old leader may be cut off, and silent until the deadline.
    async fn pass_on(&self, url: &Arc<str>, asked: &Asked<'_>) -> Result<Response<AnswerBody>, AttemptError> {
        let forwarded = self.forward(url, asked);
        if asked.repetition == Repetition::Harmful {
            return forwarded.await;
        }
        match race(forwarded, self.leader_changes()).await {
            Either::Left(answer) => answer,
            Either::Right(()) => {
                self.context.metrics.http.passed_on(PassedOn::Unknown);
                let what = format!("another node has taken over while the leader at {url} had it");
                Err(ApiError::OutcomeUnknown(what).into())
            }
        }
    }

    /// Ready when a node is known to lead that did not lead before.
    async fn leader_changes(&self) {
        let mut view = self.context.handle.view();
        let before = view.look().leader;
        while view.changed().await.is_ok() {
            if view.look().leader.is_some_and(|leader| Some(leader) != before) {
                return;
            }
        }
        std::future::pending::<()>().await;
    }

    /// Asks the node here, again while the answer is that nothing was done, until the deadline: for what any node can
    /// answer.
    ///
    /// # Errors
    /// `no_leader` at the deadline, `overloaded`, `shutting_down`.
    pub(super) async fn ask_here(
        &self,
        request: impl Fn() -> Request,
        deadline: Time,
    ) -> Result<Reply, ApiError> {
        let mut news = News::new(self, deadline);
        loop {
            match self.context.handle.request(request(), deadline).await {
                Answer::Reply(Reply::NotLeader { .. } | Reply::Lost | Reply::Unknown) => {}
                Answer::Reply(Reply::Refused(refusal)) => return Err(refused(refusal)),
                Answer::Reply(reply) => return Ok(reply),
                Answer::DeadlinePassed => return Err(news.no_leader()),
                Answer::Overloaded => return Err(ApiError::Overloaded),
                Answer::Stopped | Answer::Abandoned => return Err(ApiError::ShuttingDown),
            }
            news.wait().await?;
        }
    }

    /// Asks this node, which leads, for a change, and tells what of the answers are the same for all changes.
    pub(super) async fn change_here(&self, request: Request, deadline: Time) -> Result<Reply, NotChanged> {
        let unknown = |what: &str| NotChanged::Failed(ApiError::OutcomeUnknown(what.to_owned()));
        Err(match self.context.handle.request(request, deadline).await {
            Answer::Reply(Reply::NotLeader { .. } | Reply::Lost) => NotChanged::NothingDone,
            Answer::Reply(Reply::Refused(Refusal::NotSettled)) => NotChanged::NothingDone,
            Answer::Reply(Reply::Refused(refusal)) => NotChanged::Refused(refusal),
            Answer::Reply(Reply::Unknown) => unknown("its place in the log was covered by a snapshot"),
            Answer::Reply(reply) => return Ok(reply),
            Answer::DeadlinePassed => unknown("no majority had it before the deadline"),
            Answer::Overloaded => NotChanged::Failed(ApiError::Overloaded),
            Answer::Stopped => NotChanged::Failed(ApiError::ShuttingDown),
            Answer::Abandoned => unknown("this node stopped"),
        })
    }

    fn leader(&self, view: &View) -> Leader {
        let Some(id) = view.leader else { return Leader::Unknown };
        if id == self.context.identity.node {
            return Leader::Here;
        }
        match view.members.contacts.get(&id) {
            Some(contact) if !contact.url.is_empty() => Leader::At(contact.url.clone()),
            _ => Leader::Unknown,
        }
    }

    fn is_other_member(&self, view: &View, url: &str) -> bool {
        let own = self.context.identity.node;
        view.members.contacts.iter().any(|(id, contact)| *id != own && contact.url == url)
    }
}

/// Why an answer does not tell what became of a request, if it doesn't. Once an attempt may have done something, an
/// answer that nothing was done speaks of another one.
fn leaves_open(headers: &HeaderMap, was_unknown: bool) -> Option<String> {
    let code = headers.get(QUORATE_ERROR)?.to_str().ok()?;
    let speaks_of_itself = ["no_leader", "overloaded", "idempotency_full", "shutting_down", "disk_full"];
    let leaves_open = code == "outcome_unknown" || was_unknown && speaks_of_itself.contains(&code);
    leaves_open.then(|| format!("the leader answered {code}"))
}

/// The error that a refusal is.
fn refused(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::Overloaded | Refusal::NotSettled => ApiError::Overloaded,
        Refusal::TooLarge { bytes } => ApiError::EntryTooLarge(bytes),
        Refusal::ChangeInProgress => ApiError::ChangeInProgress,
        Refusal::MemberNotFound(id) => ApiError::MemberNotFound(id.to_string()),
        Refusal::AddressInUse { by } => ApiError::AddressInUse(format!(
            "the address belongs to the member {by}: remove that member, or give another address"
        )),
        Refusal::NotCaughtUp(id) => ApiError::NotCaughtUp(format!(
            "the node {id} lacks too much of the leader's log, or is not heard: try again when it has caught up"
        )),
        Refusal::NotVoter(id) => {
            ApiError::NotCaughtUp(format!("the node {id} is a learner and can't lead: promote it first"))
        }
        Refusal::NoSuccessor => ApiError::NotCaughtUp(
            "no other voter took over: it must be heard and have caught up; try again".to_owned(),
        ),
        Refusal::WouldLoseQuorum => ApiError::WouldLoseQuorum(
            "of the voters there would be then, no majority is heard: start them, or choose others"
                .to_owned(),
        ),
        Refusal::DiskFull => ApiError::DiskFull,
        Refusal::BadChange(why) => ApiError::Malformed(why),
        Refusal::BadToken(fault) => fault.into(),
        Refusal::TooManyTokens => ApiError::JoinTokensFull,
    }
}

/// A reply that does not go with its request.
pub(super) fn unexpected(reply: &Reply) -> ApiError {
    let reply = match reply {
        Reply::Written { .. } => "a write",
        Reply::Read { .. } => "a read",
        Reply::Listed(_) => "a list",
        Reply::Lease { .. } => "a lease",
        Reply::Lock { .. } => "a lock",
        Reply::Changes { .. } => "what has changed",
        Reply::OutOfReach { .. } => "a revision out of reach",
        Reply::MembersChanged { .. } => "a change of members",
        Reply::Transferred { .. } => "a hand-over",
        Reply::Checkpointed => "a checkpoint",
        Reply::NotLeader { .. } | Reply::Lost | Reply::Unknown | Reply::Refused(_) => "a failure",
    };
    ApiError::Internal(format!("the node gave the answer to {reply} for something else"))
}

/// Waiting for something to have changed.
pub(super) struct News<'a, R, N> {
    app: &'a App<R, N>,
    view: watch::Receiver<Arc<View>>,
    started: Time,
    deadline: Time,
    pause: Duration,
}

impl<'a, R: Runtime, N> News<'a, R, N> {
    pub(super) fn new(app: &'a App<R, N>, deadline: Time) -> Self {
        News { app, view: app.context.handle.view(), started: app.now(), deadline, pause: FIRST_PAUSE }
    }

    /// The newest view. What changes from now on is news.
    pub(super) fn look(&mut self) -> Arc<View> {
        self.view.look()
    }

    /// Waits until the view changes. Not long, though: the answer may depend on more than the view.
    ///
    /// # Errors
    /// `no_leader` at the deadline.
    pub(super) async fn wait(&mut self) -> Result<(), ApiError> {
        let remaining = self.deadline.since(self.app.now());
        if remaining.is_zero() {
            return Err(self.no_leader());
        }
        let sleep = self.app.context.runtime.sleep(self.pause.min(remaining));
        self.pause = (self.pause * 2).min(LAST_PAUSE);
        let shutdown = &self.app.context.shutdown;
        match race(shutdown.called_last(), race(self.view.changed(), sleep)).await {
            // Nothing was done, and the client has to hear that from somebody.
            Either::Left(()) | Either::Right(Either::Left(Err(_))) => Err(ApiError::ShuttingDown),
            Either::Right(Either::Left(Ok(())) | Either::Right(())) => Ok(()),
        }
    }

    fn no_leader(&self) -> ApiError {
        let waited = format_timeout(self.deadline.since(self.started));
        let is_outside = is_outside(&self.view.current());
        if is_outside { ApiError::Outside(waited) } else { ApiError::NoLeader(waited) }
    }
}
