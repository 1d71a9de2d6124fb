// What the dashboard makes of a cluster in trouble, of kinds that are hard to bring about: a stand-in for a node tells.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { assertAccessible, assertFits, launch, open, picture, verdict } from "./browser.js";
import { eventually, startCluster } from "./cluster.js";

let browser;
let cluster;
let page;
let policy;

before(async () => {
  browser = await launch();
  cluster = await startCluster(1);
  const answer = await fetch(cluster.leader.url, { headers: { Accept: "text/html" } });
  policy = answer.headers.get("content-security-policy");
  page = await answer.text();
});

after(async () => {
  await browser.close();
  await cluster.stop();
});

const idOf = (number) => `${number}`.repeat(32);

/** What the leader says of the others. */
const peersOf = (state, match = 90) => [2, 3].map((other) => ({ id: idOf(other), match, state }));

/** A node that is well; `changes` are made to it. */
function node(number, changes = {}) {
  const id = idOf(number);
  const url = `http://127.0.0.1:${8079 + number}`;
  const peers = peersOf("pipeline");
  const status = {
    id, name: null, role: number === 1 ? "leader" : "follower", term: 7, leader: { id: idOf(1), url: null },
    commit: 90, applied: 90, last: 90, snapshot: 0, revision: 40, cluster: "c".repeat(32), history: "d".repeat(32),
    ...(number === 1 ? { peers } : {}), ...changes.status,
  };
  const condition = {
    version: "1.0.0", keys: 3, damaged: 0, disk_full: false, restoring: false, disk_busy_ms: 0, ...changes.condition,
  };
  const address = `127.0.0.1:${9079 + number}`;
  const seen = { id, name: `n${number}`, address, url, membership: "voter", ...changes.seen };
  return changes.problem
    ? { ...seen, problem: changes.problem, status: null, condition: null, activity: null }
    : { ...seen, problem: null, status, condition, activity: null };
}

/** Opens the page at a stand-in that tells of these nodes, the first of which it is; `streams` counts who listens. */
async function told(nodes, work) {
  const streams = { begun: 0, open: 0 };
  const event = `event: overview\ndata: ${JSON.stringify({ node: nodes[0].id, nodes })}\n\n`;
  const server = createServer((request, answer) => {
    if (request.url === "/") {
      answer.writeHead(200, { "content-type": "text/html; charset=utf-8", "content-security-policy": policy });
      answer.end(page);
    } else if (request.url === "/raft/status") {
      answer.setHeader("content-type", "text/event-stream");
      answer.write(event);
      streams.begun += 1;
      streams.open += 1;
      const timer = setInterval(() => answer.write(event), 1000);
      answer.on("close", () => {
        clearInterval(timer);
        streams.open -= 1;
      });
    } else {
      answer.setHeader("content-type", "application/json");
      answer.end('{"revision":40,"keys":[],"more":false}');
    }
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const opened = await open(browser, `http://127.0.0.1:${server.address().port}/`);
  try {
    await work(opened, streams);
    assert.deepEqual(opened.faults, []);
  } finally {
    await opened.context().close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

const problems = (opened) => opened.locator("#problems li strong").allTextContents();

test("what is wrong with a node is said, with what to do", async () => {
  const cases = [
    [{ condition: { disk_full: true } }, /The disk of n2 is full/],
    [{ condition: { damaged: 2 } }, /n2 has 2 damaged log entries/],
    [{ condition: { disk_busy_ms: 4200 } }, /The disk of n2 has been busy with one thing for 4.2 s/],
    [{ condition: { restoring: true } }, /n2 is reading its store/],
    [{ condition: { version: "1.1.0" } }, /different releases: 1.0.0, 1.1.0/],
    [{ seen: { membership: "outsider" } }, /n2 is no member/],
    [{ status: { leader: null, term: 8 } }, /n2 does not follow n1/],
    [{ problem: "it asks for a token" }, /n2 can't be asked: it asks for a token/],
  ];
  for (const [changes, expected] of cases) {
    await told([node(1), node(2, changes), node(3)], async (opened) => {
      await verdict(opened, "Degraded");
      const said = await problems(opened);
      assert.equal(said.length, 1, JSON.stringify(said));
      assert.match(said[0], expected);
    });
  }
});

test("how the leader sees a node counts, too", async () => {
  const leader = (status) => node(1, { status });
  const cases = [
    [[leader({ peers: peersOf("down") }), node(2), node(3)], /n2 answers here, but the leader, n1, does not hear it/],
    [[leader({ peers: peersOf("snapshot") }), node(2), node(3)], /n2 is being sent a checkpoint/],
    [[leader({ peers: peersOf("down") }), node(2, { problem: "gone" }), node(3)], /n2 does not answer: gone/],
    [[node(2), node(1, { problem: "late" }), node(3)], /n1 can't be asked: late/],
  ];
  for (const [nodes, expected] of cases) {
    await told(nodes, async (opened) => {
      await verdict(opened, "Degraded");
      assert.match((await problems(opened)).join("\n"), expected);
      assert.match(await opened.locator("#health-summary").textContent(), /n1 leads in term 7/);
    });
  }
  await told([leader({ last: 9000, peers: peersOf("probe") }), node(2), node(3)], async (opened) => {
    await opened.locator("#problems strong", { hasText: "n2 is 8,910 entries behind" }).waitFor();
  });
});

test("all of it at once can still be read", async () => {
  const nodes = [
    node(1, { condition: { disk_full: true, damaged: 3, disk_busy_ms: 12_000 } }),
    node(2, { problem: "it is late" }),
    node(3, { condition: { restoring: true, version: "1.1.0" } }),
    ...[4, 5, 6, 7].map((number) => node(number, { seen: { membership: number > 5 ? "learner" : "voter" } })),
  ];
  await told(nodes, async (opened) => {
    await verdict(opened, "Degraded");
    await picture(opened, "trouble-desk-light");
    await assertAccessible(opened, "much trouble");
    await opened.setViewportSize({ width: 360, height: 740 });
    await assertFits(opened, "much trouble");
    await picture(opened, "trouble-phone-light");
  });
});

test("a node that lies about its name and address does no harm", async () => {
  const script = "<img src=x onerror='globalThis.hit = true'>";
  const seen = { name: `\u202e${script}`, url: "javascript:globalThis.hit=true", address: script };
  await told([node(1), node(2, { seen }), node(3, { problem: script })], async (opened) => {
    await opened.locator("#node-rows th", { hasText: `\\u{202e}${script}` }).waitFor();
    const links = await opened.locator("#node-rows a").evaluateAll((all) => all.map((link) => link.href));
    assert.deepEqual(links, ["http://127.0.0.1:8082/"]);
    assert.equal(await opened.evaluate(() => globalThis.hit), undefined);
    await assertFits(opened, "strange names");
  });
});

/** As a browser does for a tab that another one covers; without a screen none is ever covered. */
const setHidden = (opened, isHidden) => opened.evaluate((hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}, isHidden);

test("a tab in the background lets go of its stream, and takes it up again when it is looked at", async () => {
  await told([node(1), node(2), node(3)], async (opened, streams) => {
    const link = (text) => opened.locator("#link", { hasText: text }).waitFor();
    await verdict(opened, "Healthy");
    // A glance at another tab costs nothing.
    await setHidden(opened, true);
    await setHidden(opened, false);
    await setHidden(opened, true);
    await eventually("nobody listens", () => streams.open === 0);
    assert.equal(streams.begun, 1);
    await link("Resting");
    assert.equal(await opened.title(), "Quorate");
    await setHidden(opened, false);
    await link("Live");
    assert.equal(await opened.title(), "Healthy – Quorate");
    assert.deepEqual(streams, { begun: 2, open: 1 });
  });
});
