
// The table of nodes: a row for each, changed in place, so that it can be read, and pointed at, while it changes.

/** What is drawn of each node; `least` is in the unit of the values. */
const CHARTS = {
  lag: { label: "Lag", title: "entries behind the leader", least: 10, unit: (value) => `${count(value)}` },
  reads: { label: "Reads", title: "read latency, 99th percentile", least: 1, unit: milliseconds },
  writes: { label: "Writes", title: "write latency, 99th percentile", least: 1, unit: milliseconds },
  syncs: { label: "Disk sync", title: "disk sync time, 99th percentile", least: 1, unit: milliseconds },
};

const rows = new Map();

function makeRow(id) {
  const cell = (label, name, ...content) => make("td", { role: "cell", "data-label": label, class: name }, ...content);
  const row = {
    element: make("tr", { role: "row" }),
    name: make("span"),
    about: make("small"),
    role: make("span", { class: "badge" }),
    flag: make("span", { class: "flag" }),
    term: make("span", { class: "figure" }),
    last: make("span", { class: "figure" }),
    applied: make("small"),
    figures: {},
    charts: {},
    series: {},
  };
  const head = make("th", { role: "rowheader", scope: "row" }, row.name, row.about);
  row.element.append(head, cell("Role", "role", row.role, row.flag), cell("Term", "number", row.term),
    cell("Log", "number", row.last, make("span", { class: "figure" }, row.applied)));
  for (const [what, { label }] of Object.entries(CHARTS)) {
    row.figures[what] = make("span", { class: "figure" });
    row.charts[what] = makeChart();
    row.series[what] = new Series();
    row.element.append(cell(label, "wide", row.figures[what], row.charts[what]));
  }
  rows.set(id, row);
  return row;
}

/** Adds what was told to each series, shown or not, after so many seconds of which nothing was told. */
function noteNodes({ nodes }, missed) {
  const leader = leaderOf(nodes);
  for (const node of nodes) {
    const { series } = rows.get(node.id) ?? makeRow(node.id);
    for (const what of Object.keys(CHARTS)) series[what].skip(missed);
    series.lag.add(lagOf(node, leader));
    for (const what of ["reads", "writes", "syncs"]) series[what].add(node.activity?.[what].p99_ms);
  }
}

/** Shows the nodes; with `draws` false the charts stay as they are. */
function showNodes(overview, draws) {
  const leader = leaderOf(overview.nodes);
  const place = byId("node-rows");
  for (const [id, row] of rows) {
    if (overview.nodes.every((node) => node.id !== id)) {
      row.element.remove();
      rows.delete(id);
    }
  }
  overview.nodes.forEach((node, at) => {
    const row = rows.get(node.id);
    if (place.children[at] !== row.element) place.insertBefore(row.element, place.children[at] ?? null);
    showNode(row, node, leader, node.id === overview.node);
    showFigures(row, node, leader);
    if (draws) drawCharts(row, node);
  });
  show(byId("no-nodes"), overview.nodes.length === 0);
}

function showNode(row, node, leader, isOwn) {
  const { status, condition } = node;
  const url = visible((node.url ?? node.address).replace(/^https?:[/][/]/, ""));
  if (row.url !== url || row.isOwn !== isOwn) {
    Object.assign(row, { url, isOwn });
    row.about.replaceChildren(isOwn ? `${url}, this one` : linkTo(node.url, url));
  }
  setText(row.name, nameOf(node));
  const role = status ? status.role : "no answer";
  setText(row.role, role[0].toUpperCase() + role.slice(1));
  setAttribute(row.role, "class", `badge ${status ? status.role : "down"}`);
  setAttribute(row.element, "class", status ? "" : "down");
  const flags = [
    node.membership === "outsider" && "No member",
    condition?.disk_full && "Disk full",
    condition?.damaged > 0 && "Damaged log",
    condition?.restoring && "Restoring",
    condition?.disk_busy_ms >= STANDS_STILL_MS && "Disk stands still",
    peerOf(leader, node)?.state === "snapshot" && "Gets a checkpoint",
  ];
  setText(row.flag, flags.filter(Boolean).join(", "));
}

function showFigures(row, node, leader) {
  const { status, activity } = node;
  const known = peerOf(leader, node)?.match;
  setText(row.term, status ? count(status.term) : "–");
  setText(row.last, status ? count(status.last) : known === undefined ? "–" : count(known));
  setText(row.applied, status ? `applied ${count(status.applied)}` : known === undefined ? "" : "when last heard");
  const lag = lagOf(node, leader);
  setText(row.figures.lag, lag === null ? "–" : node === leader ? "leads" : plural(lag, "entry", "entries"));
  for (const what of ["reads", "writes", "syncs"]) {
    const rate = activity?.[what];
    const times = rate?.p99_ms === null || rate === undefined ? "" : `p99 ${milliseconds(rate.p99_ms)}`;
    const text = rate ? `${short(rate.per_second)}/s` : "–";
    if (row.figures[what].dataset.text === text + times) continue;
    row.figures[what].dataset.text = text + times;
    row.figures[what].replaceChildren(text, " ", make("small", {}, times));
  }
}

function drawCharts(row, node) {
  for (const [what, { title, least, unit }] of Object.entries(CHARTS)) {
    const series = row.series[what];
    const latest = series.values.at(-1) ?? null;
    const now = latest === null ? "nothing now" : `now ${unit(latest)}`;
    const label = `${nameOf(node)}: ${title}, ${now}, at most ${unit(series.highest)} in the last minute`;
    draw(row.charts[what], series, { least, label });
  }
}

/** A mark for each voter: filled when it answers, framed when it leads. Learners are round. */
function showQuorum({ nodes }) {
  const leader = leaderOf(nodes);
  const members = nodes.filter((node) => node.membership !== "outsider");
  const marks = members.map((node) => {
    const names = [node.membership, isUp(node, leader) ? "up" : "down", node === leader ? "leads" : ""];
    return make("span", { class: names.join(" ").trim(), title: nameOf(node) });
  });
  const voters = votersOf(nodes);
  const up = voters.filter((node) => isUp(node, leader)).length;
  setText(byId("majority"), voters.length > 1 ? `${majorityOf(voters)} of ${voters.length} are a majority` : "");
  const label = `${up} of ${voters.length} voters are up; ${majorityOf(voters)} are a majority`;
  setAttribute(byId("quorum"), "aria-label", label);
  byId("quorum").replaceChildren(...marks);
}
