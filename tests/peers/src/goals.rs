//! What is to be reached, and what was.

use crate::keys::PAYLOAD_BYTES;
use crate::results::{All, GrowthSample, Operation, Sample, System};

const SMALL: usize = 10_000;
const MILLION: usize = 1_000_000;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Better {
    Higher,
    Lower,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) must: f64,
    pub(crate) goal: f64,
    pub(crate) measured: Option<f64>,
    better: Better,
}

impl Goal {
    /// How it went, in a word.
    pub(crate) fn verdict(&self) -> &'static str {
        let Some(measured) = self.measured else { return "not measured" };
        let reaches = |mark| match self.better {
            Better::Higher => measured >= mark,
            Better::Lower => measured <= mark,
        };
        if reaches(self.goal) {
            "goal"
        } else if reaches(self.must) {
            "must"
        } else {
            "missed"
        }
    }
}

/// All of them, in the order of the table.
pub(crate) fn of(all: &All) -> Vec<Goal> {
    let mut goals = of_clusters(all);
    goals.extend(of_engines(all));
    goals.extend(of_growth(all));
    goals.extend(of_disk(all));
    goals
}

fn at_least(what: &'static str, must: f64, goal: f64, measured: Option<f64>) -> Goal {
    Goal { what, unit: "", must, goal, measured, better: Better::Higher }
}

fn at_most(what: &'static str, must: f64, goal: f64, measured: Option<f64>) -> Goal {
    Goal { what, unit: "", must, goal, measured, better: Better::Lower }
}

fn of_clusters(all: &All) -> Vec<Goal> {
    let ratio = |systems, operation, connections, value: fn(&Sample) -> f64| {
        all.comparison.as_ref()?.ratio(systems, operation, connections, value)
    };
    let rate: fn(&Sample) -> f64 = |sample| sample.per_second;
    let over = |other, operation, connections| ratio((System::Quorate, other), operation, connections, rate);
    let (etcd, grpc, hyper) = (System::Etcd, System::EtcdGrpc, System::BareHyper);
    let (put, get) = (Operation::Put, Operation::Get);
    let p99 = ratio((System::Quorate, etcd), put, 256, |sample| sample.latencies.p99_us);
    let cpu = ratio((System::Quorate, etcd), put, 256, |sample| sample.cpu_us_per_operation);
    let follower = ratio((System::QuorateFollower, System::Quorate), put, 64, rate);
    vec![
        at_least("put/s, c=256 ÷ etcd JSON", 4.0, 8.0, over(etcd, put, 256)),
        at_least("put/s, c=256 ÷ etcd gRPC", 2.0, 5.0, over(grpc, put, 256)),
        at_least("put/s, c=64 ÷ etcd JSON", 4.0, 7.0, over(etcd, put, 64)),
        at_least("put/s, c=1 ÷ etcd JSON", 1.8, 2.8, over(etcd, put, 1)),
        at_most("put p99, c=256 ÷ etcd JSON", 0.4, 0.12, p99),
        at_least("get/s, c=64 ÷ etcd JSON", 6.0, 11.0, over(etcd, get, 64)),
        at_least("get/s, c=64 ÷ bare hyper", 0.45, 0.75, over(hyper, get, 64)),
        at_least("get/s, c=1 ÷ etcd JSON", 2.0, 4.0, over(etcd, get, 1)),
        at_least("put/s through a follower ÷ through the leader, c=64", 0.5, 0.8, follower),
        at_most("server CPU a put, c=256 ÷ etcd JSON", 0.25, 0.08, cpu),
    ]
}

fn of_engines(all: &All) -> Vec<Goal> {
    let lead = |batch| all.engines.as_ref()?.lead(batch);
    vec![
        at_least("engine alone, batch 64 ÷ the best other in the same loop", 1.0, 4.0, lead(64)),
        at_least("engine alone, batch 1 ÷ the best other in the same loop", 1.0, 2.0, lead(1)),
    ]
}

fn of_growth(all: &All) -> Vec<Goal> {
    let growth = all.growth.as_ref();
    let ours = |keys, value: fn(&GrowthSample) -> f64| Some(value(growth?.at(System::Quorate, keys)?));
    let restart = |system| Some(growth?.at(system, MILLION)?.restart_ms);
    let restart = restart(System::Quorate).zip(restart(System::Etcd)).map(|(ours, theirs)| ours / theirs);
    let kept = |keys| Some(ours(keys, |at| at.put_per_second)? / ours(SMALL, |at| at.put_per_second)?);
    let checkpoints = growth.and_then(|growth| growth.checkpoints.iter().find(|at| at.keys == MILLION));
    let p99 = checkpoints.map(|at| at.p99_during_ms / at.p99_before_ms);
    let (memory, stall) = (ours(MILLION, |at| at.bytes_per_key), ours(10 * MILLION, |at| at.load_silence_ms));
    let of_unit = |goal: Goal, unit| Goal { unit, ..goal };
    vec![
        of_unit(at_most("memory a key at 1 M", 700.0, 380.0, memory), " B"),
        at_most("restart with 1 M keys, to the first linearizable read ÷ etcd", 0.5, 0.1, restart),
        at_most("put p99 beside checkpoints of 1 M keys ÷ before", 1.8, 1.1, p99),
        at_least("put/s at 1 M keys (one node) ÷ at 10 k", 0.8, 0.97, kept(MILLION)),
        at_least("put/s at 10 M keys (one node) ÷ at 10 k", 0.65, 0.92, kept(10 * MILLION)),
        of_unit(at_most("longest stall while loading 10 M keys", 300.0, 30.0, stall), " ms"),
    ]
}

fn of_disk(all: &All) -> Vec<Goal> {
    let logs = all.comparison.iter().flat_map(|comparison| &comparison.logs);
    let bytes = logs.clone().find(|log| log.system == System::Quorate).map(|log| log.bytes_per_put);
    let ratio = bytes.map(|bytes| bytes / PAYLOAD_BYTES as f64);
    vec![at_most("log bytes a put ÷ payload", 1.4, 1.1, ratio)]
}
