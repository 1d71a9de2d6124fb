// Messages: arrows where there is room for them, bars of how many where there is not; and finding what is pointed at.

// What tells most is drawn as arrows for longest when one zooms out.
const RANK = ["election", "snapshot", "repair", "read", "entries", "reply", "heartbeat"];
const LINE = {
  election: [],
  snapshot: [7, 3],
  repair: [2, 2],
  read: [10, 3, 2, 3],
  entries: [],
  reply: [4, 3],
  heartbeat: [1, 3],
};
let arrows = [];

function drawMessages(seen) {
  const byGroup = new Map(RANK.map((group) => [group, []]));
  for (const item of seen) byGroup.get(groupOf(item.index)).push(item);
  let budget = (view.width - view.gutter) * 0.9;
  const crowd = [];
  arrows = [];
  for (const group of RANK) {
    const members = byGroup.get(group);
    if (members.length <= budget) {
      budget -= members.length;
      drawArrows(members, group);
    } else {
      crowd.push(...members);
    }
  }
  drawCrowd(crowd);
  const names = RANK.filter(
    (group) => byGroup.get(group).length > 0 && crowd.some((item) => groupOf(item.index) === group),
  );
  document.getElementById("note").textContent =
    crowd.length === 0
      ? `${numberText(arrows.length)} messages in view that the filter lets through.`
      : `${numberText(arrows.length)} messages as arrows; ${numberText(crowd.length)} (${names.join(", ")}) as bars ` +
        "along the lanes: zoom in to see them one by one.";
}

// From bar to bar. One that is lost ends on its way.
function endsOf({ index, from, to, a, b }) {
  const down = b > a ? 1 : -1;
  const half = (lane) => barHalf(lane, "follower") + 1;
  const startY = barMiddle(a) + down * half(a);
  if (isLost(index)) {
    const reach = Math.min(26, Math.abs(barMiddle(b) - barMiddle(a)) * 0.45);
    return [xOf(from), startY, xOf(from) + 5, startY + down * reach];
  }
  return [xOf(from), startY, xOf(to), barMiddle(b) - down * half(b)];
}

function drawArrows(members, group) {
  if (members.length === 0) return;
  const whole = members.filter((item) => !isLost(item.index) && messages.odd[item.index] === 0);
  const lost = members.filter((item) => isLost(item.index));
  const odd = members.filter((item) => messages.odd[item.index] > 0);
  const faint = group === "reply" || group === "heartbeat";
  strokeAll(whole, paint[group], faint ? 0.9 : 1.25, LINE[group]);
  strokeAll(lost, paint.lost, 1.3, [3, 2]);
  strokeAll(odd, paint[group], 2.2, [1.5, 2.5]);
  crosses(lost);
  // The sign beside the head of one that arrives once more.
  if (odd.length < 60)
    for (const item of odd)
      label(
        messages.odd[item.index] === 1 ? "×2" : "×?",
        endsOf(item)[2] + 4,
        endsOf(item)[3],
        paint[group],
        10,
        "bold",
      );
  if (members.length < 700) heads([...whole, ...odd], paint[group]);
  arrows.push(...members);
}

function strokeAll(members, color, width, dashes) {
  context.strokeStyle = color;
  context.lineWidth = width;
  context.setLineDash(dashes);
  context.beginPath();
  for (const item of members) {
    const [x, y, toX, toY] = endsOf(item);
    context.moveTo(x, y);
    context.lineTo(toX, toY);
  }
  context.stroke();
  context.setLineDash([]);
}

function heads(members, color) {
  context.fillStyle = color;
  context.beginPath();
  for (const item of members) {
    const [x, y, toX, toY] = endsOf(item);
    const length = Math.hypot(toX - x, toY - y) || 1;
    const [alongX, alongY] = [(toX - x) / length, (toY - y) / length];
    context.moveTo(toX, toY);
    context.lineTo(toX - alongX * 7 - alongY * 2.8, toY - alongY * 7 + alongX * 2.8);
    context.lineTo(toX - alongX * 7 + alongY * 2.8, toY - alongY * 7 - alongX * 2.8);
  }
  context.fill();
}

function crosses(members) {
  context.strokeStyle = paint.lost;
  context.lineWidth = 1.6;
  context.beginPath();
  for (const item of members) {
    const [, , x, y] = endsOf(item);
    context.moveTo(x - 3, y - 3);
    context.lineTo(x + 3, y + 3);
    context.moveTo(x - 3, y + 3);
    context.lineTo(x + 3, y - 3);
  }
  context.stroke();
}

function drawArrow(item, color, width) {
  strokeAll([item], color, width, isLost(item.index) ? [3, 2] : []);
  if (isLost(item.index)) crosses([item]);
  else heads([item], color);
}

// How many a server sent, a bar every few pixels, growing up from the foot of its lane; what was lost is on top.
const CROWD_STEP = 3;
function drawCrowd(members) {
  if (members.length === 0) return;
  const columns = Math.ceil((view.width - view.gutter) / CROWD_STEP) + 1;
  const counts = new Map();
  let most = 1;
  for (const item of members) {
    const column = Math.floor((xOf(item.from) - view.gutter) / CROWD_STEP);
    if (column < 0 || column >= columns) continue;
    if (!counts.has(item.a)) counts.set(item.a, [new Uint16Array(columns), new Uint16Array(columns)]);
    const [all, lost] = counts.get(item.a);
    all[column] += 1;
    if (isLost(item.index)) lost[column] += 1;
    most = Math.max(most, all[column]);
  }
  for (const [lane, [all, lost]] of counts) {
    const foot = view.laneTop[lane] + view.laneHeight[lane];
    const tall = Math.max(foot - barMiddle(lane) - barHalf(lane, "leader") - 2, 4);
    // A root, so that a single one can still be seen beside a crowd.
    const height = (count) => (count === 0 ? 0 : Math.max(tall * Math.sqrt(count / most), 1.5));
    for (let column = 0; column < columns; column += 1) {
      if (all[column] === 0) continue;
      const x = view.gutter + column * CROWD_STEP,
        high = height(all[column]);
      context.fillStyle = paint.entries;
      context.fillRect(x, foot - high, CROWD_STEP - 1, high);
      if (lost[column] === 0) continue;
      const share = (high * lost[column]) / all[column];
      context.fillStyle = paint.lost;
      context.fillRect(x, foot - high, CROWD_STEP - 1, Math.max(share, 1.5));
    }
  }
}

// The position of the item at this point, or null. Small things come before arrows, arrows before broad bands.
function hit(x, y, slack) {
  if (x < view.gutter) return null;
  const under = places.filter(([left, top, right, bottom]) => x >= left && x <= right && y >= top && y <= bottom);
  const small = under.findLast(([, , , , position]) => [MARK, OPERATION].includes(items[position].type));
  if (small !== undefined) return small[4];
  let best = null,
    nearest = slack;
  for (const item of arrows) {
    const away = distance(x, y, endsOf(item));
    if (away < nearest) [best, nearest] = [item, away];
  }
  if (best !== null && nearest < 3) return itemOf[MESSAGE][best.index];
  if (under.length > 0) return under.at(-1)[4];
  return best !== null ? itemOf[MESSAGE][best.index] : hitBar(x, y);
}

function distance(x, y, [fromX, fromY, toX, toY]) {
  const [alongX, alongY] = [toX - fromX, toY - fromY];
  const share = clamp(((x - fromX) * alongX + (y - fromY) * alongY) / (alongX ** 2 + alongY ** 2 || 1), 0, 1);
  return Math.hypot(x - fromX - share * alongX, y - fromY - share * alongY);
}

// A click on a bar shows how that server stood then.
function hitBar(x, y) {
  const lane = serverLanes.find(
    (number) => lanes[number].shown && Math.abs(y - barMiddle(number)) <= barHalf(number, "leader") + 2,
  );
  const stand = lane && lanes[lane].stands.findLast((it) => it.at <= timeAt(x) && isUpAt(lane, it.at, timeAt(x)));
  return stand ? itemOf[STAND][stand.index] : null;
}
