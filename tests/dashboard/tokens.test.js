// The dashboard of a node that asks for tokens.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { assertAccessible, assertFits, launch, open, openKey, picture, verdict } from "./browser.js";
import { get, put, startGuarded } from "./cluster.js";

let browser;
let guarded;

const bearing = (token) => ({ Authorization: `Bearer ${token}` });

before(async () => {
  browser = await launch();
  guarded = await startGuarded();
  await put(guarded.url, "a", "1", bearing(guarded.tokens.write));
});

after(async () => {
  await browser.close();
  await guarded.stop();
});

async function give(page, token) {
  const field = page.getByLabel("Token, as");
  if (await field.isHidden()) await page.getByRole("button", { name: "Token", exact: true }).click();
  await field.fill(token);
  await page.getByRole("button", { name: "Use it" }).click();
}

test("the page asks for a token, and shows nothing without", async () => {
  const page = await open(browser, guarded.url, { viewport: { width: 360, height: 740 } });
  await verdict(page, "Token needed");
  await picture(page, "token-phone");
  await assertFits(page, "the form");
  await assertAccessible(page, "the form");
  await give(page, "q1.wrong");
  await verdict(page, "Token refused");
  await give(page, guarded.tokens.read);
  await verdict(page, "Healthy");
  await openKey(page, "a");

  // It is this tab's alone, for as long as it is open.
  await page.reload();
  await verdict(page, "Healthy");
  const kept = await page.evaluate(() => [document.cookie, localStorage.length, location.href]);
  assert.deepEqual(kept, ["", 0, `${guarded.url}/`]);
  const other = await page.context().newPage();
  await other.goto(guarded.url);
  await verdict(other, "Token needed");

  await page.getByRole("button", { name: "Token", exact: true }).click();
  await page.getByRole("button", { name: "Forget it" }).click();
  await verdict(page, "Token needed");
  assert.deepEqual(page.faults, []);
});

test("who may only read is told so", async () => {
  const page = await open(browser, guarded.url);
  await give(page, guarded.tokens.read);
  await openKey(page, "a");
  await page.getByLabel("Value").fill("2");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#entry-said", { hasText: "Read only: " }).waitFor();
  await picture(page, "read-only-desk-light");
  await assertAccessible(page, "read only");
  for (const name of ["Save", "Delete", "New key"]) {
    assert.ok(await page.getByRole("button", { name }).isDisabled(), name);
  }
  assert.equal((await get(guarded.url, "a", bearing(guarded.tokens.read))).toString(), "1");

  // With another token it is another matter.
  await give(page, guarded.tokens.write);
  await verdict(page, "Healthy");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#entry-said", { hasText: "Saved at revision" }).waitFor();
  assert.equal((await get(guarded.url, "a", bearing(guarded.tokens.read))).toString(), "2");
});
