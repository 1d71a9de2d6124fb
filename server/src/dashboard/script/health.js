
// What is wrong with a cluster, and what to do about it. Pure: from what a node told to words.

/** A node that is so many entries behind is worth a word. */
const FAR_BEHIND = 1000;

/** A disk that is at one thing for so long stands still. */
const STANDS_STILL_MS = 1000;

/** What nodes answered, the newest term first. */
const statusesOf = (nodes) =>
  nodes.map((node) => node.status).filter(Boolean).sort((one, other) => other.term - one.term);

/** Who leads, if anybody does. It may be known by name alone: this node hears it, and can't ask it over HTTP. */
function leaderOf(nodes) {
  const statuses = statusesOf(nodes);
  const leads = statuses.find((status) => status.role === "leader");
  const id = leads?.id ?? statuses.find((status) => status.leader)?.leader.id;
  const leader = nodes.find((node) => node.id === id);
  return leader?.status && leader.status.role !== "leader" ? undefined : leader;
}

const termOf = (nodes) => statusesOf(nodes)[0]?.term ?? 0;

/** What the leader says of a node. */
const peerOf = (leader, node) => leader?.status?.peers?.find((peer) => peer.id === node.id);

/** Whether a node answers, or others at least hear it. */
const isUp = (node, leader) =>
  Boolean(node.status) || node === leader || !["down", undefined].includes(peerOf(leader, node)?.state);

const votersOf = (nodes) => nodes.filter((node) => node.membership === "voter");

const majorityOf = (voters) => Math.floor(voters.length / 2) + 1;

/** How many entries a node's log is short of the leader's; nothing when nobody knows. */
function lagOf(node, leader) {
  if (!leader?.status) return null;
  if (node.id === leader.id) return 0;
  const known = peerOf(leader, node)?.match;
  // The leader answered a moment before or after the node did.
  return known === undefined ? null : Math.max(0, leader.status.last - Math.max(known, node.status?.last ?? 0));
}

/** The verdict: a level, a word for it, a sentence, and what is to be done. */
function judge(overview) {
  const { nodes } = overview;
  const leader = leaderOf(nodes);
  const voters = votersOf(nodes);
  const up = voters.filter((node) => isUp(node, leader));
  const ofNodes = nodes.flatMap((node) => problemsOf(node, leader));
  const problems = [...leaderless(nodes, leader), ...ofNodes, ...releases(nodes)];
  const are = up.length === 1 ? "is" : "are";
  const present = `${up.length} of ${plural(voters.length, "voter", "voters")} ${are} up`;
  if (!leader) {
    const summary = `${present}. Nothing can be written, and reads wait.`;
    return { level: "bad", title: "No leader", summary, problems };
  }
  const leads = `${nameOf(leader)} leads in term ${count(termOf(nodes))}`;
  const summary = `${present}; ${leads}. ${spareOf(voters, up)}`;
  if (problems.length === 0) return { level: "good", title: "Healthy", summary, problems };
  return { level: "warn", title: "Degraded", summary, problems };
}

function spareOf(voters, up) {
  const spare = up.length - majorityOf(voters);
  if (voters.length === 1) return "A cluster of one voter has no spare: add nodes to keep on when it fails.";
  if (spare > 0) return `${plural(spare, "more may", "more may")} fail before writes stop.`;
  return "None of them may fail now, or writes stop.";
}

function leaderless(nodes, leader) {
  if (leader) return [];
  const voters = votersOf(nodes);
  const up = voters.filter((node) => node.status);
  const majority = majorityOf(voters);
  if (up.length < majority) {
    const missing = voters.filter((node) => !node.status).map(nameOf).join(", ");
    return [{
      what: `${count(majority)} of ${count(voters.length)} voters must be up, and ${count(up.length)} can be seen.`,
      todo: `Start ${missing}, or mend the network to them. If their disks are lost for good, see "quorate recover `
        + "plan\" and RECOVERY.md. Until then old data can be read from this node's own copy, below.",
    }];
  }
  return [{
    what: "A majority is up, and has not agreed on a leader yet.",
    todo: "An election takes a second or two. If this stays, the nodes can't reach each other at their peer addresses: "
      + "look at their logs, which give the reason for each election.",
  }];
}

/** What is wrong with one node. */
function problemsOf(node, leader) {
  const name = nameOf(node);
  const found = [];
  const add = (what, todo) => found.push({ what, todo });
  const known = node.problem ?? "it gives no reason";
  if (!node.status && isUp(node, leader)) {
    const who = node === leader ? "Its followers still hear" : `The leader, ${nameOf(leader)}, hears`;
    add(`${name} can't be asked: ${visible(known)}.`,
      `${who} it. If it stays so, see whether HTTP between the nodes works.`);
    return found;
  }
  if (!node.status) {
    add(`${name} does not answer: ${visible(known)}.`,
      "See whether its process runs and what its log says, and start it again: it catches up by itself.");
    return found;
  }
  const { condition, status } = node;
  if (condition?.disk_full) {
    add(`The disk of ${name} is full: writes that need space are refused.`,
      "Free or add space. Reads and deletes go on, and deleting keys helps.");
  }
  if (condition?.damaged) {
    add(`${name} has ${plural(condition.damaged, "damaged log entry", "damaged log entries")}.`,
      "They are fetched from the other nodes. If it stays, check its disk: quorate verify says what is wrong.");
  }
  if (condition?.disk_busy_ms >= STANDS_STILL_MS) {
    add(`The disk of ${name} has been busy with one thing for ${milliseconds(condition.disk_busy_ms)}.`,
      "See whether something else keeps the disk busy, and whether it still works.");
  }
  if (condition?.restoring) add(`${name} is reading its store from a checkpoint.`, "It serves when that is done.");
  if (node.membership === "outsider") {
    add(`${name} is no member of the cluster.`, "If it was removed, end it; else it has not heard that it is one yet.");
  }
  return [...found, ...standing(node, leader, name, status)];
}

/** How a node stands to its leader. */
function standing(node, leader, name, status) {
  if (!leader || node.id === leader.id) return [];
  const peer = peerOf(leader, node);
  if (peer?.state === "down") {
    return [{
      what: `${name} answers here, but the leader, ${nameOf(leader)}, does not hear it.`,
      todo: `See whether they reach each other at ${visible(node.address)}, where peers talk.`,
    }];
  }
  if (peer?.state === "snapshot") {
    const todo = "It was behind what the log still holds. Wait for it.";
    return [{ what: `${name} is being sent a checkpoint.`, todo }];
  }
  const lag = lagOf(node, leader);
  if (lag > FAR_BEHIND) {
    const todo = "If that grows, its disk or its network is too slow.";
    return [{ what: `${name} is ${count(lag)} entries behind.`, todo }];
  }
  if (status.leader?.id !== leader.id && status.term >= (leader.status?.term ?? 0)) {
    return [{ what: `${name} does not follow ${nameOf(leader)}.`, todo: "An election may be going on: this passes." }];
  }
  return [];
}

/** An upgrade that was begun should be finished. */
function releases(nodes) {
  const versions = [...new Set(nodes.map((node) => node.condition?.version).filter(Boolean))].sort();
  if (versions.length < 2) return [];
  const what = `The nodes run different releases: ${versions.map(visible).join(", ")}.`;
  return [{ what, todo: "Finish the upgrade." }];
}
