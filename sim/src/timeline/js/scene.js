// The run, decoded once: lanes, and one list of items in order of time. All files of the script are one module.

const data = JSON.parse(document.getElementById("data").textContent);
const { about, messages } = data;
const textOf = (number) => data.strings[number];

const MESSAGE = "message",
  MARK = "mark",
  STAND = "stand",
  OPERATION = "operation",
  FAULT = "fault",
  PHASE = "phase";
const RUN_END = Math.max(about.ends_at, 1);
const NETWORK_LANE = 0;

// Lane 0 is the network; then servers, then clients. Hosts that the plan doesn't name may still speak.
const lanes = [{ sort: "network", name: "network", short: "net", shown: true }];
const laneOfHost = new Map(),
  laneOfClient = new Map();
for (const host of [...new Set([...data.hosts, ...messages.from, ...messages.to])].sort((a, b) => a - b)) {
  laneOfHost.set(host, lanes.length);
  lanes.push({
    sort: "server",
    name: `server ${host}`,
    short: `s${host}`,
    core: about.core.includes(host),
    shown: true,
  });
}
for (const client of data.clients) {
  laneOfClient.set(client, lanes.length);
  lanes.push({ sort: "client", name: `client ${client}`, short: `c${client}`, shown: true });
}
const serverLanes = [...laneOfHost.values()],
  clientLanes = [...laneOfClient.values()];

const phases = data.phases.map(([from, name], index) => ({
  name,
  from,
  to: data.phases[index + 1]?.[0] ?? RUN_END,
}));
const faults = data.faults.map(([number, kind, group, host, from, to, fields]) => ({
  number,
  kind,
  group,
  lane: laneOfHost.get(host) ?? NETWORK_LANE,
  from,
  to: to ?? RUN_END,
  open: to === null,
  fields,
}));
const operations = data.operations.map(
  ([client, number, from, to, host, key, call, value, outcome, result, content]) => ({
    client,
    number,
    lane: laneOfClient.get(client),
    from,
    to: to ?? RUN_END,
    open: to === null,
    host,
    key: textOf(key),
    call,
    value: textOf(value),
    outcome,
    result: textOf(result),
    content,
  }),
);
// A client makes one request at a time, so one whose outcome nobody noted was over when it made the next.
const nextAsk = new Map();
for (const it of operations.toReversed()) {
  if (it.open) it.to = nextAsk.get(it.lane) ?? RUN_END;
  nextAsk.set(it.lane, it.from);
}
const stands = data.stands.map(([at, host, role, term, leader, commit, lastTerm, last, damaged], index) => ({
  index,
  at,
  host,
  lane: laneOfHost.get(host),
  role,
  term,
  leader: textOf(leader),
  commit,
  lastTerm,
  last,
  damaged,
}));
const marks = data.marks.map(([at, host, sort, text, fields]) => ({
  at,
  host,
  lane: laneOfHost.get(host),
  sort,
  text: textOf(text),
  fields,
}));
const tookOf = (index) => Math.max(messages.took[index], 0);
const isLost = (index) => messages.took[index] < 0;
const groupOf = (index) => messages.kinds[messages.kind[index]][1];
// A lost heartbeat is one of thousands when a link is cut: heartbeats and replies stay under their own boxes.
const isOdd = (index) =>
  (isLost(index) || messages.odd[index] > 0) && !["heartbeat", "reply"].includes(groupOf(index));

// Spans that overlap within a lane get rows of their own.
function giveRows(spans) {
  const ends = [];
  for (const span of spans) {
    const free = ends.findIndex((end) => end < span.from);
    span.row = free < 0 ? ends.length : free;
    // One that strikes in an instant needs room for its name all the same.
    ends[span.row] = Math.max(span.to, span.from + RUN_END / 60);
  }
  return ends.length;
}
for (const [number, lane] of lanes.entries())
  lane.faultRows = giveRows(faults.filter((fault) => fault.lane === number));

// What a server's bar shows: stretches of one role and term, and the times it is down.
function stretchesOf(lane) {
  const stretches = [];
  const ofLane = stands.filter((stand) => stand.lane === lane);
  let next = 0,
    downSince = null,
    why = "";
  for (const [host, from, end, reason] of data.lives) {
    if (laneOfHost.get(host) !== lane) continue;
    if (downSince !== null) stretches.push({ sort: "down", from: downSince, to: from, why });
    const to = end ?? RUN_END;
    let open = { sort: "starting", from, to };
    stretches.push(open);
    for (; next < ofLane.length && ofLane[next].at <= to; next += 1) {
      const stand = ofLane[next],
        damaged = stand.damaged > 0;
      if (open.sort === stand.role && open.term === stand.term && open.damaged === damaged) continue;
      open.to = stand.at;
      open = { sort: stand.role, term: stand.term, damaged, from: stand.at, to };
      stretches.push(open);
    }
    [downSince, why] = end === null ? [null, ""] : [end, reason];
  }
  if (downSince !== null) stretches.push({ sort: "down", from: downSince, to: RUN_END, why });
  return stretches;
}
for (const lane of serverLanes) {
  lanes[lane].stretches = stretchesOf(lane);
  lanes[lane].stands = stands.filter((stand) => stand.lane === lane);
}

// What the boxes of the filter switch. What there is most of, and says least, is off at first.
const categories = [];
function category(label, group, on, paint) {
  categories.push({ label, group, on, paint, count: 0 });
  return categories.length - 1;
}
const categoryOfKind = messages.kinds.map(([name, group]) =>
  category(
    name,
    "messages",
    group !== "heartbeat" && !(name.endsWith("reply") && group !== "election") && group !== "reply",
    group,
  ),
);
const oddCategory = category("lost, doubled", "messages", true, "lost");
const categoryOfMark = Object.fromEntries(
  [
    ["event", "events", true],
    ["life", "starts, ends", true],
    ["members", "members", true],
    ["write", "writes", false],
    ["durable", "durable", false],
    ["applied", "applied", false],
  ].map(([sort, label, on]) => [sort, category(label, "servers", on)]),
);
const standCategory = category("stands", "servers", false);
const faultCategory = category("faults", "others", true);
const operationCategory = category("operations", "others", true);
const phaseCategory = category("phases", "others", true);

// Every thing that can be listed, found and clicked. `a` and `b` are the lanes it is about.
const items = [];
const itemOf = { [MESSAGE]: [], [MARK]: [], [STAND]: [], [OPERATION]: [], [FAULT]: [], [PHASE]: [] };
function gather() {
  const add = (type, index, from, to, category, a, b) => {
    items.push({ type, index, from, to, category, a, b, shown: true, text: null });
    categories[category].count += 1;
  };
  phases.forEach((it, index) => add(PHASE, index, it.from, it.to, phaseCategory, NETWORK_LANE, NETWORK_LANE));
  faults.forEach((it, index) => add(FAULT, index, it.from, it.to, faultCategory, it.lane, it.lane));
  operations.forEach((it, index) => add(OPERATION, index, it.from, it.to, operationCategory, it.lane, it.lane));
  marks.forEach((it, index) => add(MARK, index, it.at, it.at, categoryOfMark[it.sort], it.lane, it.lane));
  stands.forEach((it, index) => add(STAND, index, it.at, it.at, standCategory, it.lane, it.lane));
  messages.sent.forEach((sent, index) => {
    const [from, to] = [laneOfHost.get(messages.from[index]), laneOfHost.get(messages.to[index])];
    add(MESSAGE, index, sent, sent + tookOf(index), categoryOfKind[messages.kind[index]], from, to);
    if (isOdd(index)) categories[oddCategory].count += 1;
  });
  items.sort((one, other) => one.from - other.from);
  items.forEach((item, position) => {
    itemOf[item.type][item.index] = position;
  });
}
gather();
