//! The parts of the stack: streams, clocks, processes.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::{Read, ReadBuf, Write};
use quorate_node::raft::Time;
use quorate_server::{Listener, Net, Runtime};

use super::connection::CAPACITY;
use super::network::HostNet;
use super::runtime::HostRuntime;
use super::stage::{FullStack, Stage};
use super::stream::SimStream;
use super::{live, run, simulate};
use crate::audit::{Account, Errand, Seen, Watched};
use crate::clock::RIGHT;
use crate::observe::Observation;
use crate::plan::{Fault, Host, Plan, Scenario, Shape, Timed};
use crate::random::Random;
use crate::run::{Jury, Options, Stack};
use crate::verdict::Verdict;

const HTTP: &str = "10.0.0.2:8080";
const PEERS: &str = "10.0.0.2:9080";

/// Acts in a world without servers, clients and faults.
fn in_a_world(act: impl AsyncFnOnce(FullStack) + Send + 'static) {
    let plan = Arc::new(Plan::new(Scenario::Calm, 7));
    let stage = Arc::new(Mutex::new(Stage::new(&plan, false)));
    simulate(&stage, act).unwrap();
    assert_eq!(Arc::strong_count(&stage), 1, "something is left");
}

/// Both ends of a connection from host 1 to host 2.
async fn connect(stack: &FullStack, at: &str) -> (SimStream, SimStream) {
    let mut listener = HostNet::new(stack.clone(), 2).listen(at).await.unwrap();
    let dialed = HostNet::new(stack.clone(), 1).dial(at).await.unwrap();
    (dialed, listener.accept().await.unwrap().0)
}

async fn read(stream: &mut SimStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; CAPACITY];
    let mut buffer = ReadBuf::new(&mut bytes);
    poll_fn(|context| Pin::new(&mut *stream).poll_read(context, buffer.unfilled())).await?;
    Ok(buffer.filled().to_vec())
}

async fn read_to_end(stream: &mut SimStream) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let some = read(stream).await?;
        if some.is_empty() {
            return Ok(all);
        }
        all.extend(some);
    }
}

/// Writes as much as there is room for, at most all.
async fn write_now(stream: &mut SimStream, bytes: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    poll_fn(|context| {
        while written < bytes.len() {
            match Pin::new(&mut *stream).poll_write(context, &bytes[written..]) {
                Poll::Ready(count) => written += count?,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(written))
    })
    .await
}

async fn write_all(stream: &mut SimStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, bytes)).await?;
        bytes = &bytes[count..];
    }
    Ok(())
}

async fn shut_down(stream: &mut SimStream) {
    poll_fn(|context| Pin::new(&mut *stream).poll_shutdown(context)).await.unwrap();
}

fn cut(stack: &FullStack, links: Vec<(Host, Host)>) {
    let fault = Fault::Cut { shape: Shape::Halves, links, for_ms: 1, flaps: 1 };
    stack.stage().world.net.begin(0, &fault);
}

fn mend(stack: &FullStack) {
    let now = stack.clock.now();
    let stage = &mut *stack.stage();
    stage.world.net.end(0);
    stage.wires.look_again(&stage.world, now);
}

async fn pause(stack: &FullStack, millis: u64) {
    stack.clock.sleep_until(stack.clock.now() + Duration::from_millis(millis)).await;
}

/// Reads within a while, or not at all.
async fn read_soon(stack: &FullStack, stream: &mut SimStream) -> Option<io::Result<Vec<u8>>> {
    let patience = stack.clock.sleep_until(stack.clock.now() + Duration::from_secs(1));
    match quorate_server::race(read(stream), patience).await {
        quorate_server::Either::Left(read) => Some(read),
        quorate_server::Either::Right(()) => None,
    }
}

#[test]
fn bytes_take_time_and_arrive_in_order_and_in_pieces() {
    in_a_world(async |stack: FullStack| {
        let (mut here, mut there) = connect(&stack, HTTP).await;
        let sent: Vec<u8> = (0..40_000_u32).flat_map(u32::to_le_bytes).collect();
        let begun = stack.clock.now();
        let copy = sent.clone();
        let writer = madsim::task::spawn(async move {
            for piece in copy.chunks(1_000) {
                write_all(&mut here, piece).await.unwrap();
            }
        });
        let mut received = Vec::new();
        let mut odd_pieces = 0;
        while received.len() < sent.len() {
            let some = read(&mut there).await.unwrap();
            odd_pieces += u32::from(some.len() % 1_000 != 0);
            received.extend(some);
        }
        writer.await.unwrap();
        assert!(received == sent, "bytes are lost or changed");
        assert!(stack.clock.now() > begun);
        assert!(odd_pieces > 3, "only {odd_pieces} pieces were cut in two");
        assert!(read(&mut there).await.unwrap().is_empty(), "the other end was dropped");
    });
}

#[test]
fn each_half_is_closed_by_itself() {
    in_a_world(async |stack: FullStack| {
        let (mut here, mut there) = connect(&stack, HTTP).await;
        write_all(&mut here, b"question").await.unwrap();
        shut_down(&mut here).await;
        assert!(write_all(&mut here, b"more").await.is_err());
        assert_eq!(read_to_end(&mut there).await.unwrap(), b"question");
        pause(&stack, 100).await;
        write_all(&mut there, b"answer").await.unwrap();
        drop(there);
        assert_eq!(read_to_end(&mut here).await.unwrap(), b"answer");
    });
}

#[test]
fn a_slow_reader_stops_its_writer() {
    in_a_world(async |stack: FullStack| {
        let (mut here, mut there) = connect(&stack, HTTP).await;
        let sent = vec![7; CAPACITY * 3];
        assert_eq!(write_now(&mut here, &sent).await.unwrap(), CAPACITY);
        pause(&stack, 500).await;
        assert_eq!(write_now(&mut here, &sent).await.unwrap(), 0, "nothing has been read");
        let writer = madsim::task::spawn(async move {
            write_all(&mut here, &sent[CAPACITY..]).await.unwrap();
        });
        assert_eq!(read_to_end(&mut there).await.unwrap().len(), CAPACITY * 3);
        writer.await.unwrap();
    });
}

#[test]
fn what_is_sent_over_a_cut_link_arrives_when_it_is_mended() {
    in_a_world(async |stack: FullStack| {
        let (mut here, mut there) = connect(&stack, HTTP).await;
        cut(&stack, vec![(1, 2)]);
        write_all(&mut here, b"held").await.unwrap();
        write_all(&mut there, b"the other way").await.unwrap();
        assert_eq!(read_soon(&stack, &mut here).await.unwrap().unwrap(), b"the other way");
        assert!(read_soon(&stack, &mut there).await.is_none());
        let reader = madsim::task::spawn(async move { read(&mut there).await.unwrap() });
        pause(&stack, 100).await;
        mend(&stack);
        assert_eq!(reader.await.unwrap(), b"held");
        assert!(stack.stage().world.fired().of("cut in halves") > 0);
    });
}

#[test]
fn dialing_over_a_cut_hangs_and_is_tried_again() {
    in_a_world(async |stack: FullStack| {
        let net = HostNet::new(stack.clone(), 1);
        let refused = net.dial(HTTP).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "nobody listens");
        let _listener = HostNet::new(stack.clone(), 2).listen(HTTP).await.unwrap();
        cut(&stack, vec![(2, 1)]);
        let begun = stack.clock.now();
        assert_eq!(net.dial(HTTP).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(stack.clock.now().since(begun), Duration::from_secs(3));
        let dialing = madsim::task::spawn(async move { net.dial(HTTP).await });
        pause(&stack, 500).await;
        mend(&stack);
        dialing.await.unwrap().unwrap();
    });
}

#[test]
fn a_dropped_end_with_bytes_unread_is_a_reset_and_one_without_is_an_end() {
    in_a_world(async |stack: FullStack| {
        let (mut here, there) = connect(&stack, HTTP).await;
        drop(there);
        assert!(read(&mut here).await.unwrap().is_empty());
        write_all(&mut here, b"to nobody").await.unwrap();
        let broken = read_soon(&stack, &mut here).await;
        assert!(broken.is_some_and(|end| end.unwrap().is_empty()), "the end came first");
        pause(&stack, 200).await;
        assert_eq!(write_all(&mut here, b"again").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);

        let (mut here, there) = connect(&stack, HTTP).await;
        write_all(&mut here, b"unread").await.unwrap();
        drop(there);
        assert_eq!(read(&mut here).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_machine_without_power_says_nothing_until_it_is_back() {
    in_a_world(async |stack: FullStack| {
        let (mut here, there) = connect(&stack, HTTP).await;
        stack.stage().wires.unplug(2, true);
        drop(there);
        write_all(&mut here, b"anybody there?").await.unwrap();
        assert!(read_soon(&stack, &mut here).await.is_none());
        let net = HostNet::new(stack.clone(), 1);
        assert_eq!(net.dial(HTTP).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        {
            let stage = &mut *stack.stage();
            stage.wires.plug_in(&mut stage.world, &stack.clock, 2);
        }
        let told =
            read_soon(&stack, &mut here).await.expect("the machine is back and knows of no connection");
        assert_eq!(told.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(net.dial(HTTP).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_reset_takes_what_was_under_way() {
    in_a_world(async |stack: FullStack| {
        let (mut here, mut there) = connect(&stack, PEERS).await;
        write_all(&mut here, b"lost").await.unwrap();
        let now = stack.clock.now();
        assert_eq!(stack.stage().wires.reset(now, &[(1, 3)]), 0);
        assert_eq!(stack.stage().wires.reset(now, &[(2, 1)]), 1);
        assert_eq!(read(&mut there).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(write_all(&mut here, b"more").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn bits_flip_only_where_there_are_checksums() {
    in_a_world(async |stack: FullStack| {
        stack.stage().world.net.begin(1, &Fault::Corrupt { per_mille: 1_000, for_ms: 1 });
        for (at, flips) in [(HTTP, false), (PEERS, true)] {
            let (mut here, mut there) = connect(&stack, at).await;
            write_all(&mut here, &[0; 100]).await.unwrap();
            shut_down(&mut here).await;
            let received = read_to_end(&mut there).await.unwrap();
            assert_eq!((received.len(), received != [0; 100]), (100, flips));
        }
    });
}

#[test]
fn sleeps_follow_the_clock_of_their_host() {
    in_a_world(async |stack: FullStack| {
        let runtime = HostRuntime::new(stack.clone(), 1, Random::new(1));
        let wrong = |rate| {
            let now = stack.clock.now();
            stack.stage().world.machine(1).clock.run_at(now, rate);
        };
        let begun = stack.clock.now();
        let shown = runtime.now();
        runtime.sleep(Duration::from_micros(300)).await;
        assert_eq!(stack.clock.now(), begun + Duration::from_micros(300), "to the microsecond");
        wrong(500);
        runtime.sleep(Duration::from_millis(50)).await;
        assert_eq!(stack.clock.now(), begun + Duration::from_micros(100_300));
        wrong(0);
        let sleep = madsim::task::spawn(runtime.sleep(Duration::from_millis(1)));
        pause(&stack, 5_000).await;
        assert!(!sleep.is_finished(), "the clock stands still");
        wrong(RIGHT);
        pause(&stack, 150).await;
        assert!(sleep.is_finished());
        assert_eq!(runtime.now().since(shown), Duration::from_micros(200_300));
    });
}

#[test]
fn a_panic_of_any_task_ends_the_run() {
    let plan = Arc::new(Plan::new(Scenario::Calm, 7));
    let stage = Arc::new(Mutex::new(Stage::new(&plan, false)));
    let ended = simulate(&stage, async |stack: FullStack| {
        drop(madsim::task::spawn(async { panic!("a bug") }));
        pause(&stack, 10).await;
    });
    assert_eq!(ended.unwrap_err(), "a bug");
}

#[test]
fn a_broken_promise_ends_a_run_and_nothing_outlives_it() {
    let mut plan = Plan::new(Scenario::Calm, 7);
    plan.workload.auditors = 1;
    let stage = Arc::new(Mutex::new(Stage::new(&Arc::new(plan), false)));
    let ended = simulate(&stage, async |stack: FullStack| {
        let liar = stack.clone();
        drop(madsim::task::spawn(async move {
            pause(&liar, 8_000).await;
            let errand = Errand::Watch { after: (9, 0), watched: Watched::all() };
            liar.observe(Observation::Errand { auditor: 1, number: 1, errand });
            let (key, found) = ("key-1".to_owned(), None);
            let seen = Seen { revision: 9, ordinal: 0, key, expired: false, found, previous: None };
            liar.observe(Observation::Account { auditor: 1, number: 1, account: Account::Saw(seen) });
        }));
        live(stack).await
    });
    let is_order = |verdict: &Verdict| matches!(verdict, Verdict::Safety { checker: "watch-order", .. });
    assert!(matches!(&ended, Ok(Err(verdict)) if is_order(verdict)), "{ended:?}");
    assert_eq!(Arc::strong_count(&stage), 1, "something is left");
}

/// What one server does or hears, as opposed to what others do with it.
fn done_by(observation: &Observation) -> Option<Host> {
    match observation {
        Observation::Sent { from, .. } => Some(*from),
        Observation::Received { to, .. } => Some(*to),
        Observation::Stands { host, .. }
        | Observation::Writes { host, .. }
        | Observation::Durable { host, .. }
        | Observation::Applied { host, .. } => Some(*host),
        _ => None,
    }
}

#[test]
fn a_paused_host_stands_still_and_then_goes_on() {
    let mut plan = Plan::new(Scenario::Calm, 3);
    plan.faults = vec![Timed { at_ms: 2_000, fault: Fault::Pause { host: 1, for_ms: 4_000 } }];
    plan.scenario = Scenario::Clock;
    let report = run(&Arc::new(plan), &Options { stack: Stack::Full, keep_trace: true, jury: Jury::All });
    assert_eq!(report.verdict, Verdict::Passed);
    let edge = |wanted: bool| {
        let is_edge =
            |seen: &Observation| matches!(seen, Observation::Fault { begins, .. } if *begins == wanted);
        report.trace.iter().find(|(_, observation)| is_edge(observation)).unwrap().0
    };
    let (from, to) = (edge(true), edge(false));
    let acts = |host: Host, from: Time, to: Time| {
        let within = report.trace.iter().filter(|(at, _)| from < *at && *at < to);
        within.filter(|(_, observation)| done_by(observation) == Some(host)).count()
    };
    assert_eq!(acts(1, from, to), 0);
    assert!(acts(2, from, to) > 50 && acts(1, to, to + Duration::from_secs(4)) > 50);
}
