//! The table as a page of the documentation.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write;

use super::table::{Kind, Row, TABLE, rows};
use crate::http::openapi::reading::assert_committed;

const ALERTS: &str = include_str!("../../deploy/prometheus/alerts.yml");

/// Of the sections.
const TITLES: [&str; TABLE.len()] =
    ["The node", "Raft", "The store", "HTTP", "Storage", "Peers", "The process"];

/// Each alert with its expression.
fn alerts() -> Vec<(&'static str, String)> {
    let mut alerts: Vec<(&str, String)> = Vec::new();
    let mut is_expression = false;
    for line in ALERTS.lines() {
        let field = line.trim_start();
        if let Some(name) = field.strip_prefix("- alert: ") {
            alerts.push((name, String::new()));
        }
        if line.starts_with("        ") && !line.starts_with("         ") {
            is_expression = field.starts_with("expr:");
        }
        if let Some((_, expression)) = alerts.last_mut().filter(|_| is_expression) {
            expression.push_str(line);
            expression.push('\n');
        }
    }
    alerts
}

/// The names of metrics in an expression: those of the series of a histogram are its own.
fn named(expression: &str) -> BTreeSet<&str> {
    let is_of_a_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = expression.split(|character| !is_of_a_name(character));
    let names = words.filter(|word| word.starts_with("quorate_") || word.starts_with("process_"));
    names.map(|name| name.strip_suffix("_bucket").unwrap_or(name)).collect()
}

fn unit(row: &Row) -> &'static str {
    let name = row.name.strip_suffix("_total").unwrap_or(row.name);
    ["seconds", "bytes", "entries"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or("")
}

fn line(row: &Row, alerts: &[(&str, String)]) -> String {
    let kind = match row.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    };
    let labels: Vec<String> = row.labels.iter().map(|label| format!("`{label}`")).collect();
    let looking = alerts.iter().filter(|(_, expression)| named(expression).contains(row.name));
    let looking: Vec<String> =
        looking.map(|(name, _)| format!("[{name}](ALERTS.md#{})", name.to_lowercase())).collect();
    let Row { name, help, .. } = row;
    format!(
        "| `{name}` | {kind} | {} | {} | {help} | {} |\n",
        unit(row),
        labels.join(", "),
        looking.join(", ")
    )
}

fn page() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         What `GET /metrics` tells, in the text format of Prometheus (0.0.4), at every node of itself. The page is made of the\n\
         table in `server/src/metrics/table/`, from which the answers are made, too. [Monitoring](how-to/monitor.md#metrics-and-alerts)\n\
         tells how to scrape them, [ALERTS.md](ALERTS.md) what to do when an alert looks at one and rings.\n\n\
         Counters begin at 0 with the process. A histogram has `_bucket`, `_sum` and `_count`. Metrics *on the leader* have no\n\
         values on other nodes, those of the disk and the process none where the system does not tell.\n",
    );
    let alerts = alerts();
    for (title, rows) in TITLES.into_iter().zip(TABLE) {
        write!(page, "\n## {title}\n\n").unwrap();
        page.push_str("| metric | type | unit | labels | meaning | alerts |\n|---|---|---|---|---|---|\n");
        rows.iter().for_each(|row| page.push_str(&line(row, &alerts)));
    }
    page
}

#[test]
fn the_committed_page_is_the_table() {
    assert_committed("METRICS.md", page().as_bytes());
}

#[test]
fn names_say_what_they_are() {
    let mut names = BTreeSet::new();
    for row in rows() {
        let Row { name, kind, help, .. } = row;
        assert!(names.insert(name), "{name} is there twice");
        assert!(name.starts_with("quorate_") || name.starts_with("process_"), "{name}");
        assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
        assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
        assert!(help.ends_with('.') && !help.contains(['|', '\n']), "{name}: {help:?}");
    }
}

#[test]
fn alerts_look_at_metrics_of_the_table() {
    let alerts = alerts();
    assert!(alerts.len() > 10, "{alerts:?}");
    for (alert, expression) in &alerts {
        let named = named(expression);
        assert!(!named.is_empty(), "{alert} looks at nothing");
        for name in named {
            assert!(rows().any(|row| row.name == name), "{alert} looks at {name}, which there is not");
        }
    }
}
