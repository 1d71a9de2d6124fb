//! What a request may cost when nothing is wrong.

use super::audits::{fleeting, transfer};
use super::{Story, append_request};
use crate::audit::Errand;
use crate::observe::{MessageKind, Observation};
use crate::plan::{Plan, Scenario};

/// A calm run of three servers with one write and one read, in which so many messages of these kinds were sent.
fn calm(messages: &[(MessageKind, u64)], syncs: u64) -> Story {
    calm_under(Scenario::Calm, messages, syncs)
}

fn calm_under(scenario: Scenario, messages: &[(MessageKind, u64)], syncs: u64) -> Story {
    let mut plan = Plan::new(scenario, 1);
    plan.cluster.servers = 3;
    plan.faults.clear();
    let story = Story::of(&plan).puts(1, 0, "a").holds(1, append_request(1, (1, 1), (1, 0))).commits(1, 1, 1);
    let story = story.written(1, 0, 2).gets(2, 0, "a").reads(2, 0, (1, 0), 2);
    let told = [1, 2, 3].into_iter().fold(story, |story, host| {
        let share = syncs / 3 + u64::from(u64::from(host) <= syncs % 3);
        story.sees(Observation::Cost { host, syncs: share })
    });
    let all = messages.iter().flat_map(|(kind, count)| (0..*count).map(move |_| *kind));
    // Host 2 asks host 1, which answers when host 3 has confirmed that it leads.
    all.fold(told, |story, kind| match kind {
        MessageKind::ReadIndex => {
            let asked = story.says(2, 1, 1, kind, [0, 0, 0]).hears_message(2, 1, 1, kind, [0, 0, 0]);
            asked.hears_message(3, 1, 1, MessageKind::HeartbeatReply, [1, 0, 0])
        }
        _ => story.says(1, 2, 1, kind, [0, 0, 0]),
    })
}

// Three servers may take 450 of anything for other reasons, and a write or a read 1.3 times what it must take.

#[test]
fn what_a_request_must_take_it_may_take() {
    let messages =
        [(MessageKind::Append, 230), (MessageKind::Appended, 225), (MessageKind::Heartbeat, 9_000)];
    calm(&messages, 453).passes();
    calm(&[(MessageKind::ReadIndex, 226), (MessageKind::ReadIndexReply, 226)], 0).passes();
}

#[test]
fn too_many_appends_are_found() {
    let appends = [(MessageKind::Append, 230), (MessageKind::Appended, 226)];
    calm(&appends, 0).alarms("cost", "1 writes and 1 reads took 456 append messages; 455 is the most");
}

#[test]
fn too_many_read_index_messages_are_found() {
    let reads = [(MessageKind::ReadIndex, 227), (MessageKind::ReadIndexReply, 226)];
    calm(&reads, 0).alarms("cost", "took 453 read index messages; 452 is the most");
}

#[test]
fn too_many_syncs_are_found() {
    calm(&[], 454).alarms("cost", "took 454 syncs; 453 is the most");
}

#[test]
fn what_auditors_ask_counts_as_what_it_is() {
    let errands = |count| {
        let appends = [(MessageKind::Append, 230), (MessageKind::Appended, count)];
        let story = calm(&appends, 0).audits(1, 1, transfer()).audits(1, 2, fleeting());
        story.audits(1, 3, Errand::Past { key: "a".to_owned(), revision: 0 })
    };
    // Of a transfer, and of a key that is written and goes: three writes beside the one of a client.
    errands(240).passes();
    errands(241).alarms("cost", "4 writes and 1 reads took 471 append messages; 470 is the most");
    let list = Errand::List { prefix: String::new(), after: None, limit: 1, revision: None, fresh: true };
    let reads = |errands: usize| {
        let asked = calm(&[(MessageKind::ReadIndex, 228), (MessageKind::ReadIndexReply, 227)], 0);
        (0..errands).fold(asked, |story, number| story.audits(1, number as u64, list.clone()))
    };
    reads(1).passes();
    reads(0).alarms("cost", "took 455 read index messages; 452 is the most");
}

#[test]
fn under_faults_nothing_is_promised() {
    calm_under(Scenario::Swarm, &[(MessageKind::Append, 9_000)], 9_000).passes();
}
