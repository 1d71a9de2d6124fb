//! Clients: one request at a time, to any server; unknown outcomes stay unknown.

use quorate_node::Reply;
use quorate_node::kv::Outcome as KvOutcome;
use quorate_node::raft::Time;

use super::CoreStack;
use super::queue::{Answer, What};
use crate::bounds::OPERATOR;
use crate::history::{Call, Outcome};
use crate::identity::machine_of;
use crate::plan::{FIRST_CLIENT, Host};
use crate::source::{RETRY_PAUSE, Source};
use crate::tap::host_of;
use crate::workload::{Ask, name_of};

/// How often a client follows a server that names another as the leader, for one try.
const MOST_HINTS: u32 = 3;

/// A client.
pub(super) struct Client {
    number: u8,
    source: Source,
    /// Counts every try of every request, so that a late answer is known as one.
    attempt: u64,
    current: Option<Current>,
}

/// The request under way.
struct Current {
    ask: Ask,
    invoked: Time,
    to: Host,
    tries: u32,
    hints: u32,
    /// Some try may have been done: that a later one was not says nothing of it.
    may_be_done: bool,
}

impl Client {
    pub(super) fn new(number: u8, source: Source) -> Self {
        Client { number, source, attempt: 0, current: None }
    }
}

impl CoreStack {
    /// A client begins; it is done when it is no longer among the clients.
    pub(super) fn add_client(&mut self, client: Client) {
        let number = client.number;
        self.clients.insert(number, client);
        self.next_request(number);
    }

    /// The client's next request, after a pause; without one the client is done.
    fn next_request(&mut self, number: u8) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Some((pause, ask, to)) = client.source.next(now) else {
            self.clients.remove(&number);
            return;
        };
        client.current =
            Some(Current { ask, invoked: now + pause, to, tries: 0, hints: 0, may_be_done: false });
        self.queue.outside(now + pause, What::Wake { client: number });
    }

    /// The client sends its request, or sends it again.
    pub(super) fn client_asks(&mut self, number: u8) {
        let now = self.now;
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Some(current) = &client.current else { return };
        client.attempt += 1;
        let (attempt, to, ask) = (client.attempt, current.to, current.ask.clone());
        let patience = client.source.patience();
        self.world.asks(now, &ask, to);
        self.queue.outside(now + patience, What::GiveUp { client: number, attempt });
        let link = (FIRST_CLIENT + number, to);
        let packet = self.world.net.packet(now, link, 100, &mut self.world.judge.fired);
        self.queue.at_host(packet.arrives, to, What::Request { attempt, ask: Box::new(ask) });
    }

    /// A server's answer sets out.
    pub(super) fn answer(&mut self, host: Host, client: u8, attempt: u64, answer: Answer) {
        let link = (host, FIRST_CLIENT + client);
        let packet = self.world.net.packet(self.now, link, 100, &mut self.world.judge.fired);
        self.queue.outside(packet.arrives, What::Answer { client, attempt, answer });
    }

    pub(super) fn client_hears(&mut self, number: u8, attempt: u64, answer: &Answer) {
        let now = self.now;
        if number == OPERATOR {
            return self.operator_hears(attempt, answer);
        }
        if self.auditor_hears(number, attempt, Some(answer)) {
            return;
        }
        let Some(client) = self.clients.get_mut(&number).filter(|client| client.attempt == attempt) else {
            return;
        };
        let Some(current) = &mut client.current else { return };
        let (outcome, revision) = heard(answer, &current.ask.call, now);
        current.may_be_done |= outcome == Outcome::Unknown;
        let is_open = matches!(outcome, Outcome::Unknown | Outcome::Failed) && current.may_be_done;
        if is_open && client.source.asks_again(&current.ask, current.tries) {
            return self.ask_again(number);
        }
        if is_open {
            return self.settle(number, Outcome::Unknown, None);
        }
        if outcome != Outcome::Failed {
            return self.settle(number, outcome, revision);
        }
        if let Answer::Reply(reply) = answer
            && let Reply::NotLeader { leader: Some(leader) } = **reply
            && current.hints < MOST_HINTS
        {
            current.hints += 1;
            current.to = machine_of(host_of(leader.0));
            self.queue.outside(now, What::Wake { client: number });
            return;
        }
        client.source.was_no_help();
        if current.tries >= client.source.retries() {
            return self.settle(number, Outcome::Failed, None);
        }
        self.ask_again(number);
    }

    /// The same request once more, elsewhere.
    fn ask_again(&mut self, number: u8) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Some(current) = &mut client.current else { return };
        current.tries += 1;
        current.to = client.source.elsewhere(current.to);
        // An answer to the try before can't come any more.
        client.attempt += 1;
        self.queue.outside(self.now + RETRY_PAUSE, What::Wake { client: number });
    }

    pub(super) fn client_gives_up(&mut self, number: u8, attempt: u64) {
        if self.auditor_hears(number, attempt, None) {
            return;
        }
        let Some(client) = self.clients.get_mut(&number).filter(|client| client.attempt == attempt) else {
            return;
        };
        let Some(current) = &mut client.current else { return };
        current.may_be_done = true;
        client.source.was_no_help();
        let link = (FIRST_CLIENT + number, current.to);
        let packet = self.world.net.packet(self.now, link, 60, &mut self.world.judge.fired);
        self.queue.at_host(packet.arrives, current.to, What::HangUp { client: number, attempt });
        if client.source.asks_again(&current.ask, current.tries) {
            return self.ask_again(number);
        }
        self.settle(number, Outcome::Unknown, None);
    }

    /// Clients go home. What becomes of the requests that they wait for nobody will know; yet it may be seen.
    pub(super) fn dismiss_clients(&mut self) {
        let now = self.now;
        for client in std::mem::take(&mut self.clients).into_values() {
            if let Some(Current { ask, invoked, .. }) =
                client.current.filter(|current| current.invoked <= now)
            {
                self.world.hears(now, invoked, ask, Outcome::Unknown, None);
            }
        }
    }

    /// The request is over.
    fn settle(&mut self, number: u8, outcome: Outcome, revision: Option<u64>) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let Some(Current { ask, invoked, .. }) = client.current.take() else { return };
        client.source.settled(&outcome);
        client.attempt += 1;
        self.world.hears(self.now, invoked, ask, outcome, revision);
        self.next_request(number);
    }
}

/// What an answer says about the request, and the revision it names.
fn heard(answer: &Answer, call: &Call, now: Time) -> (Outcome, Option<u64>) {
    let at_nanoseconds = now.0 * 1_000;
    let reply = match answer {
        Answer::Reply(reply) => reply,
        Answer::Refused => return (Outcome::Failed, None),
        Answer::Broken => return (Outcome::Unknown, None),
    };
    match &**reply {
        Reply::Written { outcome: KvOutcome::Put { revision }, .. }
        | Reply::Written { outcome: KvOutcome::Txn { succeeded: true, revision, .. }, .. } => {
            (Outcome::Written { at_nanoseconds, revision: Some(revision.0) }, Some(revision.0))
        }
        Reply::Written { outcome: KvOutcome::Txn { succeeded: false, .. }, .. } => {
            (Outcome::Refused { at_nanoseconds }, None)
        }
        // No room for another answer to be remembered: nothing was done.
        Reply::Written { outcome: KvOutcome::AnswersFull, .. } => (Outcome::Failed, None),
        Reply::Written { .. } => (Outcome::Written { at_nanoseconds, revision: None }, None),
        Reply::Read { entry, .. } if *call == Call::Get => {
            let value = entry.as_ref().map(|entry| name_of(&entry.value));
            let revision = entry.as_ref().map(|entry| entry.mod_revision.0);
            (Outcome::Read { at_nanoseconds, value }, revision)
        }
        Reply::NotLeader { .. } | Reply::Lost | Reply::Refused(_) => (Outcome::Failed, None),
        _ => (Outcome::Unknown, None),
    }
}
