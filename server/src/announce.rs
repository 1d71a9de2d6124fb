//! A node whose addresses have changed tells its cluster.
//!
//! Members are dialed at the addresses that stand in the log. A node that was given other ones, by its flags or because
//! the system chose another port, is a member at an address where nobody answers; so it has itself added again, which
//! changes the address and nothing else. And a node that is removed says so in its log, for whoever runs it.

use std::sync::Arc;
use std::time::Duration;

use quorate_client::Endpoint;
use quorate_node::raft::{Contact, Learner, NodeId};
use quorate_node::{Entrance, Reply, Request, View};
use tracing::{info, warn};

use crate::context::Context;
use crate::handle::Answer;
use crate::join::{Ask, ask_to_add};
use crate::net::Net;
use crate::runtime::{Runtime, timeout_at};

/// How long one attempt may take, and the pause after one that failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// Whether the configuration that this node knows is one without it: it was removed, or what it has of the log is from
/// before it came.
pub(crate) fn is_outside(view: &View) -> bool {
    view.members.count() > 0 && !view.members.contains(view.id)
}

/// Watches how this node stands in the log, and mends it. Ends with the driver.
pub(crate) async fn announce<R: Runtime, N: Net>(context: Arc<Context<R, N>>) {
    let mut views = context.handle.view();
    // A newcomer, who knows nobody at first, reads through the time before it came.
    let mut was_member = views.current().members.count() > 0;
    loop {
        let view = views.look();
        if was_member && is_outside(&view) {
            warn!(
                members = view.members.count(), last = %view.last,
                "this node is no member of its cluster any more, as far as its log goes: end it; to use the machine \
                 again, start it with an empty data dir and --join"
            );
        }
        was_member = view.members.contains(view.id);
        if is_stale(&view, &context.contact) && !mend(&context, &view).await {
            context.runtime.sleep(PATIENCE).await;
        } else if views.changed().await.is_err() {
            return;
        }
    }
}

/// Whether the log has other addresses for this node than it has. One that the log does not know has nothing to mend.
fn is_stale(view: &View, own: &Contact) -> bool {
    let known = view.members.contacts.get(&view.id);
    known.is_some_and(|known| known.address != own.address || known.url != own.url)
}

/// Has this node added again; false when that did not work and should be tried again. Without a leader that can do it
/// there is nothing to try: the view changes when there is one.
async fn mend<R: Runtime, N: Net>(context: &Context<R, N>, view: &View) -> bool {
    let Some(leader) = view.leader else { return true };
    let tried = if leader == view.id {
        if !view.settled {
            return true;
        }
        mend_here(context, view.id).await
    } else {
        let url = view.members.contacts.get(&leader).map(|contact| contact.url.parse());
        let Some(Ok(endpoint)) = url else { return true };
        mend_at(context, &endpoint, view.id).await
    };
    match tried {
        Ok(()) => {
            let Contact { address, url, .. } = &context.contact;
            info!(address, url, "the cluster was told this node's new address");
        }
        Err(ref reason) => {
            warn!(reason, "the cluster could not be told this node's new address; will try again");
        }
    }
    tried.is_ok()
}

async fn mend_here<R: Runtime, N: Net>(context: &Context<R, N>, id: NodeId) -> Result<(), String> {
    // What becomes of a learner is not touched when a member is only told a new contact.
    let contact = context.contact.clone();
    let request = Request::AddLearner {
        id,
        learner: Learner::Standing,
        contact,
        replaces: None,
        entrance: Entrance::Shut,
    };
    match context.handle.request(request, context.deadline_in(PATIENCE)).await {
        Answer::Reply(Reply::MembersChanged { .. }) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

async fn mend_at<R: Runtime, N: Net>(
    context: &Context<R, N>,
    leader: &Endpoint,
    id: NodeId,
) -> Result<(), String> {
    let ask = Ask { id, contact: &context.contact, replaces: None, token: None };
    let asked = ask_to_add(&context.net, leader, ask);
    match timeout_at(&context.runtime, context.deadline_in(PATIENCE), asked).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(late) => Err(late.to_string()),
    }
}
