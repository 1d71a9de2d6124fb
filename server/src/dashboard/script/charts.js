
// The last minute as lines.

const POINTS = 60;
const WIDTH = 120;
const HEIGHT = 30;

/** Numbers of the last minute, one a second; null where there was nothing to measure. */
class Series {
  values = [];

  add(value) {
    this.values.push(value ?? null);
    if (this.values.length > POINTS) this.values.shift();
  }

  /** Leaves a gap of so many seconds. */
  skip(seconds) {
    for (let left = Math.min(seconds, POINTS); left > 0; left -= 1) this.add(null);
  }

  get highest() {
    return Math.max(0, ...this.values.filter((value) => value !== null));
  }
}

/** A chart of its own size, with a text for who can't see it. */
function makeChart() {
  const area = makeSvg("path", { class: "area" });
  const line = makeSvg("path", { class: "line" });
  const viewBox = `0 0 ${WIDTH} ${HEIGHT}`;
  return makeSvg("svg", { class: "chart", role: "img", viewBox, preserveAspectRatio: "none" }, area, line);
}

/** Draws a series from the right; `least` is the top of the chart when all is below it. */
function draw(chart, series, { least, label }) {
  const top = Math.max(series.highest, least);
  const place = (value, at) => {
    const x = WIDTH - (series.values.length - 1 - at) * (WIDTH / (POINTS - 1));
    return [x.toFixed(1), (HEIGHT - 1 - (value / top) * (HEIGHT - 3)).toFixed(1)];
  };
  const runs = runsOf(series.values.map((value, at) => (value === null ? null : place(value, at))));
  const [area, line] = chart.children;
  // A point alone has no length: its line is made one that can be seen.
  line.setAttribute("d", runs.map((run) => `M${run.join("L")}${run.length === 1 ? "m-2,0h2" : ""}`).join(""));
  area.setAttribute("d", runs.map((run) => `M${run[0][0]},${HEIGHT}L${run.join("L")}V${HEIGHT}Z`).join(""));
  setAttribute(chart, "aria-label", label);
}

/** Points that follow one another without a gap. */
function runsOf(points) {
  const runs = [];
  points.forEach((point, at) => {
    if (point === null) return;
    if (at > 0 && points[at - 1] !== null) runs.at(-1).push(point);
    else runs.push([point]);
  });
  return runs;
}
