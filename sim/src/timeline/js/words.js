// Everything that is said about an item, as plain text. Texts of the run reach the page only as text nodes.

function timeText(microseconds) {
  const digits = String(Math.round(Math.abs(microseconds))).padStart(7, "0");
  const sign = microseconds < 0 ? "−" : "";
  return `${sign}${digits.slice(0, -6)}.${digits.slice(-6, -3)}\u2009${digits.slice(-3)}`;
}

function spanText(microseconds) {
  if (microseconds < 1000) return `${Math.round(microseconds)} µs`;
  if (microseconds < 1e6) return `${Number((microseconds / 1000).toPrecision(4))} ms`;
  return `${Number((microseconds / 1e6).toPrecision(4))} s`;
}

const kindOf = (index) => messages.kinds[messages.kind[index]];
const fate = (index) => ["", "arrives once more", "was never seen being sent"][messages.odd[index]];
const numberText = (value) => value.toLocaleString("en").replaceAll(",", "\u2009");

function summary(item) {
  const { type, index } = item;
  if (type === MESSAGE) {
    const [name, , labels] = kindOf(index);
    const numbers = labels
      .map((label, place) => label && `${label} ${messages.numbers[index][place]}`)
      .filter(Boolean);
    const end = isLost(index) ? "lost: it never arrives" : fate(index);
    return [`${name}, term ${messages.term[index]}`, ...numbers, end].filter(Boolean).join(", ");
  }
  if (type === MARK) return marks[index].text;
  if (type === STAND) {
    const it = stands[index];
    const damaged = it.damaged > 0 ? `, ${it.damaged} damaged` : "";
    return `${it.role} in term ${it.term}, commit ${it.commit}, last ${it.lastTerm}/${it.last}${damaged}`;
  }
  if (type === OPERATION) return operationText(operations[index]);
  if (type === FAULT) {
    const it = faults[index];
    const links = it.fields.find(([name]) => name === "links")?.[1] ?? "";
    return [it.kind, links, it.open ? "to the end" : it.to > it.from ? `for ${spanText(it.to - it.from)}` : ""]
      .filter(Boolean)
      .join(", ");
  }
  return `phase ${phases[index].name}`;
}

function operationText(it) {
  const value = it.call === "put" ? ` = ${it.value}` : "";
  const result = it.result ? ` (${it.result})` : "";
  return `${it.call} ${it.key}${value} at s${it.host}: ${it.outcome}${result}`;
}

function who(item) {
  const { type, index } = item;
  if (type === MESSAGE) return `${lanes[item.a].short}→${lanes[item.b].short}`;
  return type === PHASE ? "" : lanes[item.a].short;
}

function fields(item) {
  const { type, index } = item;
  const at = ["time", `${timeText(item.from)} s`];
  if (type === MESSAGE) return messageFields(index);
  if (type === MARK) return [["server", lanes[item.a].name], at, ...marks[index].fields];
  if (type === STAND) {
    const it = stands[index];
    return [
      ["server", lanes[item.a].name],
      at,
      ["role", it.role],
      ["term", it.term],
      ["leader", it.leader],
      ["commit", it.commit],
      ["last slot (term/index)", `${it.lastTerm}/${it.last}`],
      ["damaged slots", it.damaged],
    ];
  }
  if (type === OPERATION) return operationFields(operations[index]);
  if (type === PHASE)
    return [
      ["from", `${timeText(item.from)} s`],
      ["to", `${timeText(item.to)} s`],
      ["lasts", spanText(item.to - item.from)],
    ];
  const it = faults[index];
  const end = it.open ? "never within the run" : `${timeText(it.to)} s (${spanText(it.to - it.from)})`;
  return [
    ["number in the plan", it.number],
    ["kind", it.kind],
    ["begins", `${timeText(it.from)} s`],
    ["ends", end],
    ...it.fields.filter(([name]) => name !== "kind").map(([name, value]) => [`plan: ${name}`, value]),
  ];
}

function messageFields(index) {
  const [name, , labels] = kindOf(index);
  const sent = messages.sent[index];
  const arrived = isLost(index) ? "never" : `${timeText(sent + tookOf(index))} s`;
  const rows = [
    ["kind", name],
    ["from", `server ${messages.from[index]}`],
    ["to", `server ${messages.to[index]}`],
    ["sent", messages.odd[index] === 2 ? "not seen" : `${timeText(sent)} s`],
    ["received", arrived],
  ];
  if (!isLost(index)) rows.push(["took", spanText(tookOf(index))]);
  if (messages.odd[index] > 0) rows.push(["note", fate(index)]);
  rows.push(["term", messages.term[index]]);
  labels.forEach((label, place) => {
    if (label) rows.push([label, messages.numbers[index][place]]);
  });
  return rows;
}

function operationFields(it) {
  const rows = [
    ["client", it.client],
    ["request", it.number],
    ["asked server", it.host],
    ["call", it.call],
    ["key", it.key],
  ];
  if (it.call === "put") rows.push(["value", it.value]);
  rows.push(
    ["asked", `${timeText(it.from)} s`],
    ["heard", it.open ? "never within the run" : `${timeText(it.to)} s`],
  );
  if (!it.open) rows.push(["took", spanText(it.to - it.from)]);
  rows.push(["outcome", outcomeText[it.outcome]]);
  if (it.result) rows.push(["result", it.result]);
  if (it.content !== null) rows.push(["hash of the command", it.content]);
  return rows;
}

const outcomeText = {
  ok: "ok",
  failed: "failed: it never takes effect",
  unknown: "unknown: it may take effect, or not",
  unanswered: "no outcome was noted",
  retried: "not done; tried again",
};

function heading(item) {
  const names = {
    [MESSAGE]: () => `${kindOf(item.index)[0]} ${who(item)}`,
    [MARK]: () => marks[item.index].text,
    [STAND]: () => `how server ${stands[item.index].host} stands`,
    [OPERATION]: () => `${operations[item.index].call} ${operations[item.index].key}`,
    [FAULT]: () => `fault: ${faults[item.index].kind}`,
    [PHASE]: () => `phase: ${phases[item.index].name}`,
  };
  return names[item.type]();
}

// What a search looks in; made when first needed, since most pages are never searched.
function searchText(item) {
  item.text ??= `${item.type} ${who(item)} ${lanes[item.a].name} ${summary(item)}`.toLowerCase();
  return item.text;
}
