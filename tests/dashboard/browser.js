// Chromium, and what every test wants of a page.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const place = process.env.DASHBOARD_PLACE;
const require = createRequire(join(place, "node_modules/"));
const { chromium } = require("playwright-core");
const axe = require.resolve("axe-core/axe.min.js");

/** Longer than anything here may take, on a machine that has other things to do. */
const PATIENCE_MS = 90_000;

/** Chromium as Debian has it. */
export function launch(...args) {
  return chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--disable-gpu", ...args] });
}

/**
 * Opens the dashboard. `page.faults` has whatever went wrong in it that nobody asked for: errors of the script, and
 * what the policy refused.
 */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(error.message));
  page.on("console", (message) => {
    // A request that is refused or fails is a line of the browser's own.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
      page.faults.push(message.text());
    }
  });
  await page.goto(url);
  return page;
}

/** Waits until the verdict is this. */
export async function verdict(page, title) {
  await page.locator("#health-title", { hasText: title }).waitFor();
}

/** Opens a key of the list. */
export async function openKey(page, key) {
  await page.locator("#key-rows").getByRole("button", { name: key, exact: true }).click();
  await page.locator("#entry-title", { hasText: key }).waitFor();
}

/** Nothing that axe finds is serious. */
export async function assertAccessible(page, what) {
  // The policy of the page forbids scripts of others; this one comes past it.
  const session = await page.context().newCDPSession(page);
  await session.send("Page.setBypassCSP", { enabled: true });
  await page.evaluate(readFileSync(axe, "utf8"));
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const found = violations.map(({ id, help, nodes }) => ({ id, help, at: nodes.map((node) => node.html) }));
  assert.deepEqual(found, [], what);
}

/** Nothing has to be scrolled sideways. */
export async function assertFits(page, what) {
  const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.ok(wide <= seen, `${what}: ${wide} pixels of ${seen}`);
}

/** A picture of the whole page, to be looked at. */
export async function picture(page, name) {
  await page.screenshot({ path: join(place, `${name}.png`), fullPage: true });
}
