//! The table of all metrics.
//!
//! A name begins with `quorate_`, but for those of a process, which have the names that all programs give them. Units
//! are seconds and bytes, and stand in the name.

mod http;
mod node;
mod peers;
mod process;
mod raft;
mod storage;
mod store;

use super::cells::{Counter, Distribution, Histogram};
use super::scrape::Scrape;

/// A metric.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
    /// Where its values come from.
    pub(crate) read: fn(&Scrape, &mut Samples),
}

/// What sort of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The table, in sections.
pub(crate) const TABLE: [&[Row]; 7] =
    [node::ROWS, raft::ROWS, store::ROWS, http::ROWS, storage::ROWS, peers::ROWS, process::ROWS];

/// All of its rows.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.into_iter().flatten()
}

const fn counter(name: &'static str, help: &'static str, read: fn(&Scrape, &mut Samples)) -> Row {
    Row { name, kind: Kind::Counter, labels: &[], help, read }
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&Scrape, &mut Samples)) -> Row {
    Row { name, kind: Kind::Gauge, labels: &[], help, read }
}

const fn histogram(name: &'static str, help: &'static str, read: fn(&Scrape, &mut Samples)) -> Row {
    Row { name, kind: Kind::Histogram, labels: &[], help, read }
}

impl Row {
    const fn by(self, labels: &'static [&'static str]) -> Row {
        Row { labels, ..self }
    }
}

/// The values of one metric.
#[derive(Debug)]
pub(crate) struct Samples {
    labels: &'static [&'static str],
    all: Vec<(Vec<String>, Value)>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Whole(u64),
    Real(f64),
    Distribution(Distribution),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Value::Whole(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Value::Whole(number as u64)
    }
}

impl From<bool> for Value {
    fn from(is_so: bool) -> Self {
        Value::Whole(is_so.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Value::Real(number)
    }
}

impl From<Distribution> for Value {
    fn from(distribution: Distribution) -> Self {
        Value::Distribution(distribution)
    }
}

impl From<&Counter> for Value {
    fn from(counter: &Counter) -> Self {
        Value::Whole(counter.total())
    }
}

impl From<&Histogram> for Value {
    fn from(histogram: &Histogram) -> Self {
        Value::Distribution(histogram.distribution())
    }
}

impl Samples {
    /// None yet, of this metric.
    pub(crate) fn of(row: &Row) -> Samples {
        Samples { labels: row.labels, all: Vec::new() }
    }

    /// The value, of a metric without labels.
    fn put(&mut self, value: impl Into<Value>) {
        self.put_for(&[], value);
    }

    /// A value for these values of the labels, in their order.
    fn put_for(&mut self, labels: &[&str], value: impl Into<Value>) {
        assert_eq!(labels.len(), self.labels.len(), "{labels:?} for {:?}", self.labels);
        self.all.push((labels.iter().map(|&label| label.to_owned()).collect(), value.into()));
    }

    /// Each value with its labels.
    pub(crate) fn labelled(self) -> impl Iterator<Item = (Vec<(&'static str, String)>, Value)> {
        let names = self.labels;
        self.all.into_iter().map(move |(labels, value)| (names.iter().copied().zip(labels).collect(), value))
    }
}
