//! How long a leader waits for its disk, for the mending of what it lost, and for those whom it has removed.

use crate::host::{Host, ME, found, members};
use quorate_raft::{Config, Entry, Envelope, Event, Index, LogId, Message, NodeId, Payload, StepDownCause};

/// An election timeout, in milliseconds; a heartbeat is sent every 50.
const PATIENCE: u64 = 500;

fn config() -> Config {
    Config::new(ME, 1)
}

fn resignation(host: &Host) -> Option<StepDownCause> {
    host.events.iter().find_map(|event| match event {
        Event::SteppedDown { cause, .. } => Some(*cause),
        _ => None,
    })
}

/// Heartbeats are sent and answered for so long. Says which of the times from now on brought one for this node.
fn beats(host: &mut Host, to: NodeId, millis: u64) -> Vec<u64> {
    let mut beats = Vec::new();
    for at in (50..=millis).step_by(50) {
        host.advance(50);
        let is_beat =
            |envelope: &Envelope| envelope.to == to && matches!(envelope.message, Message::Heartbeat { .. });
        if host.answer().iter().any(is_beat) {
            beats.push(at);
        }
    }
    beats
}

#[test]
fn a_write_that_waits_for_longer_than_an_election_timeout_costs_the_office() {
    let mut host = Host::leader(config(), &[1]);
    host.holds_disk = true;
    host.propose(8);
    host.advance(PATIENCE);
    assert_eq!(resignation(&host), None, "not longer");
    host.advance_micros(1);
    assert_eq!(resignation(&host), Some(StepDownCause::SlowDisk));
}

#[test]
fn a_write_that_waits_for_longer_than_three_quarters_of_that_has_the_office_handed_over() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    host.advance(25);
    host.holds_disk = true;
    host.propose(8);
    host.answer();
    host.advance(25);
    let begun = |host: &Host| host.events.iter().any(|event| matches!(event, Event::TransferBegun { .. }));
    beats(&mut host, ME, 350);
    assert!(!begun(&host), "375 milliseconds are not longer");
    beats(&mut host, ME, 50);
    assert!(begun(&host));
}

/// Patience with damage begins anew with each slot that is mended: then others can do it, and it is a matter of time.
#[test]
fn a_leader_whose_damage_is_being_mended_leads_on() {
    for is_mended in [true, false] {
        let mut found = found(&[members(&[1, 2, 3]), members(&[1, 2, 3]), members(&[1, 2, 3])]);
        let lost = [LogId::new(1, 2), LogId::new(1, 3)];
        (found.damaged, found.commit_hint) = (lost.to_vec(), Index(3));
        let mut host = Host::open(config(), found);
        host.advance(1);
        let nonce = host.sent.iter().find_map(|envelope| match envelope.message {
            Message::Ask { nonce, .. } => Some(nonce),
            _ => None,
        });
        host.win();
        beats(&mut host, ME, 400);
        if is_mended {
            let entries =
                vec![Entry { id: lost[0], payload: Payload::Members(Box::new(members(&[1, 2, 3]))) }];
            let (nonce, committed) = (nonce.unwrap(), LogId::ZERO);
            host.hear(2, Message::Tell { nonce, entries, leads_to: None, committed, report: None });
            assert_eq!(host.core.status().damaged, 1);
        }
        beats(&mut host, ME, 400);
        assert_eq!(resignation(&host), (!is_mended).then_some(StepDownCause::Damage));
        beats(&mut host, ME, 200);
        assert_eq!(resignation(&host), Some(StepDownCause::Damage), "the other is not mended");
    }
}

const REMOVED: NodeId = NodeId(3);

#[test]
fn who_was_removed_is_supplied_for_two_election_timeouts() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    host.core.remove(host.now, REMOVED).unwrap();
    host.drain();
    host.answer();
    let beats = beats(&mut host, REMOVED, 4 * PATIENCE);
    assert_eq!(beats.last(), Some(&(2 * PATIENCE - 50)), "{beats:?}");
    assert_eq!(beats.len(), 19, "without a gap: {beats:?}");
}

#[test]
fn that_time_begins_when_the_removal_is_committed() {
    let mut host = Host::leader(config(), &[1, 2, 3]);
    host.silent.insert(NodeId(2));
    let removal = host.core.remove(host.now, REMOVED).unwrap();
    host.drain();
    let open = beats(&mut host, REMOVED, 300);
    assert!(host.core.status().commit < removal.index);
    host.silent.clear();
    host.hear(2, Message::Appended { matched: removal.index });
    assert_eq!(host.core.status().commit, removal.index);
    let beats = beats(&mut host, REMOVED, 4 * PATIENCE);
    assert_eq!((open.len(), beats.last()), (6, Some(&(2 * PATIENCE - 50))), "{open:?} {beats:?}");
}

/// The leader that removed it may be gone as well.
#[test]
fn a_new_leader_supplies_whom_the_last_change_removed_for_as_long() {
    let mut host = Host::open(config(), found(&[members(&[1, 2, 3]), members(&[1, 2])]));
    host.win();
    assert_eq!(host.core.status().commit, Index(3));
    let beats = beats(&mut host, REMOVED, 4 * PATIENCE);
    assert_eq!((beats.len(), beats.last()), (19, Some(&(2 * PATIENCE - 50))), "{beats:?}");
}
