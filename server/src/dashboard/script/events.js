
// What has happened: told apart from one event of the stream to the next.

/** So many are kept in the list. */
const MOST_EVENTS = 50;

/** What has changed, each with a level and a text. */
function changesOf(before, after) {
  const changes = [];
  const add = (level, text) => changes.push({ level, text });
  const [old, now] = [leaderOf(before.nodes), leaderOf(after.nodes)];
  const [oldTerm, term] = [count(termOf(before.nodes)), count(termOf(after.nodes))];
  if (now && !old) add("good", `${nameOf(now)} leads in term ${term}.`);
  else if (old && !now) add("bad", `There is no leader any more; ${nameOf(old)} led in term ${oldTerm}.`);
  else if (now && (now.id !== old.id || (now.status && old.status && now.status.term !== old.status.term))) {
    add("good", `${nameOf(now)} leads in term ${term}, after ${nameOf(old)} in term ${oldTerm}.`);
  }
  for (const node of after.nodes) {
    const was = before.nodes.find((other) => other.id === node.id);
    if (!was) add("good", `${nameOf(node)} is a member now, as ${node.membership}.`);
    else changesOfNode(was, node, add);
  }
  for (const gone of before.nodes.filter((was) => after.nodes.every((node) => node.id !== was.id))) {
    add("warn", `${nameOf(gone)} is no member any more.`);
  }
  return changes;
}

function changesOfNode(was, node, add) {
  const name = nameOf(node);
  if (was.status && !node.status) add("warn", `${name} does not answer any more.`);
  if (!was.status && node.status) add("good", `${name} answers again.`);
  if (was.membership !== node.membership) add("good", `${name} is ${node.membership} now, and was ${was.membership}.`);
  if (!was.condition || !node.condition) return;
  if (!was.condition.disk_full && node.condition.disk_full) add("bad", `The disk of ${name} is full.`);
  if (was.condition.disk_full && !node.condition.disk_full) add("good", `The disk of ${name} has space again.`);
  if (!was.condition.damaged && node.condition.damaged) add("warn", `${name} has found damage in its log.`);
  if (was.condition.damaged && !node.condition.damaged) add("good", `The log of ${name} is whole again.`);
}

/** Puts what has happened on top of the list, and has it said. */
function showChanges(changes) {
  if (changes.length === 0) return;
  const list = byId("event-rows");
  const now = new Date();
  for (const { level, text } of changes) {
    const time = make("time", { datetime: now.toISOString() }, clock.format(now));
    list.prepend(make("li", { "data-level": level }, time, make("span", {}, text)));
  }
  while (list.children.length > MOST_EVENTS) list.lastElementChild.remove();
  show(byId("no-events"), false);
  announce(changes.map((change) => change.text).join(" "));
}
