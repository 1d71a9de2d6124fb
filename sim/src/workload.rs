//! What clients ask, and what they make of the answers. Both stacks play the same script.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use quorate_node::ReadLevel;
use quorate_node::kv::{
    Action, ClusterTime, Command, Compare, Once, Op, Operand, Order, Put, Relation, Revision, Txn,
};
use quorate_node::raft::Time;
use quorate_node::wire::entry::encode_command;

use crate::history::{Call, Operation, Outcome};
use crate::observe::Observation;
use crate::plan::{Asks, Host, Plan, Workload};
use crate::random::Random;
use crate::tap::command_content;
use crate::world::World;

/// What one client does, request by request.
#[derive(Debug)]
pub(crate) struct Script {
    client: u8,
    plan: Arc<Plan>,
    random: Random,
    /// What concerns the store's features has numbers of its own, so that plans without them stay what they were.
    store_random: Random,
    /// What this client last tried to write to each key.
    latest: BTreeMap<String, Written>,
    next: u32,
    asks: Host,
}

/// The name of a value, and all of it.
type Written = (String, Arc<[u8]>);

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) client: u8,
    pub(crate) number: u32,
    pub(crate) key: String,
    pub(crate) call: Call,
    pub(crate) level: ReadLevel,
    /// What it reads may be old: it asks for no better, or its plan has clocks that leases can't live with.
    pub(crate) stale: bool,
    /// What is written, when something is.
    pub(crate) value: Option<Arc<[u8]>>,
    /// What a swap takes the place of.
    pub(crate) expected: Option<Arc<[u8]>>,
    /// It has an idempotency key: it is asked again when nobody knows what became of it.
    pub(crate) is_named: bool,
}

impl Script {
    pub(crate) fn new(plan: Arc<Plan>, client: u8) -> Self {
        let mut random = Random::labelled(plan.seed, &format!("client {client}"));
        let asks = host(&plan, &mut random);
        let store_random = Random::labelled(plan.seed, &format!("store client {client}"));
        Script { client, plan, random, store_random, latest: BTreeMap::new(), next: 0, asks }
    }

    /// The next request and how long to wait before it; `None` when there are no more.
    pub(crate) fn next(&mut self) -> Option<(Duration, Ask)> {
        let plan = Arc::clone(&self.plan);
        let workload = &plan.workload;
        let mut pause = Duration::ZERO;
        // Requests that are left out are drawn all the same, so that the others stay what they were.
        loop {
            let number = self.next;
            if number >= workload.requests {
                return None;
            }
            self.next += 1;
            pause += Duration::from_millis(self.random.between(0, workload.pause_ms));
            if workload.burst > 0 && number % workload.burst == workload.burst - 1 {
                pause += Duration::from_millis(self.random.between(0, workload.gap_ms));
            }
            let ask = self.draw(workload, number);
            if number >= workload.skip {
                return Some((pause, ask));
            }
        }
    }

    fn draw(&mut self, workload: &Workload, number: u32) -> Ask {
        let random = &mut self.random;
        let hot = random.between(1, 100) <= workload.hot_percent.into();
        let key = if hot { 1 } else { random.between(1, workload.keys) };
        let kind = random.between(1, 100);
        let stale = random.between(1, 100) <= workload.stale_percent.into();
        let large = random.between(1, 1_000) <= workload.large_per_mille.into();
        let puts = u64::from(workload.put_percent);
        let call = if kind <= puts {
            Call::Put(format!("{}.{number}", self.client))
        } else if kind <= puts + u64::from(workload.delete_percent) {
            Call::Delete
        } else {
            Call::Get
        };
        let bytes = if large { workload.large_bytes } else { workload.value_bytes };
        let value = if let Call::Put(name) = &call { Some(value_of(name, bytes)) } else { None };
        let stale = stale && call == Call::Get;
        // Plans without such reads stay what they were.
        let lease = workload.lease_percent > 0 && random.between(1, 100) <= workload.lease_percent.into();
        let (level, stale) = match (stale, lease && call == Call::Get) {
            (true, _) => (ReadLevel::Stale, true),
            (false, true) => (ReadLevel::Lease, !self.plan.keeps_leases()),
            (false, false) => (ReadLevel::Linearizable, false),
        };
        let key = format!("key-{key}");
        let ask = Ask {
            client: self.client,
            number,
            key,
            call,
            level,
            stale,
            value,
            expected: None,
            is_named: false,
        };
        self.with_features(workload, ask)
    }

    /// Makes some of the writes conditional, and gives some a name.
    fn with_features(&mut self, workload: &Workload, mut ask: Ask) -> Ask {
        let random = &mut self.store_random;
        let mut chosen = |percent: u32| percent > 0 && random.between(1, 100) <= percent.into();
        let (named, swap) = (chosen(workload.named_percent), chosen(workload.swap_percent));
        ask.is_named = named && ask.call != Call::Get;
        if let (Call::Put(name), Some(value)) = (&ask.call, &ask.value) {
            let before = self.latest.insert(ask.key.clone(), (name.clone(), Arc::clone(value)));
            if swap {
                let to = name.clone();
                let (from, expected) = before.unzip();
                (ask.call, ask.expected) = (Call::Swap { from, to }, expected);
            }
        }
        ask
    }

    /// Whom to ask.
    pub(crate) fn whom(&mut self) -> Host {
        if self.plan.workload.asks == Asks::Anyone {
            self.asks = host(&self.plan, &mut self.random);
        }
        self.asks
    }

    /// The one asked last was no help.
    pub(crate) fn ask_another(&mut self) {
        self.asks = host(&self.plan, &mut self.random);
    }
}

fn host(plan: &Plan, random: &mut Random) -> Host {
    Host::try_from(random.between(1, plan.cluster.servers.into())).unwrap_or(1)
}

/// A value that begins with its name and its length, and is filled up to that.
pub(crate) fn value_of(name: &str, bytes: usize) -> Arc<[u8]> {
    let head = format!("{name} {bytes} ");
    let mut value = head.into_bytes();
    value.resize(bytes.max(value.len()), b'.');
    value.into()
}

/// The name in a value that was read. A value that is not one of ours, whole, names itself.
pub(crate) fn name_of(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let named = text.split_once(' ').and_then(|(name, rest)| {
        let bytes = rest.split_once(' ')?.0.parse().ok()?;
        (*value_of(name, bytes) == *value).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("garbage: {}", text.chars().take(40).collect::<String>()))
}

impl Ask {
    /// A read of `key` for which nothing stale will do.
    pub(crate) fn read(client: u8, number: u32, key: String) -> Ask {
        Ask {
            client,
            number,
            key,
            call: Call::Get,
            level: ReadLevel::Linearizable,
            stale: false,
            value: None,
            expected: None,
            is_named: false,
        }
    }

    /// A write of `key`.
    pub(crate) fn write(client: u8, number: u32, key: String) -> Ask {
        let name = format!("{client}.{number}");
        let value = Some(value_of(&name, 0));
        Ask {
            client,
            number,
            key,
            call: Call::Put(name),
            level: ReadLevel::Linearizable,
            stale: false,
            value,
            expected: None,
            is_named: false,
        }
    }

    /// Its idempotency key, if it has one.
    pub(crate) fn once(&self) -> Option<Once> {
        let key = Arc::from(format!("{}.{}", self.client, self.number).into_bytes());
        let mut request = [0; 32];
        request[..4].copy_from_slice(&self.number.to_le_bytes());
        self.is_named.then(|| Once { principal: Arc::default(), key, request })
    }

    /// What the store is asked to do, when it is a write.
    pub(crate) fn action(&self) -> Option<Action> {
        let key: Arc<[u8]> = Arc::from(self.key.as_bytes());
        match &self.call {
            Call::Put(_) => Some(Action::Put(Put::for_good(key, self.value.clone()?))),
            Call::Swap { .. } => {
                let operand = match &self.expected {
                    Some(expected) => Operand::Value(Arc::clone(expected)),
                    None => Operand::ModRevision(Revision::ZERO),
                };
                let compare = Compare { key: Arc::clone(&key), relation: Relation::Equal, operand };
                let put = Op::Put(Put::for_good(key, self.value.clone()?));
                Some(Action::Txn(Txn { compare: vec![compare], success: vec![put], failure: vec![] }))
            }
            Call::Delete => Some(Action::Delete { key }),
            Call::Get => None,
        }
    }

    /// A hash of the command in the log, for a command that no other request makes, and that is carried out wherever
    /// it is committed. One with a name may be committed again, and is not carried out then.
    fn content(&self) -> Option<u64> {
        if self.is_named {
            return None;
        }
        let action = self.action().filter(|action| matches!(action, Action::Put(_)))?;
        let command = Command::Order(Order { time: ClusterTime(0), once: None, forgets_past: false, action });
        Some(command_content(&Arc::from(encode_command(&command).ok()?)))
    }
}

impl World {
    /// A client asks.
    pub(crate) fn asks(&mut self, now: Time, ask: &Ask, to: Host) {
        let observation = Observation::Asks {
            client: ask.client,
            number: ask.number,
            to,
            key: ask.key.clone(),
            call: ask.call.clone(),
            stale: ask.stale,
            content: ask.content(),
        };
        self.judge.observe(now, observation);
    }

    /// A client has its answer, or gives up. A stale read is no evidence of any order.
    pub(crate) fn hears(
        &mut self,
        now: Time,
        invoked: Time,
        ask: Ask,
        outcome: Outcome,
        revision: Option<u64>,
    ) {
        let Ask { client, number, key, call, stale, .. } = ask;
        let observation = Observation::Hears { client, number, outcome: outcome.clone(), revision };
        self.judge.observe(now, observation);
        if !stale {
            let invoked_nanoseconds = invoked.0 * 1_000;
            self.history.push(Operation { client: client.into(), key, call, invoked_nanoseconds, outcome });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_by_its_name_only_when_it_is_whole() {
        for bytes in [0, 5, 100, 70_000] {
            let value = value_of("3.17", bytes);
            assert_eq!(name_of(&value), "3.17");
            assert!(name_of(&value[..value.len() - 1]).starts_with("garbage"), "{bytes}");
            assert!(name_of(&[&*value, b"."].concat()).starts_with("garbage"), "{bytes}");
        }
        assert_eq!(name_of(b"who knows"), "garbage: who knows");
    }
}
