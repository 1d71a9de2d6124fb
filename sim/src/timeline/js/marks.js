// Drawing, second part: marks on the lanes, the chosen item, the violation, the names of the lanes, the overview.

// Each sort has a shape of its own: shape(x, y) leaves a path to be filled.
const markLook = {
  event: ["text", (x, y) => context.arc(x, y, 3, 0, 7)],
  life: [
    "process",
    (x, y) => {
      context.moveTo(x - 4, y + 3);
      context.lineTo(x, y - 5);
      context.lineTo(x + 4, y + 3);
    },
  ],
  ends: [
    "bad",
    (x, y) => {
      for (const side of [-1, 1]) {
        context.moveTo(x - 4, y - 4 * side);
        context.lineTo(x + 4, y + 4 * side);
      }
    },
  ],
  members: [
    "membership",
    (x, y) => {
      context.moveTo(x, y - 4.5);
      context.lineTo(x + 4.5, y);
      context.lineTo(x, y + 4.5);
      context.lineTo(x - 4.5, y);
    },
  ],
  write: ["disk", (x, y) => context.rect(x - 1, y - 4, 2, 8)],
  durable: ["ok", (x, y) => context.rect(x - 2.5, y - 2.5, 5, 5)],
  applied: [
    "read",
    (x, y) => {
      context.moveTo(x - 3, y - 3);
      context.lineTo(x + 3, y);
      context.lineTo(x - 3, y + 3);
    },
  ],
};

function drawMarks(seen) {
  const last = new Map();
  for (const item of seen) {
    const mark = marks[item.index],
      x = xOf(mark.at);
    const sort = mark.sort === "life" && mark.text.startsWith("ends") ? "ends" : mark.sort;
    // Of those that would cover each other one is enough; the list has them all.
    const key = `${sort} ${mark.lane}`;
    if (x - (last.get(key) ?? -9) < 2) continue;
    last.set(key, x);
    drawMark(sort, x, barMiddle(mark.lane) - barHalf(mark.lane, "leader") - 6);
    places.push([
      x - 5,
      barMiddle(mark.lane) - barHalf(mark.lane, "leader") - 12,
      x + 5,
      barMiddle(mark.lane) - barHalf(mark.lane, "leader"),
      itemOf[MARK][item.index],
    ]);
  }
}

function drawMark(sort, x, y) {
  const [color, shape] = markLook[sort];
  context.beginPath();
  shape(x, y);
  if (sort === "ends") {
    context.strokeStyle = paint[color];
    context.lineWidth = 2.2;
    context.stroke();
    return;
  }
  context.closePath();
  context.fillStyle = paint[color];
  context.fill();
  context.strokeStyle = paint.page;
  context.lineWidth = 1;
  context.stroke();
}

function drawChosen() {
  if (chosen.item === null) return;
  const item = items[chosen.item];
  const left = xOf(item.from),
    right = xOf(item.to);
  context.fillStyle = paint.accent;
  context.globalAlpha = 0.25;
  context.fillRect(left - 3, AXIS, 6, view.height);
  context.globalAlpha = 1;
  context.strokeStyle = paint.chosen;
  context.lineWidth = 2;
  if (item.type === MESSAGE) {
    drawArrow(item, paint.chosen, 2.6);
  } else if (item.type === OPERATION) {
    context.strokeRect(
      left - 1,
      view.laneTop[item.a] + 1,
      Math.max(right - left, 3) + 2,
      view.laneHeight[item.a] - 2,
    );
  } else if (item.type === FAULT) {
    const fault = faults[item.index];
    context.strokeRect(left, faultTop(fault), Math.max(right - left, 4), faultHeight(fault));
  } else if (item.type !== PHASE) {
    context.strokeRect(left - 6, barMiddle(item.a) - barHalf(item.a, "leader") - 13, 12, 13);
  }
}

function drawViolation() {
  if (about.violated_at === null) return;
  const x = xOf(about.violated_at);
  context.fillStyle = paint.bad;
  context.fillRect(x - 1.25, AXIS, 2.5, view.height);
  const text = `violated: ${about.verdict}`;
  context.font = `bold 11px ${FONT}`;
  const room = Math.min(context.measureText(text).width + 12, view.width - view.gutter - 8);
  const left = clamp(x - room / 2, view.gutter + 4, view.width - room - 4);
  if (x < view.gutter || x > view.width) return;
  const top = view.height - 19;
  context.fillRect(left, top, room, 17);
  labelWithin(text, left + 2, left + room, top + 9, paint.page, 11, "bold");
}

function drawGutter() {
  context.fillStyle = paint.panel;
  context.fillRect(0, 0, view.gutter, view.height);
  context.fillStyle = paint.line;
  context.fillRect(view.gutter - 1, 0, 1, view.height);
  lanes.forEach((lane, number) => {
    if (!lane.shown) return;
    const top = view.laneTop[number],
      height = view.laneHeight[number];
    const y = lane.sort === "server" ? barMiddle(number) : top + height / 2;
    const name = view.gutter > 60 ? lane.name : lane.short;
    context.fillStyle = paint["lane-line"];
    context.fillRect(0, top, view.gutter, 1);
    label(name, 8, y, paint.text, Math.min(12.5, height - 1), lane.sort === "server" ? "600" : "");
    if (lane.core && height > 46 && view.gutter > 60) label("core", 8, y + 14, paint.dim, 10);
  });
}

// The whole run in a strip: who led, what broke, what went wrong for clients, and where the view is.
function drawOverview() {
  const pen = overview.getContext("2d"),
    scale = devicePixelRatio;
  const width = view.width - view.gutter,
    height = overview.clientHeight;
  const x = (time) => view.gutter + (time / RUN_END) * width;
  const bar = (from, to, top, tall, color) => {
    pen.fillStyle = color;
    pen.fillRect(x(from), top, Math.max(x(to) - x(from), 1.5), tall);
  };
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, view.width, height);
  phases.forEach((phase, index) => bar(phase.from, phase.to, 0, height, paint[index % 2 ? "phase-odd" : "panel"]));
  for (const lane of serverLanes) {
    for (const it of lanes[lane].stretches)
      if (it.sort === "leader") bar(it.from, it.to, 3, 9, termColor(it.term, true));
  }
  for (const fault of faults) bar(fault.from, fault.to, 14, 5, paint.hatch[fault.group]);
  for (const it of operations)
    bar(
      it.from,
      it.from,
      it.outcome === "ok" ? 27 : 22,
      it.outcome === "ok" ? 4 : 9,
      paint[operationLook[it.outcome][0]],
    );
  if (about.violated_at !== null) bar(about.violated_at, about.violated_at, 0, height, paint.bad);
  pen.strokeStyle = paint.text;
  pen.lineWidth = 2;
  const left = Math.max(x(view.from), view.gutter + 1),
    right = Math.min(x(view.to), view.width - 1);
  pen.strokeRect(left, 1, Math.max(right - left, 4), height - 2);
  pen.fillStyle = paint.dim;
  pen.font = `11px ${FONT}`;
  pen.textBaseline = "middle";
  pen.fillText(view.gutter > 60 ? "whole run" : "run", 8, height / 2);
}
