// How the dashboard looks: pictures at three sizes, light and dark, of a cluster that is well and of ones that are not.
// Each is looked at by axe here, and by people in target/dashboard/.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertAccessible, assertFits, launch, open, openKey, picture, verdict } from "./browser.js";
import { eventually, kill, put, startCluster } from "./cluster.js";

const SIZES = {
  phone: { width: 360, height: 740 },
  tablet: { width: 820, height: 1180 },
  desk: { width: 1440, height: 900 },
};

let browser;
let cluster;
let load;

before(async () => {
  browser = await launch();
  cluster = await startCluster(3);
  for (const [key, value] of Object.entries({
    "config/feature-flags": '{\n  "dark": true,\n  "limit": 250\n}\n',
    "config/greeting": "hello",
    "jobs/42/state": "done",
    "jobs/43/state": "running",
    "locks/deploy": "n1",
  })) await put(cluster.leader.url, key, value);
  await put(cluster.leader.url, "assets/logo", new Uint8Array([0, 137, 80, 78, 71, 255, 254]));
  load = setInterval(() => {
    const url = cluster.leader.url;
    for (let at = 0; at < 5; at += 1) put(url, `jobs/${at}/state`, `${Date.now()}`).catch(() => {});
    fetch(`${url}/key/config%2Fgreeting`).catch(() => {});
  }, 200);
});

after(async () => {
  clearInterval(load);
  await browser.close();
  await cluster.stop();
});

/** Opens a page of each size and scheme, and looks at them once `ready` says so. */
async function look(name, url, ready) {
  const pages = [];
  for (const [size, viewport] of Object.entries(SIZES)) {
    for (const colorScheme of ["light", "dark"]) {
      pages.push({ what: `${name}-${size}-${colorScheme}`, page: await open(browser, url, { viewport, colorScheme }) });
    }
  }
  for (const { what, page } of pages) {
    await ready(page);
    await picture(page, what);
    await assertFits(page, what);
    await assertAccessible(page, what);
    assert.deepEqual(page.faults, [], what);
    await page.context().close();
  }
}

test("a cluster that is well", async () => {
  await look("healthy", cluster.followers[0].url, async (page) => {
    await verdict(page, "Healthy");
    await openKey(page, "config/feature-flags");
    // Charts are of a few seconds.
    await eventually("there is something to see", () => page.evaluate(() =>
      document.querySelector(".chart .line").getAttribute("d").split("L").length > 6));
  });
});

test("bytes, and a key that is to be deleted", async () => {
  const page = await open(browser, cluster.leader.url, { viewport: SIZES.phone });
  await page.locator("#key-rows tr").first().waitFor();
  await openKey(page, "assets/logo");
  await page.locator("#bytes", { hasText: "00 89 50 4e 47 ff fe" }).waitFor();
  await picture(page, "bytes-phone");
  await assertFits(page, "bytes");
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").waitFor();
  await picture(page, "delete-phone");
  await assertAccessible(page, "the dialog");
});

test("a node that is down", async () => {
  const [seen, killed] = cluster.followers;
  const page = await open(browser, seen.url);
  await verdict(page, "Healthy");
  const paused = await open(browser, seen.url);
  await verdict(paused, "Healthy");
  await paused.getByRole("button", { name: "Pause" }).click();
  kill(killed);
  await verdict(page, "Degraded");
  await page.locator("#events li", { hasText: `${killed.name} does not answer any more` }).waitFor();
  await page.locator("#problems li", { hasText: `${killed.name} does not answer: ` }).waitFor();
  // Whoever wants to read in peace misses nothing.
  assert.equal(await paused.locator("#health-title").textContent(), "Healthy");
  await paused.getByRole("button", { name: "Pause" }).click();
  await verdict(paused, "Degraded");
  await paused.locator("#events li", { hasText: `${killed.name} does not answer any more` }).waitFor();
  await look("degraded", seen.url, async (page) => {
    await verdict(page, "Degraded");
    await page.locator("#key-rows tr").first().waitFor();
  });
});

test("a majority that is gone, and the last node with it", async () => {
  const [seen] = cluster.followers;
  const page = await open(browser, seen.url);
  await verdict(page, "Degraded");
  kill(cluster.leader);
  await verdict(page, "No leader");
  await page.locator("#events li", { hasText: "There is no leader any more" }).waitFor();
  await look("no-leader", seen.url, async (page) => {
    await verdict(page, "No leader");
    await page.locator("#keys-said", { hasText: "No leader" }).waitFor();
    await page.getByLabel("From this node's own copy").check();
    await page.locator("#key-rows tr").first().waitFor();
  });
  kill(seen);
  await verdict(page, "Connection lost");
  await picture(page, "lost-desk-light");
  await assertAccessible(page, "a connection that is lost");
});
