//! Join tokens: made, spent, ended, and nodes that may come in without.

use crate::cluster::{Cluster, contact, id, set};
use quorate_node::raft::{Contact, Learner, Members, TokenFault, TokenHash};
use quorate_node::{Entrance, Refusal, Reply, Request};
use std::time::Duration;

const TOKEN: TokenHash = TokenHash([7; 32]);
const HOUR_MS: u64 = 3_600_000;

fn make(token: TokenHash, ttl_ms: u64) -> Request {
    Request::AddToken { token, ttl_ms }
}

fn join_by(number: u128, token: TokenHash) -> Request {
    let (id, contact) = (id(number), contact(number));
    Request::AddLearner {
        id,
        learner: Learner::Standing,
        contact,
        replaces: None,
        entrance: Entrance::Token(token),
    }
}

#[track_caller]
fn refused(replies: &[Reply]) -> TokenFault {
    match replies {
        [Reply::Refused(Refusal::BadToken(fault))] => *fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_join_token_lets_one_node_in_and_the_same_again_under_every_leader() {
    let mut cluster = Cluster::led_by_one();
    cluster.ask(1, 1, join_by(4, TOKEN));
    assert_eq!(refused(&cluster.replies_to(1)), TokenFault::Unknown);
    cluster.ask(1, 2, make(TOKEN, HOUR_MS));
    let [Reply::MembersChanged { index: made }] = cluster.replies_to(2)[..] else { panic!("it is made") };
    cluster.ask(1, 3, make(TOKEN, HOUR_MS));
    assert_eq!(cluster.replies_to(3), [Reply::MembersChanged { index: made }], "it is there already");
    cluster.ask(1, 4, join_by(4, TOKEN));
    let [Reply::MembersChanged { index }] = cluster.replies_to(4)[..] else { panic!("it is let in") };
    cluster.ask(1, 5, Request::Transfer(Some(id(2))));
    assert_eq!(cluster.replies_to(5), [Reply::Transferred { leader: id(2) }]);
    cluster.pass(Duration::from_millis(100));
    cluster.ask(2, 6, join_by(4, TOKEN));
    assert_eq!(cluster.replies_to(6), [Reply::MembersChanged { index }], "nothing changes");
    cluster.ask(2, 7, join_by(5, TOKEN));
    assert_eq!(refused(&cluster.replies_to(7)), TokenFault::Spent(id(4)));
    // What else is changed keeps it in mind.
    cluster.ask(2, 8, set(&[1, 2, 3], &[]));
    assert!(matches!(cluster.replies_to(8)[..], [Reply::MembersChanged { .. }]));
    for (number, node) in [(9, 4), (10, 5)] {
        cluster.ask(2, number, join_by(node, TOKEN));
        assert_eq!(refused(&cluster.replies_to(number)), TokenFault::Spent(id(4)), "the one was removed");
    }
}

/// A token ends by cluster time. That goes on although nobody writes, and is not begun anew by a new leader.
#[test]
fn a_join_token_ends_while_nothing_happens_and_leaders_change() {
    let mut cluster = Cluster::led_by_one();
    cluster.pass(Duration::from_secs(60));
    cluster.ask(1, 1, make(TOKEN, 180_000));
    for (leader, next) in [(1, 2), (2, 1)] {
        cluster.pass(Duration::from_secs(89));
        assert!(cluster.nodes[&id(leader)].kv().time().0 > 80_000, "it is stamped though nobody writes");
        cluster.ask(leader, 2, Request::Transfer(Some(id(next))));
        cluster.pass(Duration::from_millis(100));
        assert!(matches!(cluster.replies_to(2)[..], [Reply::Transferred { .. }]));
    }
    // Each change of leader may have cost as much as there is between two stamps, and no more.
    cluster.pass(Duration::from_secs(3 + 2 * 60));
    cluster.ask(1, 3, join_by(4, TOKEN));
    assert_eq!(refused(&cluster.replies_to(3)), TokenFault::Ended);
    let stamped = cluster.nodes[&id(1)].kv().time();
    cluster.pass(Duration::from_secs(200));
    assert_eq!(cluster.nodes[&id(1)].kv().time(), stamped, "nothing is stamped for what has ended");
}

#[test]
fn a_join_token_is_spent_by_the_change_that_replaces_a_node() {
    let mut cluster = Cluster::led_by_one();
    cluster.ask(1, 1, make(TOKEN, HOUR_MS));
    cluster.nodes.remove(&id(3));
    cluster.pass(Duration::from_millis(600));
    let replacing = |number, replaces| Request::AddLearner {
        id: id(number),
        learner: Learner::Joining,
        contact: contact(3),
        replaces,
        entrance: Entrance::Token(TOKEN),
    };
    cluster.ask(1, 2, replacing(4, None));
    assert_eq!(cluster.replies_to(2), [Reply::Refused(Refusal::AddressInUse { by: id(3) })]);
    cluster.ask(1, 3, replacing(4, Some(id(3))));
    assert!(matches!(cluster.replies_to(3)[..], [Reply::MembersChanged { .. }]));
    cluster.ask(1, 4, replacing(5, Some(id(4))));
    assert_eq!(refused(&cluster.replies_to(4)), TokenFault::Spent(id(4)));
    cluster.ask(1, 5, replacing(4, Some(id(3))));
    assert!(matches!(cluster.replies_to(5)[..], [Reply::MembersChanged { .. }]), "the reply was lost");
}

#[test]
fn join_tokens_are_bounded_in_number() {
    let mut cluster = Cluster::led_by_one();
    let token = |number: usize| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_le_bytes());
        TokenHash(hash)
    };
    for number in 0..Members::MOST_TOKENS {
        cluster.ask(1, 1, make(token(number), 60_000));
    }
    assert_eq!(cluster.replies_to(1).len(), Members::MOST_TOKENS);
    cluster.ask(1, 2, make(TOKEN, 60_000));
    assert_eq!(cluster.replies_to(2), [Reply::Refused(Refusal::TooManyTokens)]);
    cluster.pass(Duration::from_secs(61));
    cluster.ask(1, 3, make(TOKEN, 60_000));
    assert!(matches!(cluster.replies_to(3)[..], [Reply::MembersChanged { .. }]), "those have ended");
    assert_eq!(cluster.nodes[&id(1)].view().members.tokens.len(), 1);
}

/// A member that says that it has moved, and was removed a moment ago, does not come back by that.
#[test]
fn who_may_only_move_is_not_added() {
    let mut cluster = Cluster::led_by_one();
    let moved = |number, port: u16| {
        let contact = Contact { address: format!("10.0.0.{number}:{port}"), ..Contact::default() };
        let (id, learner) = (id(number), Learner::Standing);
        Request::AddLearner { id, learner, contact, replaces: None, entrance: Entrance::Shut }
    };
    cluster.ask(1, 1, moved(3, 9999));
    assert!(matches!(cluster.replies_to(1)[..], [Reply::MembersChanged { .. }]));
    assert_eq!(cluster.nodes[&id(1)].view().members.contacts[&id(3)].address, "10.0.0.3:9999");
    cluster.ask(1, 2, moved(4, 9080));
    assert_eq!(cluster.replies_to(2), [Reply::Refused(Refusal::MemberNotFound(id(4)))]);
}
