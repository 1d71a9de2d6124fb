//! Recordings of simulated servers, taken over HTTP as `quorate debug record` does, and replayed.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::HOST;
use hyper::{Request, StatusCode};

use super::clients::{Exchange, exchange};
use super::network::HostNet;
use super::simulate;
use super::stage::{FullStack, Stage};
use crate::identity::{HTTP_PORT, address};
use crate::plan::{FIRST_CLIENT, Host, Plan, Scenario};
use crate::recorded::{Recorded, replay_recording};
use crate::trials::scaled;
use crate::verdict::Verdict;

/// What a server gave.
struct Taken {
    host: Host,
    file: Bytes,
}

/// Runs a plan to its end and takes the recordings of all servers that run then.
async fn record(stack: FullStack) -> Result<Vec<Taken>, Verdict> {
    let agenda = madsim::task::spawn(stack.clone().follow_agenda());
    let outcome = stack.phases().await;
    let now = stack.clock.now();
    stack.stage().reached = now;
    agenda.abort();
    outcome?;
    let hosts: Vec<Host> = {
        let stage = stack.stage();
        let awake = stage.lives.keys().filter(|host| !stage.world.is_paused(**host));
        awake.copied().collect()
    };
    let net = HostNet::new(stack.clone(), FIRST_CLIENT);
    let mut taken = Vec::new();
    for host in hosts {
        let at = format!("{}:{HTTP_PORT}", address(host));
        let request = Request::builder().uri("/debug/recording").header(HOST, &at);
        let request =
            request.body(Full::new(Bytes::new())).expect("a plain path and a header make a request");
        match exchange(&net, &at, request).await {
            Exchange::Answered(response) if response.status() == StatusCode::OK => {
                taken.push(Taken { host, file: response.into_body() });
            }
            // A server that is still restoring its store, or is cut off, has none to give.
            Exchange::Answered(_) | Exchange::NotSent | Exchange::Silence => {}
        }
    }
    Ok(taken)
}

#[test]
fn what_simulated_servers_did_they_do_again() {
    let (mut count, mut inputs, mut after_checkpoint) = (0, 0, 0);
    for seed in 0..u64::try_from(scaled(12)).expect("few seeds") {
        let plan = Arc::new(Plan::new(Scenario::Swarm, seed));
        let stage = Arc::new(Mutex::new(Stage::new(&plan, false)));
        let outcome = simulate(&stage, record).unwrap_or_else(|panic| panic!("seed {seed}: {panic}"));
        stage.lock().unwrap_or_else(PoisonError::into_inner).lives.clear();
        for Taken { host, file } in outcome.unwrap_or_else(|verdict| panic!("seed {seed}: {verdict}")) {
            let name = format!("seed {seed}, host {host}, {} bytes", file.len());
            let recorded = Recorded::read(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
            let rerun = replay_recording(&recorded, count == 0);
            let rerun = rerun.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(rerun.verdict, Verdict::Passed, "{name}");
            assert_eq!(rerun.state_hash, recorded.end().state_hash, "{name}");
            assert_eq!(rerun.replayed.inputs, recorded.end().inputs, "{name}");
            assert!(count > 0 || !rerun.trace.is_empty(), "what happened can be shown");
            count += 1;
            inputs += rerun.replayed.inputs;
            after_checkpoint += usize::from(recorded.has_checkpoint());
        }
    }
    assert!(count >= 24, "{count} recordings");
    assert!(inputs > 10_000, "{inputs} inputs");
    assert!(after_checkpoint > 0, "every recording begins with an empty store");
}
