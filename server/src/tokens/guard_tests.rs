#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_types, reason = "#[tokio::test] makes a runtime")]
use super::super::rights::Role;
use super::super::secret::Token;
use super::*;
use crate::http::{NODE, QUORATE_FOR, QUORATE_FORWARDED};
use crate::real::RealRuntime;
use crate::tokens::Rate;
use hyper::header::HeaderValue;
use std::net::Ipv4Addr;

const KEY: [u8; 32] = [3; 32];

fn token(id: u8, secret: u8) -> Token {
    Token::new([id; 8], [secret; 32])
}

fn entry(id: u8, role: Role, prefixes: &[&str]) -> Entry {
    let prefixes = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
    let token = token(id, id);
    let (name, hash) = (format!("token {id}"), token.hashed([id; 16]));
    Entry { id: token.id, name, role, prefixes, rate: None, hash }
}

fn guard(entries: Vec<Entry>) -> Guard {
    Guard::of(Path::new("none"), entries, false, KEY)
}

fn showing(token: &Token) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {}", token.reveal()).parse().unwrap());
    headers
}

fn sender(last: u8) -> Sender {
    Sender { address: Ipv4Addr::new(10, 0, 0, last).into(), certified: Certified::default() }
}

async fn admitted(guard: &Guard, need: Need, headers: &HeaderMap) -> Result<Asker, &'static str> {
    let admitted = guard.admit(&RealRuntime::start(), need, headers, &sender(1)).await;
    admitted.map_err(|error| error.name().1)
}

fn code<T>(admitted: Result<T, &'static str>) -> &'static str {
    admitted.map_or_else(|code| code, |_| "fine")
}

#[tokio::test]
async fn a_token_that_comes_too_often_has_to_wait() {
    let rate = Some(Rate::new(2).unwrap());
    let guard = guard(vec![Entry { rate, ..entry(1, Role::Read, &[]) }, entry(2, Role::Read, &[])]);
    let (runtime, need, mut seen) = (RealRuntime::start(), Need::Role(Role::Read), Vec::new());
    for id in [1, 1, 1, 2] {
        let admitted = guard.admit(&runtime, need, &showing(&token(id, id)), &sender(1)).await;
        seen.push(admitted.map_or_else(|error| error.name().1, |_| "fine"));
    }
    // A slow machine may be at the next turn by then.
    assert!(seen == ["fine", "fine", "rate_limited", "fine"] || seen == ["fine"; 4], "{seen:?}");
    // What a token may not do at all takes nothing of its rate.
    let forbidden = admitted(&guard, Need::Role(Role::Admin), &showing(&token(1, 1))).await;
    assert_eq!(code(forbidden), "forbidden");
}

#[tokio::test]
async fn a_role_may_what_those_below_it_may() {
    let roles = [(1, Role::Read), (2, Role::Write), (3, Role::Admin)];
    let guard = guard(roles.map(|(id, role)| entry(id, role, &[])).to_vec());
    for (id, has) in roles {
        for (_, needed) in roles {
            let expected = if has < needed { "forbidden" } else { "fine" };
            for need in [Need::Role(needed), Need::RoleOrNode(needed)] {
                let seen = admitted(&guard, need, &showing(&token(id, id))).await;
                assert_eq!(code(seen), expected, "{has} for {need:?}");
            }
        }
    }
}

#[tokio::test]
async fn only_the_right_secret_counts_before_and_after_it_was_seen() {
    let guard = guard(vec![entry(1, Role::Admin, &[])]);
    let need = Need::Role(Role::Read);
    for _ in 0..2 {
        assert_eq!(code(admitted(&guard, need, &showing(&token(1, 2))).await), "unauthenticated");
        assert_eq!(code(admitted(&guard, need, &showing(&token(2, 1))).await), "unauthenticated");
        let Ok(Asker::Holder(known)) = admitted(&guard, need, &showing(&token(1, 1))).await else {
            panic!("it is the right one");
        };
        assert!(known.verified.get().is_some());
    }
    assert_eq!(guard.wrong_tokens(), 4);
}

#[tokio::test]
async fn what_is_no_token_is_told_so() {
    let guard = guard(vec![entry(1, Role::Admin, &[])]);
    let good = token(1, 1).reveal();
    let garbled = ["", "Bearer", "Bearer ", "Bearer q1.x.y", "Basic dTpw", &good, &format!("Bearer {good}x")];
    for text in garbled {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(text).unwrap());
        assert_eq!(
            code(admitted(&guard, Need::Role(Role::Read), &headers).await),
            "unauthenticated",
            "{text}"
        );
    }
    let mut twice = showing(&token(1, 1));
    twice.append(AUTHORIZATION, "Bearer q1.x.y".parse().unwrap());
    assert_eq!(code(admitted(&guard, Need::Role(Role::Read), &twice).await), "unauthenticated");
    let mut bytes = HeaderMap::new();
    bytes.insert(AUTHORIZATION, HeaderValue::from_bytes(b"Bearer \xff").unwrap());
    assert_eq!(code(admitted(&guard, Need::Role(Role::Read), &bytes).await), "unauthenticated");
    let mut other_case = HeaderMap::new();
    other_case.insert(AUTHORIZATION, format!("bEARER  {good}").parse().unwrap());
    assert_eq!(code(admitted(&guard, Need::Role(Role::Read), &other_case).await), "fine");
}

#[tokio::test]
async fn probes_are_open_unless_somebody_closes_them() {
    let none = HeaderMap::new();
    let mut guard = guard(vec![entry(1, Role::Read, &[])]);
    assert!(matches!(admitted(&guard, Need::Probe(Role::Read), &none).await, Ok(Asker::Anybody)));
    guard.guards_probes = true;
    assert_eq!(code(admitted(&guard, Need::Probe(Role::Read), &none).await), "unauthenticated");
    assert_eq!(code(admitted(&guard, Need::Probe(Role::Read), &showing(&token(1, 1))).await), "fine");
}

/// A peer's certificate is worth something for what nodes ask each other, and nothing for a client's request that the
/// peer passes on.
#[tokio::test]
async fn a_certificate_speaks_for_a_node_alone() {
    let guard = guard(vec![entry(1, Role::Read, &[])]);
    let runtime = RealRuntime::start();
    let peer = sender(1);
    peer.certified.prove();
    let own = HeaderMap::new();
    let mut of_client = HeaderMap::new();
    of_client.insert(QUORATE_FORWARDED, HeaderValue::from_static("1"));
    let mut of_node = of_client.clone();
    of_node.insert(QUORATE_FOR, NODE);
    let cases = [
        (Need::RoleOrNode(Role::Admin), &own, &peer, "fine"),
        (Need::RoleOrNode(Role::Admin), &of_node, &peer, "fine"),
        (Need::RoleOrNode(Role::Admin), &of_client, &peer, "unauthenticated"),
        (Need::RoleOrNode(Role::Read), &of_client, &peer, "unauthenticated"),
        (Need::Role(Role::Read), &own, &peer, "unauthenticated"),
        (Need::Role(Role::Read), &of_node, &peer, "unauthenticated"),
        (Need::RoleOrNode(Role::Admin), &own, &sender(2), "unauthenticated"),
        (Need::RoleOrNode(Role::Admin), &of_node, &sender(2), "unauthenticated"),
    ];
    for (need, headers, sender, expected) in cases {
        let seen = guard.admit(&runtime, need, headers, sender).await;
        assert_eq!(code(seen.map_err(|error| error.name().1)), expected, "{need:?} {headers:?}");
    }
    // Whoever shows a token is who has it, whatever else it shows.
    let seen = guard.admit(&runtime, Need::RoleOrNode(Role::Admin), &showing(&token(1, 1)), &peer).await;
    assert_eq!(code(seen.map_err(|error| error.name().1)), "forbidden");
}

#[tokio::test]
async fn after_ten_wrong_secrets_none_is_looked_at() {
    let guard = guard(vec![entry(1, Role::Admin, &[])]);
    let runtime = RealRuntime::start();
    let need = Need::Role(Role::Read);
    for wrong in 0..10 {
        let error =
            guard.admit(&runtime, need, &showing(&token(1, 100 + wrong)), &sender(1)).await.unwrap_err();
        assert!(error.to_string().contains("its secret is another one"), "{error}");
    }
    // Not even the right one, of which this node does not know yet that it is right.
    let error = guard.admit(&runtime, need, &showing(&token(1, 1)), &sender(1)).await.unwrap_err();
    assert!(error.to_string().contains("too many wrong secrets"), "{error}");
    let from_elsewhere = guard.admit(&runtime, need, &showing(&token(1, 1)), &sender(2)).await;
    assert!(matches!(from_elsewhere, Ok(Asker::Holder(_))));
    // Now it knows, and whoever has it is not kept out by those who guess.
    let known = guard.admit(&runtime, need, &showing(&token(1, 1)), &sender(1)).await;
    assert!(matches!(known, Ok(Asker::Holder(_))));
}

#[tokio::test]
async fn no_more_than_so_many_wait_for_a_hash() {
    let guard = guard(vec![entry(1, Role::Admin, &[])]);
    let places: Vec<_> = (0..MOST_WAITING).map(|_| Place::take(&guard.waiting).unwrap()).collect();
    assert_eq!(code(admitted(&guard, Need::Role(Role::Read), &showing(&token(1, 1))).await), "overloaded");
    drop(places);
    assert_eq!(code(admitted(&guard, Need::Role(Role::Read), &showing(&token(1, 1))).await), "fine");
}

#[tokio::test]
async fn a_token_that_stays_is_not_disturbed_and_one_that_goes_is_noticed() {
    let stays = entry(2, Role::Read, &["b/"]);
    let guard = guard(vec![entry(1, Role::Read, &["a/"]), stays.clone()]);
    let asker = |id| {
        let (guard, headers) = (&guard, showing(&token(id, id)));
        async move { admitted(guard, Need::Role(Role::Read), &headers).await.unwrap() }
    };
    let (goes, stayer) = (asker(1).await, asker(2).await);
    let mut gone = Box::pin(guard.taken_from(&goes));
    let mut not_gone = Box::pin(guard.taken_from(&stayer));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(gone.as_mut().poll(&mut context).is_pending());
    // The same token with another right is another one.
    guard.replace(vec![entry(1, Role::Read, &["c/"]), stays]);
    assert!(gone.as_mut().poll(&mut context).is_ready());
    assert!(not_gone.as_mut().poll(&mut context).is_pending());
    let Asker::Holder(known) = &stayer else { panic!("it has a token") };
    assert!(known.verified.get().is_some() && guard.table.current().has(known));
    assert_eq!(goes.must_reach(&Reach::Keys(vec![b"c/1"])).map_err(|error| error.name().1), Err("forbidden"));
    assert_eq!(asker(1).await.must_reach(&Reach::Keys(vec![b"c/1"])), Ok(()));
}

#[test]
fn a_file_that_is_wrong_changes_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.toml");
    let write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    let [first, second] = [1, 2].map(|id| super::super::file::entry_text(&entry(id, Role::Read, &[])));
    write(&first);
    let guard = Guard::load(&path, false, KEY).unwrap();
    let tokens = || guard.table.current().0.len();
    write(&format!("{first}\n{second}\n[[token]]\n"));
    guard.reload();
    assert_eq!(tokens(), 1);
    write(&format!("{first}\n{second}"));
    guard.reload();
    assert_eq!(tokens(), 2);
}
