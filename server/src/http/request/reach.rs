//! Which keys a request reads or changes, all of them: what a token's prefixes are held against.

use quorate_node::kv::{Action, Op, Txn};

use super::write::{Change, What, Write};
use super::{Call, GetCall};
use crate::tokens::Reach;
use crate::watching::Scope;

impl Call {
    /// The keys that the head names. A body may name others: [`Write::reach`].
    pub(crate) fn reach(&self) -> Reach<'_> {
        match self {
            Call::Get(GetCall { key, .. }) => Reach::Keys(vec![key]),
            Call::List(list) => Reach::Range(&list.list.start, list.list.end.as_deref()),
            Call::Watch(watch) => match &watch.watch.scope {
                Scope::Key(key) => Reach::Keys(vec![key]),
                Scope::Prefix(prefix) => Reach::Prefix(prefix),
            },
            Call::Write(write) => match &write.what {
                What::Put { key, .. }
                | What::Delete { key, .. }
                | What::Lock { key }
                | What::Unlock { key } => Reach::Keys(vec![key]),
                What::Txn | What::Import | What::Grant | What::KeepAlive(_) | What::Revoke(_) => {
                    Reach::Nothing
                }
            },
            // The whole store is in there.
            Call::Export(_) | Call::Backup(_) | Call::Record | Call::Lend(_) => Reach::Everything,
            // A lease has keys, but whoever knows its id was told by somebody who has it.
            Call::Lease { .. } => Reach::Nothing,
            Call::Hello | Call::Livez | Call::Readyz { .. } | Call::Version | Call::OpenApi => Reach::Nothing,
            // It tells how many keys there are, and names none.
            Call::Metrics => Reach::Nothing,
            Call::Status { .. } | Call::Snapshot => Reach::Nothing,
            Call::Members(_) | Call::ChangeMembers(_) => Reach::Nothing,
        }
    }
}

impl Write {
    /// The keys that it names, those of its body included; of a transaction also those that it only looks at.
    pub(crate) fn reach(&self) -> Reach<'_> {
        match &self.change {
            Change::Plain(action) => of_action(action),
            Change::Conditional { txn, .. } => of_transaction(txn),
            Change::Grant { .. } => Reach::Nothing,
        }
    }
}

fn of_action(action: &Action) -> Reach<'_> {
    match action {
        Action::Put(put) => Reach::Keys(vec![&put.key]),
        Action::Delete { key } => Reach::Keys(vec![key]),
        Action::Txn(txn) => of_transaction(txn),
        Action::Import { entries } => Reach::Keys(entries.iter().map(|(key, _)| &**key).collect()),
        Action::Lock { name, .. } | Action::Unlock { name, .. } => Reach::Keys(vec![name]),
        Action::Grant { .. } | Action::KeepAlive { .. } | Action::Revoke { .. } => Reach::Nothing,
        // Nobody can send these.
        Action::Tick | Action::Configure(_) => Reach::Everything,
    }
}

fn of_transaction(txn: &Txn) -> Reach<'_> {
    let compared = txn.compare.iter().map(|compare| &*compare.key);
    let ops = txn.success.iter().chain(&txn.failure).map(|op| match op {
        Op::Put(put) => &*put.key,
        Op::Get { key } | Op::Delete { key } => &**key,
        Op::Holder { name } => &**name,
    });
    Reach::Keys(compared.chain(ops).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::super::parse_head;
    use super::*;
    use crate::context::Limits;
    use hyper::Method;
    use hyper::header::HeaderMap;

    /// What a request with this body reaches beyond the keys that begin with `a/`.
    fn outside(method: &str, target: &str, body: &str) -> Option<String> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let call = parse_head(&method, path, query, &HeaderMap::new()).unwrap().call;
        let prefixes = ["a/".to_owned()];
        let of_head = call.reach().outside(&prefixes);
        let Call::Write(write) = call else { return of_head };
        let write = write.with_body(body.as_bytes(), &Limits::default()).unwrap();
        let of_body = write.reach().outside(&prefixes);
        assert!(of_head.is_none() || of_body.is_some(), "the body takes nothing back");
        of_body
    }

    #[test]
    fn every_key_that_a_request_names_counts() {
        let holder = r#"{"ID":"me"}"#;
        for key in ["a/1", "b/1"] {
            let is_outside = key == "b/1";
            let get = format!(r#"{{"success":[{{"get":{{"key":"{key}"}}}}]}}"#);
            let put = format!(
                r#"{{"success":[{{"put":{{"key":"a/2","value":""}}}},{{"delete":{{"key":"{key}"}}}}]}}"#
            );
            let failure = format!(r#"{{"failure":[{{"put":{{"key":"{key}","value":""}}}}]}}"#);
            let compare =
                format!(r#"{{"compare":[{{"key":"{key}","target":"version","op":"=","value":0}}]}}"#);
            let import = if is_outside { r#"{"YS8x":"","Yi8x":""}"# } else { r#"{"YS8x":""}"# };
            let of_key = format!("/key/{key}");
            let cases = [
                ("GET", of_key.clone(), ""),
                ("HEAD", of_key.clone(), ""),
                ("PUT", of_key.clone(), ""),
                ("POST", format!("{of_key}?ID=me"), ""),
                ("DELETE", of_key.clone(), ""),
                ("LOCK", of_key.clone(), holder),
                ("UNLOCK", of_key.clone(), ""),
                ("GET", format!("/watch?key={key}"), ""),
                ("GET", format!("/watch?prefix={key}"), ""),
                ("GET", format!("/keys?prefix={key}"), ""),
                ("GET", format!("/keys?start={key}&end={key}1"), ""),
                ("POST", "/txn".to_owned(), &get),
                ("POST", "/txn".to_owned(), &put),
                ("POST", "/txn".to_owned(), &failure),
                ("POST", "/txn".to_owned(), &compare),
                ("POST", "/data.json".to_owned(), import),
            ];
            for (method, target, body) in cases {
                let reached = outside(method, &target, body);
                assert_eq!(reached.is_some(), is_outside, "{method} {target} {body}: {reached:?}");
            }
        }
    }

    #[test]
    fn what_has_the_whole_store_is_within_no_prefix() {
        for target in
            ["/data.json", "/backup", "/debug/recording", "/raft/checkpoints", "/keys", "/watch?prefix="]
        {
            assert!(outside("GET", target, "").is_some(), "{target}");
        }
        for target in ["/", "/livez", "/version", "/raft/status", "/raft/members", "/leases/00000000000000a1"]
        {
            assert_eq!(outside("GET", target, ""), None, "{target}");
        }
    }
}
