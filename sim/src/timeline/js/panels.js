// Panels: the head, the list of what is in view, details, the history around a violation, the legend.

const ROW = 24;
const byId = (id) => document.getElementById(id);
const list = byId("list"),
  rows = byId("rows");
let listed = [],
  listTimer = null;

// Elements with text only: nothing of a run is ever taken for markup.
function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function fillHead() {
  const passed = about.verdict.toLowerCase().startsWith("passed");
  const command = about.again;
  document.title = `${passed ? "passed" : "FAILED"}: ${about.title} · Quorate`;
  byId("title").textContent = `Quorate simulation: ${about.title}`;
  byId("badge").textContent = passed ? "✓ passed" : "✕ failed";
  byId("badge").className = passed ? "good" : "bad";
  byId("verdict").textContent = passed ? "" : about.verdict;
  const outcomes = Object.groupBy(operations, (it) => it.outcome);
  const counts = Object.entries(outcomes)
    .map(([name, all]) => `${all.length} ${name}`)
    .join(", ");
  const facts = [
    ["stack", about.stack],
    ["servers", about.servers],
    ["core", about.core.map((host) => `s${host}`).join(" ")],
    ["lasts", `${(RUN_END / 1e6).toFixed(1)} s`],
    ["messages", numberText(messages.sent.length)],
    ["faults", faults.length],
    ["operations", counts || "none"],
    ["trace hash", about.trace_hash],
  ];
  byId("facts").append(
    ...facts.map(([name, value]) =>
      element("div", {}, element("dt", { textContent: name }), element("dd", { textContent: value })),
    ),
  );
  byId("command").textContent = command;
  byId("copy").addEventListener("click", () => {
    // A page opened as a file may not be allowed to write the clipboard: then the line is selected, ready to be copied.
    const select = () => getSelection().selectAllChildren(byId("command"));
    (navigator.clipboard?.writeText(command) ?? Promise.reject()).then(() => {
      byId("copy").textContent = "Copied";
    }, select);
  });
  byId("violation").hidden = about.violated_at === null;
}

// The list follows the view, but not at every frame of a drag.
function listSoon() {
  listTimer ??= setTimeout(() => {
    listTimer = null;
    makeList();
  }, 80);
}

function makeList() {
  listed = [];
  for (let position = 0; position < items.length; position += 1) {
    const item = items[position];
    if (item.from > view.to) break;
    if (item.shown && item.to >= view.from) listed.push(position);
  }
  byId("tab-view").textContent = `In view (${numberText(listed.length)})`;
  rows.style.height = `${Math.max(listed.length, 1) * ROW}px`;
  revealChosen();
  fillRows();
}

// Only the rows that can be seen exist, so that sixty thousand events cost no more than sixty.
function fillRows() {
  const first = Math.max(Math.floor(list.scrollTop / ROW) - 4, 0);
  const last = Math.min(first + Math.ceil(list.clientHeight / ROW) + 8, listed.length);
  const made = [];
  for (let place = first; place < last; place += 1) made.push(rowOf(place));
  if (listed.length === 0)
    made.push(element("div", { className: "row", textContent: "Nothing in view that the filter lets through." }));
  rows.replaceChildren(...made);
  const place = listed.indexOf(chosen.item);
  if (place >= first && place < last) list.setAttribute("aria-activedescendant", `row-${place}`);
  else list.removeAttribute("aria-activedescendant");
}

function rowOf(place) {
  const item = items[listed[place]];
  const row = element(
    "div",
    { className: "row", id: `row-${place}` },
    element("span", { className: "time", textContent: timeText(item.from) }),
    element("span", { className: "who", textContent: who(item) }),
    element("span", { className: "what", textContent: summary(item), title: summary(item) }),
  );
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", String(listed[place] === chosen.item));
  row.setAttribute("aria-setsize", listed.length);
  row.setAttribute("aria-posinset", place + 1);
  row.style.top = `${place * ROW}px`;
  row.style.borderLeftColor = colorOf(item);
  row.addEventListener("click", () => chooseRow(listed[place], row));
  return row;
}

function colorOf(item) {
  if (item.type === MESSAGE) return isLost(item.index) ? paint.lost : paint[groupOf(item.index)];
  if (item.type === OPERATION) return paint[operationLook[operations[item.index].outcome][0]];
  if (item.type === FAULT) return paint[faults[item.index].group];
  if (item.type === STAND) return termColor(stands[item.index].term, true);
  return item.type === MARK ? paint[markLook[marks[item.index].sort][0]] : paint.line;
}

function revealChosen() {
  const place = listed.indexOf(chosen.item);
  if (place < 0) return;
  const top = place * ROW;
  if (top < list.scrollTop || top + ROW > list.scrollTop + list.clientHeight)
    list.scrollTop = top - list.clientHeight / 2;
}

// Chooses an item, or nothing. What was chosen in a list is brought to the middle of the view.
function choose(position, bring = false) {
  chosen.item = position;
  fillDetail();
  if (position !== null && bring)
    centre((items[position].from + Math.min(items[position].to, items[position].from + view.to - view.from)) / 2);
  for (const row of byId("history").querySelectorAll("tbody tr"))
    row.setAttribute("aria-selected", String(Number(row.dataset.position) === position));
  revealChosen();
  fillRows();
  redraw();
}

// A row was clicked. On a narrow screen the lanes are above the lists, perhaps out of sight.
function chooseRow(position, row) {
  choose(position, true);
  row.scrollIntoView({ block: "nearest" });
  byId("stage").scrollIntoView({ block: "nearest" });
}

// The next item, or the one before, in order of time: of those that the filter lets through.
function chooseNext(step) {
  let position = chosen.item ?? items.findIndex((item) => item.from >= view.from) - (step > 0 ? 1 : 0);
  do position += step;
  while (position >= 0 && position < items.length && !items[position].shown);
  if (position < 0 || position >= items.length) return;
  const out = items[position].from < view.from || items[position].from > view.to;
  choose(position, out);
}

function fillDetail() {
  const detail = byId("detail");
  if (chosen.item === null) {
    detail.replaceChildren(
      element("h2", { textContent: "Details" }),
      element("p", {
        textContent: "Click on anything, in the lanes or in the list, to see all that is known about it.",
      }),
    );
    return;
  }
  const item = items[chosen.item];
  const rows = fields(item).flatMap(([name, value]) => [
    element("dt", { textContent: name }),
    element("dd", { textContent: String(value) }),
  ]);
  const near = element("button", { type: "button", textContent: "Zoom to it" });
  near.addEventListener("click", zoomToChosen);
  detail.replaceChildren(element("h2", { textContent: heading(item) }), element("dl", {}, ...rows), near);
}

function zoomToChosen() {
  if (chosen.item === null) return;
  const item = items[chosen.item];
  const span = item.to > item.from ? (item.to - item.from) * 3 : 20000;
  centre((item.from + item.to) / 2, clamp(span, 2000, 5e6));
}

const HISTORY = 40;
function fillHistory() {
  if (byId("badge").className === "good") return;
  const until = about.violated_at ?? RUN_END;
  const keys = [...new Set(operations.map((it) => it.key))].filter(
    (key) => key !== "" && names(about.verdict, key),
  );
  const before = operations
    .map((it, index) => ({ it, index }))
    .filter(({ it }) => it.from <= until && (keys.length === 0 || keys.includes(it.key)));
  const last = before.slice(-HISTORY);
  byId("tab-history").hidden = false;
  byId("tab-history").textContent = `History around it (${last.length})`;
  byId("history-note").textContent =
    `The last ${last.length} operations ${keys.length > 0 ? `on ${keys.join(", ")}` : "of all clients"} ` +
    `asked up to ${timeText(until)} s.`;
  const head = ["asked", "client", "at", "call", "outcome", "result", "took"].map((name) =>
    element("th", { textContent: name, scope: "col" }),
  );
  byId("history").replaceChildren(
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...last.map(historyRow)),
  );
}

// Whether a text names a key as a whole word: key-1 is not in key-12.
function names(text, key) {
  const part = (letter) => letter !== undefined && /[\p{L}\p{N}_-]/u.test(letter);
  for (let at = text.indexOf(key); at >= 0; at = text.indexOf(key, at + 1)) {
    if (!part(text[at - 1]) && !part(text[at + key.length])) return true;
  }
  return false;
}

function historyRow({ it, index }) {
  const [, sign] = operationLook[it.outcome];
  const time = element("button", { type: "button", textContent: timeText(it.from) });
  const call = `${it.call} ${it.key}${it.call === "put" ? ` = ${it.value}` : ""}`;
  const cells = [
    `c${it.client}`,
    `s${it.host}`,
    call,
    `${sign} ${it.outcome}`,
    it.result,
    it.open ? "" : spanText(it.to - it.from),
  ];
  const row = element(
    "tr",
    {},
    element("td", {}, time),
    ...cells.map((text) => element("td", { textContent: text })),
  );
  row.children[4].className = `outcome-${it.outcome}`;
  row.dataset.position = itemOf[OPERATION][index];
  row.addEventListener("click", () => chooseRow(itemOf[OPERATION][index], row));
  return row;
}
