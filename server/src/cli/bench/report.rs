//! What is measured, and how it is printed.

use crate::cli::bench::connection::Operation;
use crate::cli::bench::load::Load;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Output, Table};
use hdrhistogram::Histogram;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const LONGEST_MICROSECONDS: u64 = 600_000_000;
const SIGNIFICANT_DIGITS: u8 = 3;

/// Latencies in microseconds, and errors by what happened.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    puts: Histogram<u64>,
    gets: Histogram<u64>,
    errors: BTreeMap<String, u64>,
}

impl Measured {
    pub(crate) fn new() -> Self {
        let histogram = || {
            Histogram::new_with_bounds(1, LONGEST_MICROSECONDS, SIGNIFICANT_DIGITS)
                .expect("the bounds are in order and three digits are possible")
        };
        Self { puts: histogram(), gets: histogram(), errors: BTreeMap::new() }
    }

    pub(crate) fn success(&mut self, operation: Operation, latency: Duration) {
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        match operation {
            Operation::Put => self.puts.saturating_record(microseconds),
            Operation::Get => self.gets.saturating_record(microseconds),
        }
    }

    pub(crate) fn error(&mut self, problem: String) {
        *self.errors.entry(problem).or_default() += 1;
    }

    fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    fn success_count(&self) -> u64 {
        self.puts.len() + self.gets.len()
    }
}

/// One whole run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) load: Load,
    pub(crate) elapsed: Duration,
    pub(crate) measured: Measured,
}

/// Prints one measurement, or several.
pub(crate) fn print(reports: &[Report], output: Output) -> Result<(), Failure> {
    match (output, reports) {
        (Output::Json, [report]) => output::json(&report.json()),
        (Output::Json, _) => output::json(&Value::from_iter(reports.iter().map(Report::json))),
        (Output::Table, _) => table(reports).print(),
    }
}

/// Where more connections begin to bring little.
pub(crate) fn knee(reports: &[Report]) -> String {
    let most = reports.iter().map(Report::all_per_second).fold(0.0, f64::max);
    match reports.iter().find(|report| report.all_per_second() >= 0.9 * most) {
        Some(knee) if most > 0.0 => format!(
            "quorate: the knee is at {} connections, with {:.0} of {most:.0} requests per second",
            knee.load.connections,
            knee.all_per_second()
        ),
        _ => "quorate: nothing was answered, so there is no knee".to_owned(),
    }
}

fn table(reports: &[Report]) -> Table<9> {
    let mut table = Table::new([
        "CONNECTIONS",
        "OPERATION",
        "COUNT",
        "PER_SECOND",
        "P50_MS",
        "P90_MS",
        "P99_MS",
        "P99.9_MS",
        "MAX_MS",
    ]);
    for report in reports {
        for (name, histogram) in report.histograms() {
            let milliseconds = |microseconds: u64| format!("{:.3}", microseconds as f64 / 1000.0);
            let quantile = |quantile| milliseconds(histogram.value_at_quantile(quantile));
            table.row([
                report.load.connections.to_string(),
                name.to_owned(),
                histogram.len().to_string(),
                format!("{:.0}", report.per_second(&histogram)),
                quantile(0.5),
                quantile(0.9),
                quantile(0.99),
                quantile(0.999),
                milliseconds(histogram.max()),
            ]);
        }
    }
    table
}

impl Report {
    /// A benchmark with errors measured something else than it says, so it fails, loudly.
    pub(crate) fn verdict(&self) -> Result<(), Failure> {
        let (errors, successes) = (self.measured.error_count(), self.measured.success_count());
        if errors == 0 && successes > 0 {
            return Ok(());
        }
        let kinds = self.measured.errors.iter().map(|(problem, count)| format!("\n  {count} × {problem}"));
        let (all, kinds) = (errors + successes, kinds.collect::<String>());
        Err(Failure::failed(format!(
            "ERRORS: {errors} of {all} requests failed; the figures do not count them{kinds}"
        )))
    }

    /// The operations that occurred; both together only when both did.
    fn histograms(&self) -> Vec<(&'static str, Histogram<u64>)> {
        let Measured { puts, gets, .. } = &self.measured;
        let mut rows = vec![("put", puts.clone()), ("get", gets.clone())];
        rows.retain(|(_, histogram)| !histogram.is_empty());
        if rows.len() == 2 {
            let mut all = puts.clone();
            all.add(gets).expect("both have the same bounds");
            rows.push(("all", all));
        }
        rows
    }

    fn per_second(&self, histogram: &Histogram<u64>) -> f64 {
        histogram.len() as f64 / self.elapsed.as_secs_f64()
    }

    fn all_per_second(&self) -> f64 {
        self.measured.success_count() as f64 / self.elapsed.as_secs_f64()
    }

    fn json(&self) -> Value {
        let targets: Vec<_> = self.load.targets.iter().map(ToString::to_string).collect();
        let mut object = json!({
            "targets": targets,
            "connections": self.load.connections,
            "rate": self.load.rate,
            "keys": self.load.keys,
            "value_bytes": self.load.value_bytes,
            "reads_percent": self.load.reads_percent,
            "seconds": self.elapsed.as_secs_f64(),
            "errors": self.measured.error_count(),
            "error_kinds": self.measured.errors,
        });
        for (name, histogram) in self.histograms() {
            object[name] = json!({
                "count": histogram.len(),
                "per_second": self.per_second(&histogram),
                "p50_us": histogram.value_at_quantile(0.5),
                "p90_us": histogram.value_at_quantile(0.9),
                "p99_us": histogram.value_at_quantile(0.99),
                "p99_9_us": histogram.value_at_quantile(0.999),
                "max_us": histogram.max(),
            });
        }
        object
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let load = Load::to_nobody();
        Report { load, elapsed: Duration::from_secs(2), measured: Measured::new() }
    }

    #[test]
    fn the_table_and_the_json_say_the_same() {
        let mut report = report();
        (1..=1000).for_each(|n| report.measured.success(Operation::Put, Duration::from_micros(n)));
        (0..100).for_each(|_| report.measured.success(Operation::Get, Duration::from_millis(20)));
        let expected = "\
CONNECTIONS  OPERATION  COUNT  PER_SECOND  P50_MS  P90_MS  P99_MS  P99.9_MS  MAX_MS
64           put        1000   500         0.500   0.900   0.990   0.999     1.000
64           get        100    50          20.015  20.015  20.015  20.015    20.015
64           all        1100   550         0.550   0.990   20.015  20.015    20.015
";
        assert_eq!(table(&[report.clone()]).text(), expected);
        let json = report.json();
        assert_eq!((&json["put"]["p50_us"], &json["all"]["count"]), (&json!(500), &json!(1100)));
        assert_eq!((&json["errors"], &json["seconds"]), (&json!(0), &json!(2.0)));
        assert!(report.verdict().is_ok());
    }

    #[test]
    fn errors_fail_the_run_and_are_listed() {
        let mut report = report();
        report.measured.success(Operation::Put, Duration::from_millis(1));
        (0..2).for_each(|_| report.measured.error("put answered 503".to_owned()));
        report.measured.error("put: connection refused".to_owned());
        let Err(Failure::Ended(exit, message)) = report.verdict() else { panic!("errors must fail the run") };
        assert_eq!(exit, crate::cli::exit::Exit::Failed);
        for expected in ["ERRORS: 3 of 4", "2 × put answered 503", "1 × put: connection refused"] {
            assert!(message.contains(expected), "{message}");
        }
        assert_eq!(report.json()["error_kinds"]["put answered 503"], json!(2));
    }

    #[test]
    fn the_knee_is_where_more_connections_bring_little() {
        let with = |connections: u32, count: u64| {
            let mut report = report();
            report.load.connections = connections;
            (0..count).for_each(|_| report.measured.success(Operation::Put, Duration::from_millis(1)));
            report
        };
        let reports = [with(1, 20), with(2, 50), with(4, 92), with(8, 100), with(16, 98)];
        let expected = "quorate: the knee is at 4 connections, with 46 of 50 requests per second";
        assert_eq!(knee(&reports), expected);
        assert!(knee(&[with(1, 0)]).contains("no knee"));
    }

    #[test]
    fn a_run_without_any_answer_fails() {
        assert!(report().verdict().is_err());
    }
}
