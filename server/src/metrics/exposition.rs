//! The text of an answer, in Prometheus' format of version 0.0.4.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::scrape::Scrape;
use super::table::{Kind, Row, Samples, Value, rows};

/// A whole answer.
pub(crate) fn text(scrape: Scrape) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry).expect("a String takes whatever is written");
    text
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for row in rows() {
            let mut samples = Samples::of(row);
            (row.read)(self, &mut samples);
            let kind = match row.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
                Kind::Histogram => MetricType::Histogram,
            };
            let mut metric = encoder.encode_descriptor(stem(row), row.help, None, kind)?;
            for (labels, value) in samples.labelled() {
                let sample = metric.encode_family(&labels)?;
                encode_value(sample, row.kind, &value)?;
            }
        }
        Ok(())
    }
}

/// The library adds the `_total` of counters itself.
fn stem(row: &Row) -> &'static str {
    match row.kind {
        Kind::Counter => row.name.strip_suffix("_total").expect("a counter's name says that it is one"),
        Kind::Gauge | Kind::Histogram => row.name,
    }
}

fn encode_value(mut sample: MetricEncoder<'_>, kind: Kind, value: &Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(number)) => sample.encode_counter::<NoLabelSet, _, f64>(number, None),
        (Kind::Counter, Value::Real(number)) => sample.encode_counter::<NoLabelSet, _, f64>(number, None),
        (Kind::Gauge, Value::Whole(number)) => sample.encode_gauge(number),
        (Kind::Gauge, Value::Real(number)) => sample.encode_gauge(number),
        (Kind::Histogram, Value::Distribution(all)) => {
            sample.encode_histogram::<NoLabelSet>(all.sum, all.count, &all.buckets, None)
        }
        (kind, value) => unreachable!("a {kind:?} with the value {value:?}"),
    }
}
