// Wiring: filter, legend, pointer, keys, sizes. Last of the files: it starts the page.

function fillFilter() {
  const box = (text, on, swatch, count, change) => {
    const input = element("input", { type: "checkbox", checked: on });
    input.addEventListener("change", () => {
      change(input.checked);
      applyFilter();
    });
    const parts = [input];
    if (swatch) {
      const mark = element("span", { className: "swatch" });
      mark.style.background = `var(--${swatch})`;
      parts.push(mark);
    }
    parts.push(text);
    if (count !== null) parts.push(element("span", { className: "count", textContent: numberText(count) }));
    return element("label", {}, ...parts);
  };
  const group = (name, boxes) => {
    const made = element("div", { className: "group", role: "group", ariaLabel: name });
    made.append(element("span", { className: "name", textContent: name }), ...boxes);
    return made;
  };
  const ofGroup = (name) =>
    categories
      .filter((it) => it.group === name && it.count > 0)
      .map((it) =>
        box(it.label, it.on, it.paint, it.count, (on) => {
          it.on = on;
        }),
      );
  const ofLanes = (numbers) =>
    numbers.map((number) =>
      box(lanes[number].short, true, null, null, (on) => {
        lanes[number].shown = on;
      }),
    );
  byId("filter").append(
    ...[
      ["Servers", ofLanes(serverLanes)],
      ["Clients", ofLanes(clientLanes)],
      ["Messages", ofGroup("messages")],
      ["On servers", ofGroup("servers")],
      ["Others", ofGroup("others")],
    ]
      .filter(([, boxes]) => boxes.length > 0)
      .map(([name, boxes]) => group(name, boxes)),
  );
}

function showFilter(on) {
  byId("filter").hidden = !on;
  byId("filter-toggle").setAttribute("aria-expanded", String(on));
}

// The legend is drawn by what draws the lanes, so that it can't say anything else.
function fillLegend() {
  const bar =
    (sort, extra = {}) =>
    () =>
      drawStretch({ sort, term: 3, why: "", ...extra }, 2, 11 - 9 * tallness(sort), 40, 18 * tallness(sort));
  const line = (group) => () => {
    context.strokeStyle = context.fillStyle = paint[group];
    context.lineWidth = 1.6;
    context.setLineDash(group === "lost" ? [3, 2] : LINE[group]);
    context.beginPath();
    context.moveTo(3, 11);
    context.lineTo(36, 11);
    context.stroke();
    context.setLineDash([]);
    label(group === "lost" ? "✕" : "▸", 34, 11, paint[group], 12);
  };
  const band = (name) => () => {
    context.fillStyle = paint.hatch[name];
    context.fillRect(2, 3, 40, 14);
    context.fillStyle = paint[name];
    context.fillRect(2, 3, 3, 14);
  };
  const span = (outcome) => () => {
    const [color, sign] = operationLook[outcome];
    context.fillStyle = outcome === "ok" ? paint.ok : color === "unknown" ? paint.hatch.unknown : paint.page;
    context.fillRect(2, 3, 40, 16);
    context.strokeStyle = paint[color];
    context.strokeRect(2.5, 3.5, 39, 15);
    label(`${sign}P`, 16, 11, outcome === "ok" ? paint["ok-text"] : paint[color], 11, "bold");
  };
  const mark = (sort) => () => drawMark(sort, 22, 11);
  const rows = [
    ["leader (the hue is the term's)", bar("leader")],
    ["candidate", bar("candidate")],
    ["follower", bar("follower")],
    ["learner", bar("learner")],
    ["down", bar("down")],
    ["damaged slots", bar("follower", { damaged: true })],
    ["votes", line("election")],
    ["entries", line("entries")],
    ["replies", line("reply")],
    ["heartbeats", line("heartbeat")],
    ["reads", line("read")],
    ["snapshots", line("snapshot")],
    ["repair: ask and tell", line("repair")],
    ["lost; ×2: arrives once more", line("lost")],
    ["fault: process", band("process")],
    ["fault: disk", band("disk")],
    ["fault: clock", band("clock")],
    ["fault: network", band("network")],
    ["fault: membership", band("membership")],
    ["ok (P put, G get, S stale get, D delete)", span("ok")],
    ["failed for sure", span("failed")],
    ["outcome unknown", span("unknown")],
    ["event", mark("event")],
    ["server starts", mark("life")],
    ["server ends", mark("ends")],
    ["members set", mark("members")],
    ["write asked for", mark("write")],
    ["write durable", mark("durable")],
    ["applied", mark("applied")],
  ];
  byId("legend").replaceChildren(...rows.map(([text, paintIt]) => element("div", {}, picture(paintIt), text)));
  byId("legend").append(element("div", { textContent: "Under a bar: commit of last." }));
}

// Borrows the large canvas for a moment: all drawing functions draw there.
function picture(paintIt) {
  const small = element("canvas", { width: 46 * devicePixelRatio, height: 22 * devicePixelRatio });
  small.style.cssText = "width: 46px; height: 22px; flex: none";
  context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
  context.clearRect(0, 0, 46, 22);
  context.textBaseline = "middle";
  paintIt();
  small.getContext("2d").drawImage(canvas, 0, 0, small.width, small.height, 0, 0, small.width, small.height);
  redraw();
  return small;
}

function resize() {
  const { clientWidth: width, clientHeight: height } = canvas.parentElement;
  if (width === 0 || height === 0) return;
  Object.assign(view, { width, height, gutter: width < 600 ? 40 : 88 });
  for (const [it, tall] of [
    [canvas, height],
    [overview, overview.clientHeight],
  ]) {
    it.width = Math.round(width * devicePixelRatio);
    it.height = Math.round(tall * devicePixelRatio);
  }
  layOut();
  redraw();
}

// Pointers that are down: one drags, two pinch.
const pointers = new Map();
let moved = 0;
const near = (event) => (event.pointerType === "mouse" ? 5 : 14);

function pointerMoves(event) {
  const before = pointers.get(event.pointerId);
  if (before === undefined) return hover(event);
  const others = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
  pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  moved += Math.hypot(event.offsetX - before.x, event.offsetY - before.y);
  if (moved < 4) return;
  byId("tip").hidden = true;
  canvas.classList.add("dragging");
  if (others.length === 0) return pan((before.x - event.offsetX) / (view.width - view.gutter));
  const [other] = others;
  const apart = (x) => Math.max(Math.abs(x - other.x), 20);
  zoom(apart(before.x) / apart(event.offsetX), timeAt((event.offsetX + other.x) / 2));
}

function hover(event) {
  const tip = byId("tip");
  const position = hit(event.offsetX, event.offsetY, near(event));
  canvas.classList.toggle("over", position !== null);
  tip.hidden = position === null;
  if (position === null) return;
  tip.textContent = `${timeText(items[position].from)} s  ${who(items[position])}  ${summary(items[position])}`;
  const right = event.offsetX > view.width / 2;
  tip.style.left = right ? "auto" : `${event.offsetX + 14}px`;
  tip.style.right = right ? `${view.width - event.offsetX + 10}px` : "auto";
  tip.style.top = `${Math.min(event.offsetY + 16, view.height - 44)}px`;
}

function listenToPointers() {
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    if (pointers.size === 0) moved = 0;
    pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
  });
  canvas.addEventListener("pointermove", pointerMoves);
  const up = (event) => {
    pointers.delete(event.pointerId);
    canvas.classList.remove("dragging");
    if (event.type === "pointerup" && moved < 4) choose(hit(event.offsetX, event.offsetY, near(event)));
  };
  canvas.addEventListener("pointerup", up);
  canvas.addEventListener("pointercancel", up);
  canvas.addEventListener("pointerleave", () => {
    byId("tip").hidden = true;
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const sideways = event.shiftKey ? event.deltaY || event.deltaX : event.deltaX;
      if (Math.abs(sideways) > Math.abs(event.shiftKey ? 0 : event.deltaY)) return pan(sideways / 900);
      zoom(
        1.0016 ** clamp(event.deltaY * (event.deltaMode === 1 ? 30 : 1), -300, 300),
        timeAt(Math.max(event.offsetX, view.gutter)),
      );
    },
    { passive: false },
  );
  const go = (event) => centre(((event.offsetX - view.gutter) / (view.width - view.gutter)) * RUN_END);
  overview.addEventListener("pointerdown", (event) => {
    overview.setPointerCapture(event.pointerId);
    go(event);
  });
  overview.addEventListener("pointermove", (event) => {
    if (event.buttons > 0) go(event);
  });
}

const KEYS = {
  "+": () => zoom(0.6),
  "=": () => zoom(0.6),
  "-": () => zoom(1 / 0.6),
  ArrowLeft: () => pan(-0.15),
  ArrowRight: () => pan(0.15),
  ArrowUp: () => chooseNext(-1),
  ArrowDown: () => chooseNext(1),
  0: fit,
  Home: fit,
  Enter: zoomToChosen,
  Escape: () => choose(null),
  v: () => {
    if (about.violated_at !== null) goToViolation();
  },
};

function listenToKeys() {
  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
    event.preventDefault();
    KEYS[event.key]();
  };
  canvas.addEventListener("keydown", press);
  list.addEventListener("keydown", press);
  byId("search").addEventListener("keydown", (event) => {
    if (event.key === "Enter") chooseNext(1);
  });
}

function listenToControls() {
  const on = (id, act) => byId(id).addEventListener("click", act);
  on("zoom-in", () => zoom(0.6));
  on("zoom-out", () => zoom(1 / 0.6));
  on("fit", fit);
  on("violation", goToViolation);
  on("filter-toggle", () => showFilter(byId("filter").hidden));
  on("help-toggle", () => {
    fillLegend();
    byId("help").showModal();
  });
  byId("search").addEventListener("input", () => {
    query = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    applyFilter();
  });
  list.addEventListener("scroll", fillRows);
  const tabs = ["view", "history"];
  const open = (name) =>
    tabs.forEach((tab) => {
      byId(`tab-${tab}`).setAttribute("aria-selected", String(tab === name));
      byId(`tab-${tab}`).tabIndex = tab === name ? 0 : -1;
      byId(`panel-${tab}`).hidden = tab !== name;
      if (tab === name) fillRows();
      // The newest are nearest to what went wrong.
      if (tab === name && name === "history")
        byId("history").parentElement.scrollTop = byId("history").offsetHeight;
    });
  tabs.forEach((tab, place) => {
    on(`tab-${tab}`, () => open(tab));
    byId(`tab-${tab}`).addEventListener("keydown", (event) => {
      const other = tabs[1 - place];
      if (!event.key.startsWith("Arrow") || byId(`tab-${other}`).hidden) return;
      open(other);
      byId(`tab-${other}`).focus();
    });
  });
}

fillHead();
fillFilter();
showFilter(innerWidth >= 1200 && innerHeight >= 800);
readPaint();
fillDetail();
fillHistory();
listenToPointers();
listenToKeys();
listenToControls();
new ResizeObserver(resize).observe(canvas.parentElement);
new ResizeObserver(fillRows).observe(list);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readPaint();
  redraw();
  fillRows();
});
applyFilter();
resize();
if (about.violated_at === null) fit();
else goToViolation();
// At once, for whoever takes a picture of the page and doesn't wait for a frame.
draw();
