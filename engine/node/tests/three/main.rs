//! Three nodes with disks and links that are instant, when there are any: changes of members, hand-overs, and leases,
//! as a host sees them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod tokens;

use cluster::{Cluster, contact, id, set};
use quorate_node::kv::{Action, Put};
use quorate_node::raft::{Done, Learner, Role, Room};
use quorate_node::{Entrance, Input, ReadLevel, Refusal, Reply, Request, RequestId};
use std::time::Duration;

fn put() -> Request {
    Request::write(Action::Put(Put::for_good(b"a".as_slice().into(), b"1".as_slice().into())))
}

fn get(level: ReadLevel) -> Request {
    Request::get(b"a".as_slice().into(), level)
}

/// A leader with room among followers without: all that it could take would wait for them.
#[test]
fn a_majority_of_full_followers_refuses_what_needs_space() {
    let room = |spare_segments| {
        let segment_bytes = 1 << 20;
        let (rest_bytes, newest_segment, is_reserved) = (100, 1, false);
        Room { rest_bytes, spare_segments, segment_bytes, newest_segment, is_reserved }
    };
    let mut cluster = Cluster::led_by_one();
    let full = Input::Done(Done::Room(Some(room(2))));
    cluster.feed(id(2), full.clone());
    cluster.pass(Duration::from_millis(200));
    cluster.ask(1, 1, put());
    assert!(matches!(cluster.replies_to(1)[..], [Reply::Written { .. }]), "one of three may be full");
    cluster.feed(id(3), full);
    cluster.pass(Duration::from_millis(200));
    cluster.ask(1, 2, put());
    assert_eq!(cluster.replies_to(2), [Reply::Refused(Refusal::DiskFull)]);
    assert_eq!(cluster.nodes[&id(1)].view().role, Role::Leader, "nobody would be a better leader");
    cluster.ask(1, 3, Request::write(Action::Delete { key: b"a".as_slice().into() }));
    cluster.ask(1, 4, get(ReadLevel::Linearizable));
    cluster.ask(1, 5, set(&[1, 2], &[3]));
    cluster.pass(Duration::from_millis(200));
    assert!(matches!(cluster.replies_to(3)[..], [Reply::Written { .. }]));
    assert!(matches!(cluster.replies_to(4)[..], [Reply::Read { .. }]));
    assert!(matches!(cluster.replies_to(5)[..], [Reply::MembersChanged { .. }]), "{:?}", cluster.replies);
    cluster.ask(1, 6, put());
    assert_eq!(cluster.replies_to(6), [Reply::Refused(Refusal::DiskFull)], "both voters are needed");
    cluster.feed(id(2), Input::Done(Done::Room(None)));
    cluster.pass(Duration::from_millis(200));
    cluster.ask(1, 7, put());
    assert!(matches!(cluster.replies_to(7)[..], [Reply::Written { .. }]));
}

#[test]
fn a_hand_over_is_answered_when_somebody_else_leads() {
    let mut cluster = Cluster::led_by_one();
    cluster.ask(1, 1, Request::Transfer(Some(id(3))));
    assert_eq!(cluster.replies_to(1), [Reply::Transferred { leader: id(3) }]);
    cluster.ask(3, 2, Request::Transfer(Some(id(3))));
    assert_eq!(cluster.replies_to(2), [Reply::Transferred { leader: id(3) }], "it is so already");
    cluster.ask(1, 3, Request::Transfer(None));
    assert_eq!(cluster.replies_to(3), [Reply::NotLeader { leader: Some(id(3)) }]);
    cluster.ask(3, 4, Request::Transfer(Some(id(9))));
    assert_eq!(cluster.replies_to(4), [Reply::Refused(Refusal::MemberNotFound(id(9)))]);
}

#[test]
fn a_write_waits_for_the_end_of_a_hand_over() {
    let mut cluster = Cluster::led_by_one();
    cluster.cut.insert(id(3));
    cluster.ask(1, 1, Request::Transfer(Some(id(3))));
    cluster.ask(1, 2, put());
    cluster.ask(1, 3, put());
    assert!(cluster.replies.is_empty(), "none has ended: {:?}", cluster.replies);
    cluster.feed(id(1), Input::Cancel(RequestId(3)));
    assert_eq!(
        cluster.replies_to(3),
        [Reply::NotLeader { leader: None }],
        "it was not proposed, for certain"
    );
    assert!(cluster.replies.is_empty(), "the others wait on: {:?}", cluster.replies);
    // Node 3 does not take over, so after an election timeout node 1 leads on.
    cluster.pass(Duration::from_millis(700));
    assert_eq!(cluster.replies_to(1), [Reply::Refused(Refusal::NoSuccessor)]);
    assert!(matches!(cluster.replies_to(2)[..], [Reply::Written { .. }]));
    assert!(cluster.replies_to(3).is_empty(), "it was canceled before it was proposed");
    assert_eq!(cluster.nodes[&id(1)].kv().revision().0, 1);
}

#[test]
fn a_write_that_waited_is_for_the_next_leader() {
    let mut cluster = Cluster::led_by_one();
    cluster.cut.insert(id(3));
    cluster.ask(1, 1, Request::Transfer(Some(id(3))));
    cluster.ask(1, 2, put());
    cluster.cut.clear();
    cluster.pass(Duration::from_millis(100));
    assert_eq!(cluster.replies_to(1), [Reply::Transferred { leader: id(3) }]);
    assert!(matches!(cluster.replies_to(2)[..], [Reply::NotLeader { .. }]), "nothing of it was done");
}

/// A leader that is removed while it hands over may never hear who leads after it.
#[test]
fn whoever_waits_for_the_hand_over_of_a_removed_leader_is_answered() {
    let mut cluster = Cluster::led_by_one();
    cluster.cut = [id(2), id(3)].into();
    cluster.ask(1, 1, Request::Remove(id(1)));
    cluster.ask(1, 2, Request::Transfer(Some(id(2))));
    cluster.ask(1, 3, put());
    assert_eq!(cluster.replies, [], "all three wait");
    cluster.cut.clear();
    cluster.pass(Duration::from_millis(400));
    assert!(matches!(cluster.replies_to(1)[..], [Reply::MembersChanged { .. }]));
    assert_eq!(cluster.replies_to(2), [Reply::NotLeader { leader: None }]);
    assert_eq!(cluster.replies_to(3), [Reply::NotLeader { leader: None }], "nothing of it was done");
    assert_eq!(cluster.nodes[&id(2)].view().role, Role::Leader);
}

/// What waits for the end of a hand-over takes memory like what waits to be committed, and is bounded like that.
#[test]
fn no_more_waits_for_the_end_of_a_hand_over_than_there_is_room_for() {
    let write = |bytes: usize| {
        Request::write(Action::Put(Put::for_good(b"a".as_slice().into(), vec![7; bytes].into())))
    };
    let mut cluster = Cluster::with_room(10_000);
    cluster.cut.insert(id(3));
    cluster.ask(1, 1, Request::Transfer(Some(id(3))));
    // One that is larger than all the room has to get through somehow, too.
    cluster.ask(1, 2, write(20_000));
    cluster.ask(1, 3, write(1));
    assert_eq!(cluster.replies, [(3, Reply::Refused(Refusal::Overloaded))]);
    cluster.replies.clear();
    // What is waited for no more makes room.
    cluster.feed(id(1), Input::Cancel(RequestId(2)));
    assert_eq!(cluster.replies_to(2), [Reply::NotLeader { leader: None }]);
    for number in 4..8 {
        cluster.ask(1, number, write(3_000));
    }
    assert_eq!(cluster.replies, [(7, Reply::Refused(Refusal::Overloaded))]);
    cluster.replies.clear();
    cluster.pass(Duration::from_millis(700));
    let written = (4..7).filter(|number| matches!(cluster.replies_to(*number)[..], [Reply::Written { .. }]));
    assert_eq!(written.count(), 3, "{:?}", cluster.replies);
    cluster.replies.clear();
    // And so does a hand-over that has ended.
    cluster.cut.insert(id(2));
    cluster.ask(1, 8, Request::Transfer(Some(id(2))));
    cluster.ask(1, 9, write(9_000));
    assert_eq!(cluster.replies, [], "both wait");
}

/// A node that has too much to do must still be able to hand over: mostly it ends for that very reason.
#[test]
fn leadership_is_handed_over_however_much_waits() {
    let mut cluster = Cluster::led_by_one();
    cluster.cut.extend([id(2), id(3)]);
    for number in 1..=101 {
        cluster.ask(1, number, put());
    }
    assert_eq!(cluster.replies, [(101, Reply::Refused(Refusal::Overloaded))]);
    cluster.ask(1, 102, Request::Transfer(Some(id(2))));
    assert_eq!(cluster.replies_to(102), [], "it is under way");
    cluster.cut.clear();
    cluster.pass(Duration::from_millis(400));
    assert_eq!(cluster.replies_to(102), [Reply::Transferred { leader: id(2) }]);
    assert!((1..=100).all(|number| matches!(cluster.replies_to(number)[..], [Reply::Written { .. }])));
}

#[test]
fn a_joint_change_is_answered_when_it_has_ended() {
    let mut cluster = Cluster::led_by_one();
    cluster.ask(1, 1, set(&[1], &[2]));
    assert!(matches!(cluster.replies_to(1)[..], [Reply::MembersChanged { .. }]));
    let view = cluster.nodes[&id(1)].view();
    assert_eq!((view.members.voters.len(), view.members.is_joint()), (1, false));
    assert_eq!(view.members.learners.get(&id(2)), Some(&Learner::Standing));
    cluster.ask(1, 2, set(&[1], &[2]));
    assert!(matches!(cluster.replies_to(2)[..], [Reply::MembersChanged { .. }]), "it is so already");
}

#[test]
fn a_joint_change_that_half_of_the_old_voters_do_not_hear_of_waits() {
    let mut cluster = Cluster::led_by_one();
    cluster.cut = [id(2), id(3)].into();
    cluster.ask(1, 1, set(&[1], &[]));
    assert!(cluster.replies.is_empty());
    cluster.ask(1, 2, set(&[1], &[]));
    cluster.ask(1, 3, set(&[1, 2], &[]));
    assert_eq!(cluster.replies_to(3), [Reply::Refused(Refusal::ChangeInProgress)]);
    cluster.cut.clear();
    cluster.pass(Duration::from_millis(200));
    assert!(matches!(cluster.replies_to(1)[..], [Reply::MembersChanged { .. }]));
    assert!(matches!(cluster.replies_to(2)[..], [Reply::MembersChanged { .. }]), "asked again meanwhile");
}

#[test]
fn changes_that_can_not_be_are_refused() {
    let mut cluster = Cluster::led_by_one();
    for (request, refusal) in [
        (set(&[1, 7], &[]), Refusal::MemberNotFound(id(7))),
        (Request::Remove(id(7)), Refusal::MemberNotFound(id(7))),
        (Request::Promote(id(7)), Refusal::MemberNotFound(id(7))),
    ] {
        cluster.ask(1, 1, request);
        assert_eq!(cluster.replies_to(1), [Reply::Refused(refusal)]);
    }
    for request in [set(&[1, 2], &[2]), set(&[], &[1])] {
        cluster.ask(1, 2, request);
        assert!(matches!(cluster.replies_to(2)[..], [Reply::Refused(Refusal::BadChange(_))]));
    }
    cluster.cut.insert(id(2));
    cluster.pass(Duration::from_millis(600));
    cluster.ask(1, 3, Request::Remove(id(3)));
    assert_eq!(cluster.replies_to(3), [Reply::Refused(Refusal::WouldLoseQuorum)]);
}

#[test]
fn a_wiped_node_takes_the_place_of_its_former_self() {
    let mut cluster = Cluster::led_by_one();
    cluster.nodes.remove(&id(3));
    let join = |replaces| Request::AddLearner {
        id: id(4),
        learner: Learner::Joining,
        contact: contact(3),
        replaces,
        entrance: Entrance::Open,
    };
    cluster.ask(1, 1, join(None));
    assert_eq!(cluster.replies_to(1), [Reply::Refused(Refusal::AddressInUse { by: id(3) })]);
    // It may be somewhere else by now, and is heard; and who leads always is somewhere.
    cluster.ask(1, 4, join(Some(id(3))));
    assert_eq!(cluster.replies_to(4), [Reply::Refused(Refusal::AddressInUse { by: id(3) })]);
    cluster.ask(1, 5, join(Some(id(1))));
    assert_eq!(cluster.replies_to(5), [Reply::Refused(Refusal::AddressInUse { by: id(1) })]);
    cluster.pass(Duration::from_millis(600));
    cluster.ask(1, 2, join(Some(id(3))));
    assert!(matches!(cluster.replies_to(2)[..], [Reply::MembersChanged { .. }]));
    let members = cluster.nodes[&id(1)].view().members;
    assert!(!members.contains(id(3)) && members.learners.contains_key(&id(4)));
    cluster.ask(1, 3, join(Some(id(3))));
    assert!(matches!(cluster.replies_to(3)[..], [Reply::MembersChanged { .. }]), "the reply was lost");
}

#[test]
fn a_read_by_lease_says_nothing_to_anybody() {
    let mut cluster = Cluster::led_by_one();
    cluster.ask(1, 1, put());
    let before = cluster.sent;
    cluster.ask(1, 2, get(ReadLevel::Lease));
    assert_eq!(cluster.sent, before);
    assert!(matches!(&cluster.replies_to(2)[..], [Reply::Read { entry: Some(_), .. }]));
    cluster.ask(1, 3, get(ReadLevel::Linearizable));
    assert!(cluster.sent > before);
    // A follower asks its leader, which need not ask anybody.
    let before = cluster.sent;
    cluster.ask(2, 4, get(ReadLevel::Lease));
    assert!(matches!(&cluster.replies_to(4)[..], [Reply::Read { .. }]));
    assert_eq!(cluster.sent - before, 2);
}

#[test]
fn without_a_lease_a_round_decides() {
    let mut cluster = Cluster::led_by_one();
    // As after a pause: nothing was heard, and its timers have not fired yet.
    cluster.now = cluster.now + Duration::from_millis(480);
    cluster.cut = [id(2), id(3)].into();
    cluster.ask(1, 1, get(ReadLevel::Lease));
    assert!(cluster.replies.is_empty(), "its lease has ended, and nobody confirms that it leads");
    cluster.cut.clear();
    cluster.pass(Duration::from_millis(100));
    assert!(matches!(cluster.replies_to(1)[..], [Reply::Read { .. }]));
}

/// A follower's configuration may be an old one, in which a member is missing or an address is taken that is not.
#[test]
fn who_does_not_lead_judges_no_change() {
    let mut cluster = Cluster::led_by_one();
    let join = Request::AddLearner {
        id: id(4),
        learner: Learner::Joining,
        contact: contact(3),
        replaces: None,
        entrance: Entrance::Open,
    };
    for request in
        [set(&[1, 7], &[]), set(&[1, 2], &[2]), join, Request::Remove(id(7)), Request::Promote(id(7))]
    {
        cluster.ask(2, 1, request);
        assert_eq!(cluster.replies_to(1), [Reply::NotLeader { leader: Some(id(1)) }]);
    }
}

/// A leader that was stopped for a while has a successor, which may have undone what it takes for so.
#[test]
fn what_is_so_already_is_confirmed() {
    for request in [Request::Promote(id(3)), set(&[1, 2, 3], &[]), Request::Transfer(Some(id(1)))] {
        let mut cluster = Cluster::led_by_one();
        let sleeper = cluster.nodes.remove(&id(1)).unwrap();
        cluster.pass(Duration::from_secs(2));
        let leader = cluster.nodes[&id(2)].view().leader.unwrap();
        cluster.ask(leader.0, 1, Request::Remove(id(1)));
        assert!(matches!(cluster.replies_to(1)[..], [Reply::MembersChanged { .. }]));
        cluster.nodes.insert(id(1), sleeper);
        cluster.cut.insert(id(1));
        cluster.ask(1, 2, request.clone());
        assert_eq!(cluster.replies, [], "nobody has confirmed that it leads");
        cluster.cut.clear();
        cluster.pass(Duration::from_millis(1_000));
        assert!(matches!(cluster.replies_to(2)[..], [] | [Reply::NotLeader { .. }]));

        let mut cluster = Cluster::led_by_one();
        cluster.ask(1, 3, request);
        let reply = cluster.replies_to(3);
        assert!(matches!(reply[..], [Reply::MembersChanged { .. } | Reply::Transferred { .. }]), "{reply:?}");
    }
}

/// Without a leader reads wait for as long as their deadlines allow, and are then forgotten.
#[test]
fn reads_that_nobody_waits_for_take_no_room() {
    let mut cluster = Cluster::led_by_one();
    cluster.cut = [id(1), id(2), id(3)].into();
    cluster.pass(Duration::from_secs(2));
    cluster.ask(3, 1, get(ReadLevel::Linearizable));
    for number in 2..70_000 {
        cluster.ask(3, number, get(ReadLevel::Linearizable));
        cluster.feed(id(3), Input::Cancel(RequestId(number)));
    }
    assert!(cluster.replies.is_empty(), "some were refused");
    cluster.cut.clear();
    cluster.pass(Duration::from_secs(3));
    assert!(matches!(cluster.replies[..], [(1, Reply::Read { .. })]));
}
