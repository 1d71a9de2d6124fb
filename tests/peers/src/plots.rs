//! The plots, as SVG.

use std::path::Path;

use anyhow::Result;
use plotters::prelude::*;

use crate::engines::BATCHES;
use crate::results::{All, Comparison, Engines, Growth, GrowthSample, Operation, Sample, System};

const SIZE: (u32, u32) = (860, 420);

/// One line of a plot.
struct Line {
    name: String,
    color: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Draws all that there are results for.
pub(crate) fn draw(all: &All, folder: &Path) -> Result<()> {
    if let Some(comparison) = &all.comparison {
        for operation in Operation::ALL {
            against_connections(comparison, operation, folder)?;
            latencies(comparison, operation, folder)?;
        }
    }
    if let Some(engines) = &all.engines {
        alone(engines, folder)?;
    }
    if let Some(growth) = &all.growth {
        let put = |sample: &GrowthSample| sample.put_per_second;
        against_keys(growth, "puts per second, one node", put, &folder.join("growth-puts.svg"))?;
        let memory = |sample: &GrowthSample| sample.bytes_per_key;
        against_keys(growth, "memory a key, bytes", memory, &folder.join("growth-memory.svg"))?;
    }
    Ok(())
}

fn color(system: System) -> RGBColor {
    match system {
        System::Quorate | System::QuorateFollower => RGBColor(200, 60, 40),
        System::Etcd | System::EtcdFollower => RGBColor(40, 110, 190),
        System::EtcdGrpc => RGBColor(60, 150, 70),
        System::BareHyper => RGBColor(120, 120, 120),
    }
}

fn against_connections(comparison: &Comparison, operation: Operation, folder: &Path) -> Result<()> {
    let connections = comparison.connections();
    let lines = |value: fn(&Sample) -> f64| {
        System::SIDE_BY_SIDE.map(|system| {
            let point = |(place, &count): (usize, &usize)| {
                Some((place as f64, comparison.median(system, operation, count, value)?))
            };
            let points = connections.iter().enumerate().filter_map(point).collect();
            Line { name: system.name().to_owned(), color: color(system), points }
        })
    };
    let names: Vec<String> = connections.iter().map(|count| format!("c={count}")).collect();
    let name = operation.name();
    let path = |what: &str| folder.join(format!("{name}-{what}.svg"));
    plot(&path("throughput"), &format!("{name}s per second"), &names, &lines(|sample| sample.per_second))?;
    let cpu = lines(|sample| sample.cpu_us_per_operation);
    plot(&path("cpu"), &format!("CPU a {name}, all nodes, microseconds"), &names, &cpu)
}

/// With the most connections.
fn latencies(comparison: &Comparison, operation: Operation, folder: &Path) -> Result<()> {
    let Some(&connections) = comparison.connections().last() else { return Ok(()) };
    type Share = (&'static str, fn(&Sample) -> f64);
    let shares: [Share; 5] = [
        ("p50", |sample| sample.latencies.p50_us),
        ("p90", |sample| sample.latencies.p90_us),
        ("p99", |sample| sample.latencies.p99_us),
        ("p99.9", |sample| sample.latencies.p999_us),
        ("most", |sample| sample.latencies.most_us),
    ];
    let lines = System::SIDE_BY_SIDE.map(|system| {
        let point = |place: usize| {
            let us = comparison.median(system, operation, connections, shares[place].1)?;
            Some((place as f64, us / 1000.0))
        };
        let points = (0..shares.len()).filter_map(point).collect();
        Line { name: system.name().to_owned(), color: color(system), points }
    });
    let names = shares.map(|(name, ..)| name.to_owned());
    let title = format!("{} latencies in milliseconds, c={connections}", operation.name());
    plot(&folder.join(format!("{}-latency.svg", operation.name())), &title, &names, &lines)
}

fn alone(engines: &Engines, folder: &Path) -> Result<()> {
    let colors = [System::Quorate, System::Etcd, System::EtcdGrpc].map(color);
    let lines: Vec<Line> = engines
        .names()
        .into_iter()
        .zip(colors)
        .map(|(name, color)| {
            let point = |(place, &batch): (usize, &usize)| Some((place as f64, engines.median(name, batch)?));
            let points = BATCHES.iter().enumerate().filter_map(point).collect();
            Line { name: name.to_owned(), color, points }
        })
        .collect();
    let names = BATCHES.map(|batch| format!("batch {batch}"));
    plot(&folder.join("engines.svg"), "entries per second, three nodes in one thread", &names, &lines)
}

fn against_keys(growth: &Growth, title: &str, value: fn(&GrowthSample) -> f64, path: &Path) -> Result<()> {
    let mut sizes: Vec<usize> = growth.samples.iter().map(|sample| sample.keys).collect();
    sizes.dedup();
    let lines = [System::Quorate, System::Etcd].map(|system| {
        let point = |(place, &keys): (usize, &usize)| Some((place as f64, value(growth.at(system, keys)?)));
        let points = sizes.iter().enumerate().filter_map(point).collect();
        Line { name: system.name().to_owned(), color: color(system), points }
    });
    let names: Vec<String> = sizes.iter().map(|keys| format!("{keys} keys")).collect();
    plot(path, title, &names, &lines)
}

/// Lines over named places, on a logarithmic scale.
fn plot(path: &Path, title: &str, places: &[String], lines: &[Line]) -> Result<()> {
    let values =
        || lines.iter().flat_map(|line| &line.points).map(|&(_, value)| value).filter(|value| *value > 0.0);
    let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
    if least > most {
        return Ok(());
    }
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let last = places.len() as f64 - 1.0;
    let mut chart = ChartBuilder::on(&area)
        .caption(title, ("sans-serif", 18))
        .margin(10)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(-0.2..last + 0.2, (least * 0.7..most * 1.4).log_scale())?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(places.len())
        .x_label_formatter(&|x| {
            let is_place = (x - x.round()).abs() < 0.01 && *x > -0.5;
            let place = is_place.then(|| places.get(x.round() as usize)).flatten();
            place.cloned().unwrap_or_default()
        })
        .y_label_formatter(&|value| crate::page::short(*value))
        .draw()?;
    for line in lines.iter().filter(|line| !line.points.is_empty()) {
        let color = line.color;
        let positive = || line.points.iter().copied().filter(|(_, value)| *value > 0.0);
        chart
            .draw_series(LineSeries::new(positive(), color.stroke_width(2)))?
            .label(line.name.clone())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
        chart.draw_series(positive().map(|point| Circle::new(point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
