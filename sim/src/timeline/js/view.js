// What is looked at: a stretch of time, the lanes with their places, the filter, the chosen item.

const AXIS = 24,
  FAULT_ROW = 15,
  MIN_SPAN = 200;
const canvas = document.getElementById("canvas");
const view = { from: 0, to: RUN_END, width: 0, height: 0, gutter: 88, laneTop: [], laneHeight: [] };
const chosen = { item: null };
let query = [];

const xOf = (time) => view.gutter + ((time - view.from) / (view.to - view.from)) * (view.width - view.gutter);
const timeAt = (x) => view.from + ((x - view.gutter) / (view.width - view.gutter)) * (view.to - view.from);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// The run may be pushed half out of sight, so that its first and last moments can be looked at in the middle.
function show(from, to) {
  const span = clamp(to - from, MIN_SPAN, RUN_END * 1.06);
  const middle = clamp((from + to) / 2, 0, RUN_END);
  view.from = middle - span / 2;
  view.to = middle + span / 2;
  redraw();
}
const fit = () => show(-RUN_END * 0.01, RUN_END * 1.02);
function zoom(factor, at = (view.from + view.to) / 2) {
  const span = clamp((view.to - view.from) * factor, MIN_SPAN, RUN_END * 1.06);
  const share = (at - view.from) / (view.to - view.from);
  show(at - span * share, at + span * (1 - share));
}
function pan(share) {
  const by = (view.to - view.from) * share;
  show(view.from + by, view.to + by);
}
function centre(time, span = view.to - view.from) {
  show(time - span / 2, time + span / 2);
}
function goToViolation() {
  centre(about.violated_at, 2e6);
}

// Lanes share the height: clients stay slim, servers take the rest.
function layOut() {
  const networkRows = clamp(lanes[NETWORK_LANE].faultRows, 1, 6);
  const network = networkRows * FAULT_ROW + 5;
  // The text of a violation stands below the lanes.
  const foot = about.violated_at === null ? 4 : 24;
  const servers = serverLanes.filter((lane) => lanes[lane].shown).length;
  const clients = clientLanes.filter((lane) => lanes[lane].shown).length;
  const rest = Math.max(view.height - AXIS - network - foot, 0);
  const client = clients > 0 ? clamp((rest * (servers > 0 ? 0.3 : 1)) / clients, 10, 28) : 0;
  const server = servers > 0 ? clamp((rest - client * clients) / servers, 20, 150) : 0;
  const heights = { network, server, client };
  let top = AXIS;
  lanes.forEach((lane, number) => {
    view.laneTop[number] = top;
    view.laneHeight[number] = lane.shown ? heights[lane.sort] : 0;
    top += view.laneHeight[number];
  });
}

// The middle of a server's bar. Faults have the room above it, numbers the room below.
const barMiddle = (lane) => view.laneTop[lane] + view.laneHeight[lane] * 0.62;
const tallness = (role) => ({ leader: 1, candidate: 0.85, follower: 0.68, learner: 0.55 })[role] ?? 0.35;
const barHalf = (lane, role) => (clamp(view.laneHeight[lane] * 0.3, 6, 22) / 2) * tallness(role);

function applyFilter() {
  for (const item of items) {
    let on = categories[item.category].on;
    // Lost and doubled messages are few and tell much: they have a box of their own, whatever kind they are of.
    if (item.type === MESSAGE && !on && categories[oddCategory].on && isOdd(item.index)) on = true;
    item.shown =
      on &&
      lanes[item.a].shown &&
      lanes[item.b].shown &&
      (query.length === 0 || query.every((word) => searchText(item).includes(word)));
  }
  layOut();
  redraw();
}

// One frame at a time, whatever asks for it and how often.
let frame = null;
function redraw() {
  frame ??= requestAnimationFrame(() => {
    frame = null;
    draw();
    listSoon();
  });
}
