// Drawing: background, lanes, bars, faults, operations, marks. Messages are in the next file.

const context = canvas.getContext("2d");
const overview = document.getElementById("overview");
const paint = {};
const FONT = "system-ui, 'Noto Sans', sans-serif";

function readPaint() {
  const style = getComputedStyle(document.documentElement);
  const names = [
    "page",
    "panel",
    "line",
    "grid",
    "text",
    "dim",
    "accent",
    "bad",
    "ok",
    "ok-text",
    "failed",
    "unknown",
    "election",
    "entries",
    "reply",
    "heartbeat",
    "read",
    "snapshot",
    "repair",
    "lost",
    "process",
    "disk",
    "clock",
    "network",
    "membership",
    "leader-text",
    "pale-text",
    "phase-even",
    "phase-odd",
    "lane-line",
    "chosen",
    "leader-light",
    "leader-vivid",
    "pale-light",
    "pale-vivid",
  ];
  for (const name of names) paint[name] = style.getPropertyValue(`--${name}`).trim();
  paint.hatch = Object.fromEntries(
    ["process", "disk", "clock", "network", "membership", "unknown", "dim", "failed"].map((name) => [
      name,
      hatch(paint[name], name),
    ]),
  );
}

// Patterns tell groups of faults apart without color: stripes one way or the other, dots, bars, a grid.
function hatch(color, name) {
  const tile = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
  const pen = tile.getContext("2d");
  pen.strokeStyle = pen.fillStyle = color;
  pen.lineWidth = 1.4;
  const stroke = (...lines) => {
    for (const [x, y, toX, toY] of lines) {
      pen.moveTo(x, y);
      pen.lineTo(toX, toY);
    }
    pen.stroke();
  };
  pen.beginPath();
  if (name === "disk") {
    pen.fillRect(1, 1, 2, 2);
    pen.fillRect(5, 5, 2, 2);
  } else if (name === "clock") stroke([2, 0, 2, 8], [6, 0, 6, 8]);
  else if (name === "network") stroke([-2, 6, 2, 10], [-2, -2, 10, 10], [6, -2, 10, 2]);
  else if (name === "membership") stroke([0, 4, 8, 4], [4, 0, 4, 8]);
  else stroke([-2, 2, 2, -2], [-2, 10, 10, -2], [6, 10, 10, 6]);
  return context.createPattern(tile, "repeat");
}

// The golden angle keeps the hues of neighboring terms far apart, however many terms there are. Reds are left out: they
// mean that something went wrong.
function termColor(term, strong) {
  const [light, vivid] = strong
    ? [paint["leader-light"], paint["leader-vivid"]]
    : [paint["pale-light"], paint["pale-vivid"]];
  return `oklch(${light} ${vivid} ${55 + (((term + 1) * 137.508) % 360) * 0.78})`;
}

// Where things are on the screen, for the pointer: [left, top, right, bottom, position of the item].
let places = [];

function draw() {
  const scale = devicePixelRatio;
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, view.width, view.height);
  context.textBaseline = "middle";
  places = [];
  const visible = { [MESSAGE]: [], [MARK]: [], [STAND]: [], [OPERATION]: [], [FAULT]: [], [PHASE]: [] };
  for (const item of items) {
    if (item.from > view.to) break;
    if (item.to >= view.from && item.shown) visible[item.type].push(item);
  }
  drawPhases();
  clip(() => {
    drawLaneLines();
    visible[FAULT].forEach(drawFaultShade);
    serverLanes.forEach(drawBar);
    drawMessages(visible[MESSAGE]);
    drawFaultNames(visible[FAULT]);
    drawMarks(visible[MARK]);
    serverLanes.forEach(drawNumbers);
    visible[OPERATION].forEach(drawOperation);
    drawChosen();
    drawViolation();
  });
  drawGutter();
  drawOverview();
  document.getElementById("span").textContent =
    `${spanText(Math.min(view.to, RUN_END) - Math.max(view.from, 0))} from ${timeText(Math.max(view.from, 0))} s`;
}

function clip(inner) {
  context.save();
  context.beginPath();
  context.rect(view.gutter, 0, view.width - view.gutter, view.height);
  context.clip();
  inner();
  context.restore();
}

function label(text, x, y, color, size = 11, weight = "") {
  context.fillStyle = color;
  context.font = `${weight} ${size}px ${FONT}`;
  context.fillText(text, x, y);
}

// With a rim of the page's color, to be read over arrows.
function labelOver(text, x, y, color, size) {
  context.font = `${size}px ${FONT}`;
  context.strokeStyle = paint.page;
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeText(text, x, y);
  label(text, x, y, color, size);
}

// The text, as far as it fits; nothing when that would be a stump.
function labelWithin(text, from, to, y, color, size = 11, weight = "") {
  const left = Math.max(from, view.gutter) + 4,
    room = Math.min(to, view.width) - left - 3;
  if (room < 14) return;
  context.font = `${weight} ${size}px ${FONT}`;
  let shown = text;
  while (shown.length > 1 && context.measureText(shown).width > room)
    shown = shown.slice(0, Math.min(shown.length - 1, Math.ceil(room / 5)));
  if (shown.length < text.length && shown.length < 3) return;
  label(shown, left, y, color, size, weight);
}

function drawPhases() {
  phases.forEach((phase, index) => {
    const left = Math.max(xOf(phase.from), view.gutter),
      right = Math.min(xOf(phase.to), view.width);
    if (right <= left) return;
    context.fillStyle = index % 2 === 0 ? paint["phase-even"] : paint["phase-odd"];
    context.fillRect(left, 0, right - left, view.height);
    context.fillStyle = paint.line;
    context.fillRect(left, 0, 1, view.height);
    places.push([left, 0, right, AXIS, itemOf[PHASE][index]]);
  });
  drawTicks();
  phases.forEach((phase) =>
    clip(() => labelWithin(phase.name, xOf(phase.from), xOf(phase.to), 8, paint.dim, 10, "italic")),
  );
}

function tickStep() {
  const wanted = ((view.to - view.from) / (view.width - view.gutter)) * 90;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 5, 10].map((times) => times * power).find((step) => step >= wanted);
}

function drawTicks() {
  const step = tickStep(),
    decimals = clamp(Math.ceil(6 - Math.log10(step)), 0, 6);
  clip(() => {
    for (
      let tick = Math.ceil(Math.max(view.from, 0) / step) * step;
      tick <= Math.min(view.to, RUN_END);
      tick += step
    ) {
      const x = xOf(tick);
      context.fillStyle = paint.grid;
      context.fillRect(x, AXIS - 6, 1, view.height);
      // Within a second the millisecond is what changes.
      const text =
        step < 1000
          ? `${(tick / 1e6).toFixed(decimals)} s`
          : step < 1e6 && tick % 1e6 !== 0
            ? `${Math.floor(tick / 1e6)} s ${Math.round((tick % 1e6) / 1000)} ms`
            : `${Math.round(tick / 1e6)} s`;
      label(text, x + 3, AXIS - 7, paint.text, 10.5);
    }
  });
}

function drawLaneLines() {
  context.fillStyle = paint["lane-line"];
  lanes.forEach((lane, number) => {
    if (lane.shown)
      context.fillRect(
        view.gutter,
        view.laneTop[number],
        view.width,
        number === clientLanes[0] || number === serverLanes[0] ? 2 : 1,
      );
  });
}

function drawBar(lane) {
  if (!lanes[lane].shown) return;
  const middle = barMiddle(lane);
  for (const stretch of lanes[lane].stretches) {
    if (stretch.to < view.from || stretch.from > view.to) continue;
    const left = Math.max(xOf(stretch.from), view.gutter - 2),
      right = Math.min(Math.max(xOf(stretch.to), left + 1), view.width + 2);
    const half = barHalf(lane, stretch.sort);
    drawStretch(stretch, left, middle - half, right - left, half * 2);
    if (half > 4.6)
      labelWithin(
        stretchText(stretch),
        left,
        right,
        middle + 0.5,
        stretch.sort === "leader" ? paint["leader-text"] : paint["pale-text"],
        Math.min(half * 1.7, 11),
        stretch.sort === "leader" ? "bold" : "",
      );
  }
}

const stretchText = (stretch) => (stretch.term === undefined ? "" : `${stretch.sort} · term ${stretch.term}`);

function drawStretch({ sort, term, damaged, why }, x, y, width, height) {
  if (sort === "down" || sort === "starting") {
    context.fillStyle = sort === "down" ? paint.hatch.dim : paint.panel;
    context.fillRect(x, y, width, height);
    if (sort === "down") labelWithin(why, x, x + width, y + height + 8, paint.dim, 10);
    context.strokeStyle = paint.dim;
    context.lineWidth = 1;
    context.strokeRect(x + 0.5, y + 0.5, Math.max(width - 1, 0), height - 1);
    return;
  }
  context.fillStyle = termColor(term, sort === "leader");
  context.fillRect(x, y, width, height);
  if (sort === "candidate") {
    context.fillStyle = paint.hatch.dim;
    context.fillRect(x, y, width, height);
  }
  if (sort !== "leader") {
    context.setLineDash(sort === "learner" ? [4, 3] : []);
    context.strokeStyle = termColor(term, true);
    context.lineWidth = 1;
    context.strokeRect(x + 0.5, y + 0.5, Math.max(width - 1, 0), Math.max(height - 1, 1));
    context.setLineDash([]);
  }
  if (damaged) {
    context.fillStyle = paint.lost;
    for (let at = x; at < x + width; at += 8) context.fillRect(at, y + height + 1, Math.min(4, x + width - at), 3);
  }
}

// Commit and last under the bar, where there is room for most of them.
function drawNumbers(lane) {
  if (!lanes[lane].shown || view.laneHeight[lane] < 44) return;
  const all = lanes[lane].stands;
  const seen = all.filter((stand) => stand.at >= view.from && stand.at <= view.to);
  const before = all.findLast((stand) => stand.at < view.from && isUpAt(lane, stand.at, view.from));
  if (seen.length * 62 > (view.width - view.gutter) * 3) return;
  let free = view.gutter + 2;
  const y = Math.min(barMiddle(lane) + barHalf(lane, "leader") + 9, view.laneTop[lane] + view.laneHeight[lane] - 6);
  for (const stand of before ? [before, ...seen] : seen) {
    const x = Math.max(xOf(stand.at), view.gutter + 2);
    if (x < free) continue;
    const text = `${stand.commit} of ${stand.last}${stand.damaged > 0 ? `, ${stand.damaged} damaged` : ""}`;
    labelOver(text, x + 1, y, stand.damaged > 0 ? paint.lost : paint.dim, 10);
    free = x + context.measureText(text).width + 8;
    places.push([x, y - 6, free - 8, y + 6, itemOf[STAND][stand.index]]);
  }
}
const isUpAt = (lane, since, time) =>
  !lanes[lane].stretches.some((it) => it.sort === "down" && it.from >= since && it.from <= time);

const faultTop = (fault) =>
  view.laneTop[fault.lane] +
  2 +
  Math.min(fault.row, fault.lane === NETWORK_LANE ? 5 : 2) * (fault.lane === NETWORK_LANE ? FAULT_ROW : 12);
const faultHeight = (fault) => (fault.lane === NETWORK_LANE ? FAULT_ROW - 2 : 11);

function drawFaultShade({ index }) {
  const fault = faults[index];
  const left = xOf(fault.from),
    right = Math.max(xOf(fault.to), left + 1);
  const [top, height] =
    fault.lane === NETWORK_LANE
      ? [faultTop(fault), faultHeight(fault)]
      : [view.laneTop[fault.lane] + 1, view.laneHeight[fault.lane] - 1];
  context.globalAlpha = fault.lane === NETWORK_LANE ? 0.55 : 0.3;
  context.fillStyle = paint.hatch[fault.group];
  context.fillRect(left, top, right - left, height);
  context.globalAlpha = 1;
}

function drawFaultNames(seen) {
  for (const item of seen) {
    const fault = faults[item.index];
    const left = xOf(fault.from),
      top = faultTop(fault),
      height = faultHeight(fault);
    const links = fault.fields.find(([name]) => name === "links")?.[1];
    const text = links ? `${fault.kind}  ${links}` : fault.kind;
    context.font = `600 10.5px ${FONT}`;
    // The name of a short one goes on after its end, as far as the next one in its row lets it.
    const wanted = Math.max(left, view.gutter) + 12 + context.measureText(text).width;
    const next = seen.find((it) => it.from > item.from && it.a === item.a && faults[it.index].row === fault.row);
    const right = Math.max(xOf(fault.to), Math.min(wanted, next ? xOf(next.from) : wanted), left + 3);
    context.fillStyle = paint.page;
    context.globalAlpha = 0.75;
    context.fillRect(left, top, right - left, height);
    context.globalAlpha = 1;
    context.fillStyle = paint[fault.group];
    context.fillRect(left, top, 3, height);
    context.fillRect(left, top + height - 1, Math.max(xOf(fault.to) - left, 3), 1.5);
    labelWithin(text, left + 1, right, top + height / 2, paint[fault.group], 10.5, "600");
    places.push([left - 2, top, Math.max(right, left + 5), top + height, itemOf[FAULT][item.index]]);
  }
}

const operationLook = {
  ok: ["ok", ""],
  failed: ["failed", "✕"],
  retried: ["failed", "↻"],
  unknown: ["unknown", "?"],
  unanswered: ["unknown", "…"],
};

function drawOperation({ index }) {
  const it = operations[index];
  const height = Math.max(view.laneHeight[it.lane] - 4, 6),
    top = view.laneTop[it.lane] + 2;
  const left = xOf(it.from),
    right = Math.max(xOf(it.to), left + 2.5);
  const [color, sign] = operationLook[it.outcome];
  const solid = it.outcome === "ok";
  context.fillStyle = solid ? paint.ok : color === "unknown" ? paint.hatch.unknown : paint.page;
  context.fillRect(left, top, right - left, height);
  if (!solid) {
    context.strokeStyle = paint[color];
    context.lineWidth = 1.5;
    context.setLineDash(color === "unknown" ? [4, 2] : []);
    if (right - left > 3) context.strokeRect(left + 0.75, top + 0.75, right - left - 1.5, height - 1.5);
    else {
      context.fillStyle = paint[color];
      context.fillRect(left, top, 2.5, height);
    }
    context.setLineDash([]);
  }
  const room = Math.min(right, view.width) - Math.max(left, view.gutter);
  if (height >= 9)
    drawOperationText(it, left, right, top + height / 2, room, sign, solid ? paint["ok-text"] : paint[color]);
  places.push([
    Math.min(left, (left + right) / 2 - 3),
    top,
    Math.max(right, (left + right) / 2 + 3),
    top + height,
    itemOf[OPERATION][index],
  ]);
}

function drawOperationText(it, left, right, y, room, sign, color) {
  const letter = { put: "P", get: "G", "stale get": "S", delete: "D" }[it.call];
  const short = sign + letter;
  const text =
    room > 150
      ? `${sign} ${it.call} ${it.key} s${it.host} ${it.result}`.trim()
      : room > 64
        ? `${short} ${it.key}`
        : short;
  if (it.outcome !== "ok" && room > 14) {
    // Letters over a hatch are hard to read without a ground of their own.
    context.font = `600 10.5px ${FONT}`;
    context.fillStyle = paint.page;
    context.fillRect(
      Math.max(left, view.gutter) + 2,
      y - 6,
      Math.min(context.measureText(text).width + 5, room - 4),
      12,
    );
  }
  labelWithin(text, left, right, y + 0.5, color, 10.5, "600");
}
