// Whom the dashboard keeps out: scripts that somebody has stored, pages of others, names that point to this machine.

import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";

import { launch, open, openKey, verdict } from "./browser.js";
import { get, put, startCluster } from "./cluster.js";

/** Sets `hit` where it runs. */
const SCRIPTS = [
  "<script>globalThis.hit = true</script>",
  "<img src=x onerror='globalThis.hit = true'>",
  "<svg onload='globalThis.hit = true'></svg>",
  "javascript:globalThis.hit=true",
  "</textarea></pre><script>globalThis.hit = true</script>",
];

let browser;
let url;
let stop;

before(async () => {
  browser = await launch("--host-resolver-rules=MAP rebound.example 127.0.0.1");
  const cluster = await startCluster(1);
  ({ stop } = cluster);
  ({ url } = cluster.leader);
});

after(async () => {
  await browser.close();
  await stop();
});

const isHit = (page) => page.evaluate(() => globalThis.hit === true);

test("a script in a key or a value is shown, and does not run", async () => {
  for (const script of SCRIPTS) await put(url, `stored/${script}`, script);
  await put(url, "stored/bytes", Buffer.concat([Buffer.from(SCRIPTS[0]), Buffer.from([255])]));
  const page = await open(browser, url);
  await verdict(page, "Healthy");
  for (const script of SCRIPTS) {
    await openKey(page, `stored/${script}`);
    assert.equal(await page.getByLabel("Value").inputValue(), script);
  }
  await openKey(page, "stored/bytes");
  await page.locator("#bytes", { hasText: "3c 73 63 72 69 70 74" }).waitFor();
  await put(url, `stored/${SCRIPTS[1]}`, `${SCRIPTS[1]} theirs`);
  assert.equal(await isHit(page), false);
  assert.deepEqual(page.faults, []);
});

test("a value that a browser opens does not run", async () => {
  const page = await open(browser, url);
  for (const script of SCRIPTS) {
    await put(url, "opened", `<!doctype html><title>x</title>${script}`);
    // It is bytes of no kind: the browser saves them.
    const download = page.waitForEvent("download");
    await page.goto(`${url}/key/opened`).catch(() => {});
    await (await download).cancel();
    assert.equal(await isHit(page), false, script);
  }
  // Nor in a frame or as a script of a page of ours.
  const answer = await fetch(`${url}/key/opened`);
  assert.equal(answer.headers.get("content-security-policy"), "sandbox");
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
});

test("the page itself runs nothing but its own script", async () => {
  const page = await open(browser, url);
  await verdict(page, "Healthy");
  const refused = await page.evaluate(() => {
    const script = document.createElement("script");
    try {
      script.text = "globalThis.hit = true";
      document.body.append(script);
      return "nothing";
    } catch (error) {
      return error.name;
    }
  });
  assert.equal(refused, "TypeError");
  const markup = await page.evaluate(() => {
    try {
      document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='globalThis.hit = true'>");
      return "nothing";
    } catch (error) {
      return error.name;
    }
  });
  assert.equal(markup, "TypeError");
  const outside = await page.evaluate(() => fetch("http://127.0.0.1:1/").then(() => "sent", (error) => error.message));
  assert.match(outside, /Failed to fetch/);
  assert.equal(await isHit(page), false);
  assert.ok(page.faults.some((fault) => fault.includes("connect-src")), "the policy has refused the request");
});

/** A page of somebody else's, at another port, that runs `script`. */
async function strangers(script, work) {
  const server = createServer((_, answer) => {
    answer.setHeader("content-type", "text/html");
    answer.end(`<!doctype html><title>theirs</title><script>${script}</script>`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    return await work(`http://127.0.0.1:${server.address().port}/`);
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("a page of another origin writes nothing", async () => {
  await put(url, "mine", "safe");
  const attempts = `
    const to = "${url}";
    const send = (path, how) => fetch(to + path, how).then(() => "answered", () => "refused");
    globalThis.done = Promise.all([
      send("/key/mine", { method: "POST", mode: "no-cors", body: "theirs" }),
      send("/txn", { method: "POST", mode: "no-cors", body: '{"success":[{"delete":{"key":"mine"}}]}' }),
      send("/key/mine", { method: "PUT", body: "theirs" }),
      send("/key/mine", { method: "DELETE" }),
      send("/key/mine", { headers: { Authorization: "Bearer x" } }),
      fetch(to + "/key/mine").then((answer) => answer.text(), () => "refused"),
    ]);`;
  await strangers(attempts, async (theirs) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const statuses = {};
    page.on("response", (answer) => {
      statuses[`${answer.request().method()} ${new URL(answer.url()).pathname}`] = answer.status();
    });
    await page.goto(theirs);
    const done = await page.evaluate(() => globalThis.done);
    // What browsers send without asking first is sent, and refused here; an answer to it can't be read there.
    assert.deepEqual(done, ["answered", "answered", "refused", "refused", "refused", "refused"]);
    assert.equal(statuses["POST /key/mine"], 403);
    assert.equal(statuses["POST /txn"], 403);
    await context.close();
  });
  assert.equal((await get(url, "mine")).toString(), "safe");
});

test("a form of another origin writes nothing, and no page of another has ours in a frame", async () => {
  await put(url, "mine", "safe");
  const script = `
    addEventListener("DOMContentLoaded", () => {
      const frame = document.createElement("iframe");
      frame.src = "${url}/";
      frame.name = "theirs";
      document.body.append(frame);
      const form = document.createElement("form");
      Object.assign(form, { action: "${url}/key/mine", method: "post", target: "_blank" });
      document.body.append(form);
      form.submit();
    });`;
  await strangers(script, async (theirs) => {
    const context = await browser.newContext();
    const page = await context.newPage();
    const refusal = context.waitForEvent("response", (answer) => answer.request().method() === "POST");
    const framed = page.waitForEvent("console", (message) => message.text().includes("frame-ancestors"));
    await page.goto(theirs);
    assert.equal((await refusal).status(), 403);
    await framed;
    await context.close();
  });
  assert.equal((await get(url, "mine")).toString(), "safe");
});

test("a name of another's that was made to point here is refused", async () => {
  await put(url, "mine", "safe");
  const { port } = new URL(url);
  const context = await browser.newContext();
  const page = await context.newPage();
  const rebound = `http://rebound.example:${port}`;
  for (const path of ["/", "/keys", "/raft/status", "/key/mine"]) {
    const answer = await page.goto(rebound + path);
    assert.equal(answer.status(), 421, path);
    assert.equal(await answer.headerValue("quorate-error"), "wrong_host", path);
  }
  // The page is of that name, so to the browser these are requests to where it came from.
  const statuses = await page.evaluate(() => Promise.all([
    fetch("/key/mine").then((answer) => answer.status),
    fetch("/key/mine", { method: "PUT", body: "theirs" }).then((answer) => answer.status),
    fetch("/txn", { method: "POST", body: "{}" }).then((answer) => answer.status),
  ]));
  assert.deepEqual(statuses, [421, 421, 421]);
  await context.close();
  assert.equal((await get(url, "mine")).toString(), "safe");
});
