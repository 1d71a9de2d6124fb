//! The samples as a drawing.

use std::path::Path;

use plotters::prelude::*;

use crate::samples::{MEASURES, Sample};

const SIZE: (u32, u32) = (900, 1_000);
const COLORS: [RGBColor; 3] = [RGBColor(200, 60, 40), RGBColor(40, 110, 190), RGBColor(60, 150, 70)];

/// Draws what was served, and each measure of each node, over time.
pub(crate) fn draw(samples: &[Sample], path: &Path) {
    let area = SVGBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let parts = area.split_evenly((MEASURES.len() + 1, 1));
    let served = samples.iter().map(|sample| sample.per_second).collect();
    panel(&parts[0], "requests per second", samples, &[served]);
    for (part, (name, of)) in parts[1..].iter().zip(MEASURES) {
        let node = |node: usize| samples.iter().map(|sample| of(&sample.nodes[node])).collect();
        panel(part, &format!("{name} (red: node 0, never killed)"), samples, &[node(0), node(1), node(2)]);
    }
    area.present().unwrap();
}

fn panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    title: &str,
    samples: &[Sample],
    lines: &[Vec<f64>],
) {
    let minutes = |sample: &Sample| sample.at.as_secs_f64() / 60.0;
    let end = minutes(&samples[samples.len() - 1]);
    let most = lines.iter().flatten().copied().fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 16))
        .margin(8)
        .x_label_area_size(24)
        .y_label_area_size(64)
        .build_cartesian_2d(0.0..end, 0.0..most * 1.05)
        .unwrap();
    chart.configure_mesh().disable_x_mesh().light_line_style(TRANSPARENT).draw().unwrap();
    for (line, color) in lines.iter().zip(COLORS).rev() {
        let points = samples.iter().map(minutes).zip(line.iter().copied());
        chart.draw_series(LineSeries::new(points, color)).unwrap();
    }
}
