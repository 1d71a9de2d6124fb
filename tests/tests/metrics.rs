//! `GET /metrics` of real nodes, and the alert rules and the dashboard that read it. promtool, of Debian's package
//! `prometheus`, judges the text, the rules, and the rules' own tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use quorate_sim::trials::skip;
use quorate_tests::cluster::{Cluster, Node};
use quorate_tests::deadline::{PATIENCE, wait_until};
use quorate_tests::load::Load;
use quorate_tests::style::repository;
use serde_json::{Value, json};

const QUORATE: &str = env!("CARGO_BIN_EXE_quorate-under-test");

/// What one node told.
struct Scrape(String);

impl Scrape {
    fn of(node: &Node) -> Scrape {
        let answer = node.client().get("/metrics");
        assert_eq!(answer.status, 200, "{}", answer.text());
        Scrape(answer.text())
    }

    /// The value of a series, written as in the text.
    #[track_caller]
    fn value(&self, series: &str) -> f64 {
        let of_series = |line: &str| Some(line.strip_prefix(series)?.strip_prefix(' ')?.parse().unwrap());
        self.0.lines().find_map(of_series).unwrap_or_else(|| panic!("no {series} in {}", self.0))
    }

    /// The sum over all series of a metric.
    fn sum(&self, name: &str) -> f64 {
        let is_series = |rest: &&str| rest.starts_with(['{', ' ']);
        let series = self.0.lines().filter_map(|line| line.strip_prefix(name)).filter(is_series);
        series.map(|rest| rest.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Each metric with its type.
    fn types(&self) -> BTreeMap<&str, &str> {
        self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect()
    }
}

/// Each metric of `docs/METRICS.md` with its type.
fn documented() -> BTreeMap<String, String> {
    let page = std::fs::read_to_string(repository().join("docs/METRICS.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let rows = rows.map(|(name, rest)| (name.to_owned(), rest.split(' ').next().unwrap().to_owned()));
    let all: BTreeMap<_, _> = rows.collect();
    assert!(all.len() > 50, "{all:?}");
    all
}

/// The metrics that a query names; of a histogram it names the series.
fn named(query: &str) -> BTreeSet<String> {
    let is_of_a_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = query.split(|character| !is_of_a_name(character));
    let names = words.filter(|word| word.starts_with("quorate_") || word.starts_with("process_"));
    names.map(|name| name.strip_suffix("_bucket").unwrap_or(name).to_owned()).collect()
}

fn file(name: &str) -> String {
    std::fs::read_to_string(repository().join("server/deploy").join(name)).unwrap()
}

/// Every query of the dashboard, with its panel's title.
fn dashboard() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&file("grafana/quorate.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap();
        let targets = panel["targets"].as_array().into_iter().flatten();
        targets.map(move |target| (title.to_owned(), target["expr"].as_str().unwrap().to_owned()))
    });
    queries.collect()
}

/// Runs promtool with this for its input; nothing when it is not there, which is said loudly.
fn promtool(test: &str, arguments: &[&str], place: &Path, input: &str) -> Option<Output> {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(place);
    let started = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let Ok(mut running) = started else {
        skip(test, "promtool is not installed: it is in Debian's package prometheus");
        return None;
    };
    // It may end before it has read everything.
    let _ = running.stdin.take().unwrap().write_all(input.as_bytes());
    Some(running.wait_with_output().unwrap())
}

#[track_caller]
fn assert_content(output: &Output) {
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_cluster_under_load_tells_how_it_is() {
    let cluster = Cluster::start_named(QUORATE, 3);
    let leader = cluster.leader();
    let before: Vec<Scrape> = cluster.nodes.iter().map(Scrape::of).collect();
    let addresses = cluster.nodes.iter().map(Node::http).collect();
    let loading = Load { addresses, writers: 6, value_bytes: 2_000, seed: 7 }.start();
    loading.wait_for(300, PATIENCE);
    loading.finish();
    (0..3).for_each(|node| cluster.wait_until_caught_up(node));
    // Until the leader has heard that all have it.
    let after = wait_until("a quiet cluster", PATIENCE, || {
        let after: Vec<Scrape> = cluster.nodes.iter().map(Scrape::of).collect();
        (after[leader].sum("quorate_raft_peer_lag_entries") == 0.0).then_some(after)
    });
    assert_eq!(cluster.leader(), leader, "the leader changed in the middle");

    let sum = |series: &str| after.iter().map(|scrape| scrape.value(series)).sum::<f64>();
    assert_eq!((sum("quorate_raft_is_leader"), sum("quorate_raft_has_leader")), (1.0, 3.0));
    for (number, scrape) in after.iter().enumerate() {
        let value = |series: &str| scrape.value(series);
        let grown = |series: &str| value(series) - before[number].value(series);
        assert_eq!(value("quorate_raft_is_leader"), f64::from(u8::from(number == leader)));
        assert_eq!(value(r#"quorate_raft_members{role="voter"}"#), 3.0);
        assert_eq!(value("quorate_store_keys"), 48.0, "six writers with eight keys each");
        assert_eq!(value("quorate_store_revision"), after[leader].value("quorate_store_revision"));
        assert!(grown("quorate_raft_applied_index") >= 300.0);
        assert!(grown("quorate_raft_appended_entries_total") >= 300.0);
        assert!(grown(r#"quorate_http_requests_total{operation="put",class="2xx"}"#) >= 10.0);
        assert!(grown(r#"quorate_disk_sync_duration_seconds_count{area="log"}"#) >= 10.0);
        assert!(grown(r#"quorate_disk_written_bytes_total{area="log"}"#) > 100_000.0);
        assert!(grown("quorate_raft_persist_duration_seconds_count") >= 10.0);
        assert!(grown("quorate_raft_apply_duration_seconds_count") >= 10.0);
        assert!(grown("quorate_peer_received_bytes_total") > 10_000.0);
        assert!(value(r#"quorate_data_bytes{area="log"}"#) > 100_000.0);
        assert!(value("quorate_disk_free_bytes") <= value("quorate_disk_size_bytes"));
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert_eq!(value("quorate_raft_damaged_slots"), 0.0);
        assert_eq!(scrape.sum("quorate_disk_findings_total"), 0.0);
        let replicated = grown("quorate_raft_replication_duration_seconds_count");
        let passed_on = grown(r#"quorate_http_passed_on_total{result="answered"}"#);
        assert!((number == leader) == (replicated >= 10.0), "{replicated} at {number}, {leader} leads");
        assert!((number == leader) != (passed_on >= 10.0), "{passed_on} at {number}, {leader} leads");
    }
    assert_eq!(after[leader].value("quorate_raft_failures_tolerated"), 1.0);
    assert_eq!(after[leader].sum("quorate_raft_peer_state"), 2.0);
}

#[test]
fn the_text_is_what_prometheus_reads_and_the_page_lists() {
    let name = "the_text_is_what_prometheus_reads_and_the_page_lists";
    let cluster = Cluster::start(QUORATE, 3);
    let documented = documented();
    for node in &cluster.nodes {
        let scrape = Scrape::of(node);
        let told: BTreeMap<String, String> =
            scrape.types().iter().map(|(&name, &kind)| (name.to_owned(), kind.to_owned())).collect();
        assert_eq!(told, documented);
        let Some(output) = promtool(name, &["check", "metrics"], Path::new("."), &scrape.0) else { return };
        assert_content(&output);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// When a voter of three is down the leader can lose no other.
#[test]
fn a_voter_that_is_down_shows_at_the_leader() {
    let mut cluster = Cluster::start(QUORATE, 3);
    let (leader, follower) = (cluster.leader(), cluster.follower());
    let id = cluster.nodes[follower].id();
    cluster.nodes[follower].kill();
    let down = format!(r#"quorate_raft_peer_state{{peer="{id}",state="down"}}"#);
    wait_until("the leader to miss it", PATIENCE, || {
        let scrape = Scrape::of(&cluster.nodes[leader]);
        (scrape.value(&down) == 1.0).then(|| assert_eq!(scrape.value("quorate_raft_failures_tolerated"), 0.0))
    });
}

#[test]
fn rules_and_dashboard_name_metrics_that_there_are() {
    let documented = documented();
    let mut queries = dashboard();
    assert!(queries.len() > 40, "{queries:?}");
    queries.extend(
        ["alerts.yml", "alerts_test.yml"].map(|name| (name.to_owned(), file(&format!("prometheus/{name}")))),
    );
    for (place, query) in queries {
        let named = named(&query);
        assert!(!named.is_empty(), "{place}: {query} names no metric");
        for metric in named {
            assert!(
                documented.contains_key(&metric),
                "{place} names {metric}, which docs/METRICS.md does not have"
            );
        }
    }
}

#[test]
fn every_alert_is_explained_and_tested() {
    let (rules, tests) = (file("prometheus/alerts.yml"), file("prometheus/alerts_test.yml"));
    let page = std::fs::read_to_string(repository().join("docs/ALERTS.md")).unwrap();
    let explained: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let mut alerts = BTreeSet::new();
    for alert in rules.split("- alert: ").skip(1) {
        let (name, rest) = alert.split_once('\n').unwrap();
        alerts.insert(name);
        assert!(
            rest.contains("severity: ") && rest.contains(" summary: ") && rest.contains(" description: "),
            "{name}"
        );
        let link = format!("/docs/ALERTS.md#{}\n", name.to_lowercase());
        assert!(rest.contains(&link), "{name} has no link to {link:?}");
        assert!(tests.contains(name), "{name} has no test");
    }
    assert_eq!(alerts, explained);
}

#[test]
fn rules_and_queries_are_what_prometheus_takes() {
    let name = "rules_and_queries_are_what_prometheus_takes";
    let place = repository().join("server/deploy/prometheus");
    for arguments in [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]] {
        let Some(output) = promtool(name, &arguments, &place, "") else { return };
        assert_content(&output);
    }
    // What Grafana puts in, and a form in which promtool takes a query: a rule. JSON is YAML.
    let queries = dashboard().into_iter().enumerate().map(|(number, (_, query))| {
        let query = query.replace("$__rate_interval", "5m").replace("$job", "quorate");
        json!({ "record": format!("dashboard:query_{number}"), "expr": query })
    });
    let rules = json!({ "groups": [{ "name": "dashboard", "rules": queries.collect::<Vec<_>>() }] });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("dashboard.yml"), rules.to_string()).unwrap();
    let output = promtool(name, &["check", "rules", "dashboard.yml"], folder.path(), "").unwrap();
    assert_content(&output);
}
