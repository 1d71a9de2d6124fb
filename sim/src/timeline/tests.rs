#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use quorate_node::raft::{Event, HardState, Index, LogId, NodeId, Role, Term, Time};
use serde_json::Value;

use super::{Scene, Subject, page};
use crate::history::{Call, Outcome};
use crate::observe::{Ended, FoundLog, MessageKind, Observation, Phase, Said, Stand};
use crate::plan::{Fault, Plan, Scenario, Shape, Timed};

const EVIL: &str = "</script><b>bold</b><!-- {data} {script}";

/// A run of seven microseconds in which one of everything happens.
fn trace() -> Vec<(Time, Observation)> {
    let said = |index| Said { kind: MessageKind::Append, term: Term(2), numbers: [index, 1, 0] };
    let hard = HardState { term: Term(1), vote: Some(NodeId(1)) };
    let found = FoundLog {
        hard,
        base: LogId::ZERO,
        terms: vec![Term(1), Term(1)],
        snapshot: LogId::ZERO,
        damaged: vec![LogId::new(1, 2)],
        unknown: None,
    };
    let stand = Stand {
        role: Role::Leader,
        term: Term(2),
        leader: Some(NodeId(1)),
        commit: Index(1),
        last: LogId::new(1, 2),
        damaged: 1,
    };
    let put = Call::Put(EVIL.to_owned());
    let written = Outcome::Written { at_nanoseconds: 6000, revision: Some(9) };
    let steps = vec![
        Observation::Phase(Phase::Boot),
        Observation::Started { host: 1, found },
        Observation::Stands { host: 1, stand },
        Observation::Event { host: 1, event: Event::BecameLeader { term: Term(2) } },
        Observation::Asks {
            client: 3,
            number: 0,
            to: 1,
            key: "key-1".to_owned(),
            call: put,
            stale: false,
            content: Some(5),
        },
        Observation::Fault { number: 0, begins: true },
        Observation::Sent { from: 1, to: 2, said: said(1) },
        Observation::Sent { from: 1, to: 2, said: said(2) },
        Observation::Received { from: 1, to: 2, said: said(1) },
        Observation::Received { from: 1, to: 2, said: said(1) },
        Observation::Fault { number: 0, begins: false },
        Observation::Fault { number: 1, begins: true },
        Observation::Hears { client: 3, number: 0, outcome: written, revision: Some(9) },
        Observation::Ended { host: 1, why: Ended::Refused(EVIL.to_owned()) },
    ];
    (10..).map(Time).zip(steps).collect()
}

fn plan() -> Plan {
    let mut plan = Plan::new(Scenario::Calm, 7);
    plan.workload.clients = vec![1];
    let links = vec![(1, 2), (2, 1), (1, 101)];
    let cut = Fault::Cut { shape: Shape::Isolated, links, for_ms: 5, flaps: 1 };
    plan.faults =
        vec![Timed { at_ms: 1, fault: cut }, Timed { at_ms: 2, fault: Fault::LoseDisk { host: 2 } }];
    plan
}

fn whole_page() -> String {
    let verdict = format!("SAFETY: linearizability: key-1 {EVIL}");
    let (plan, trace) = (plan(), trace());
    let violated_at = Some(Time(20));
    let again = "cargo sim --stack core --seed 1".to_owned();
    page(&Scene {
        subject: Subject::Plan(&plan),
        trace: &trace,
        verdict,
        violated_at,
        trace_hash: 0xab,
        again,
        stack: "core",
    })
}

/// What a browser takes for the data: all up to the first end tag.
fn data(page: &str) -> Value {
    let (_, rest) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
    serde_json::from_str(rest.split_once("</script>").unwrap().0).unwrap()
}

fn count(data: &Value, what: &str) -> usize {
    data[what].as_array().unwrap().len()
}

#[test]
fn the_page_needs_nothing_from_outside() {
    let page = whole_page();
    for outside in ["http://", "https://", "<script src", "@import", "url(", "<link rel=\"stylesheet"] {
        assert!(!page.contains(outside), "the page holds {outside}");
    }
    assert!(page.contains("default-src 'none'"));
}

#[test]
fn no_text_of_a_run_breaks_out() {
    let page = whole_page();
    assert_eq!(page.matches("</script>").count(), 2, "the data and the script end once each");
    assert!(!page.contains("<b>") && !page.contains("\\u003c/script><b>bold</b>"));
    let data = data(&page);
    assert!(data["strings"].as_array().unwrap().contains(&Value::from(EVIL)), "and it is not changed either");
    assert!(data["about"]["verdict"].as_str().unwrap().ends_with(EVIL));
}

#[test]
fn everything_that_happened_is_in_the_data() {
    let data = data(&whole_page());
    let counts = ["phases", "lives", "stands", "faults", "operations"].map(|what| count(&data, what));
    assert_eq!(counts, [1, 1, 1, 2, 1]);
    assert_eq!(count(&data, "marks"), 3, "it starts, leads and ends");
    assert_eq!(data["about"]["ends_at"], 23);
    assert_eq!(data["about"]["trace_hash"], "00000000000000ab");
    assert_eq!(data["clients"], serde_json::json!([1, 3]), "one that the plan doesn't name asked too");
}

#[test]
fn what_was_sent_is_paired_with_what_arrived() {
    let messages = &data(&whole_page())["messages"];
    // Sent at 16, it arrives at 18 and once more at 19; the other, sent at 17, is lost.
    assert_eq!(messages["sent"], serde_json::json!([16, 16, 17]));
    assert_eq!(messages["took"], serde_json::json!([2, 3, -1]));
    assert_eq!(messages["odd"], serde_json::json!([0, 1, 0]));
    assert_eq!(messages["kinds"][0][0], "append");
}

#[test]
fn faults_and_operations_last_from_begin_to_end() {
    let data = data(&whole_page());
    let (cut, lost) = (&data["faults"][0], &data["faults"][1]);
    assert_eq!((&cut[1], &cut[3], &cut[4], &cut[5]), (&"isolated".into(), &0.into(), &15.into(), &20.into()));
    assert!(cut[6].as_array().unwrap().contains(&serde_json::json!(["links", "s1↔s2 s1→c1"])), "{cut}");
    assert_eq!(
        (&lost[3], &lost[4], &lost[5]),
        (&2.into(), &21.into(), &21.into()),
        "it struck in an instant"
    );
    let operation = &data["operations"][0];
    assert_eq!((&operation[2], &operation[3], &operation[8]), (&14.into(), &22.into(), &"ok".into()));
}
