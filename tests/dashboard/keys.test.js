// Keys in the dashboard: found, read, created, changed and deleted, by hand and by keyboard, with others at it too.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch, open, openKey, picture, verdict } from "./browser.js";
import { eventually, get, put, startCluster } from "./cluster.js";

let browser;
let url;
let stop;

before(async () => {
  browser = await launch();
  const cluster = await startCluster(1);
  ({ stop } = cluster);
  ({ url } = cluster.leader);
});

after(async () => {
  await browser.close();
  await stop();
});

const saved = (page) => page.locator("#entry-said", { hasText: "Saved at revision" }).waitFor();

async function show(page, prefix) {
  await page.getByLabel("Keys that begin with").fill(prefix);
  await page.getByRole("button", { name: "Show" }).click();
}

/** Opens a page that shows the keys of one test. */
async function openAt(prefix) {
  const page = await open(browser, url);
  await verdict(page, "Healthy");
  await show(page, prefix);
  await page.locator("#key-rows tr").first().waitFor();
  return page;
}

async function text(key) {
  return (await get(url, key))?.toString();
}

test("a key is created, changed and deleted", async () => {
  const page = await open(browser, url);
  await verdict(page, "Healthy");
  await page.getByRole("button", { name: "New key" }).click();
  await page.getByLabel("Key", { exact: true }).fill("made/here");
  await page.getByLabel("Value").fill("one\ntwo é");
  await page.getByRole("button", { name: "Create" }).click();
  await saved(page);
  assert.equal(await text("made/here"), "one\ntwo é");

  await page.getByLabel("Value").fill("three");
  await page.getByRole("button", { name: "Save" }).click();
  await eventually("it is changed", async () => (await text("made/here")) === "three");
  await saved(page);

  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Keep it" }).click();
  assert.equal(await text("made/here"), "three");
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.locator("#keys-said", { hasText: "Deleted made/here" }).waitFor();
  assert.equal(await text("made/here"), undefined);
  assert.deepEqual(page.faults, []);
});

test("what a colleague wrote meanwhile is not overwritten unseen", async () => {
  await put(url, "shared/a", "first");
  const page = await openAt("shared/");
  await openKey(page, "shared/a");
  await put(url, "shared/a", "theirs");
  await page.getByLabel("Value").fill("mine");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#entry-said", { hasText: "Nothing was changed" }).waitFor();
  await page.locator("#theirs", { hasText: "theirs" }).waitFor();
  await picture(page, "conflict-desk-light");
  assert.equal(await text("shared/a"), "theirs");
  assert.equal(await page.getByLabel("Value").inputValue(), "mine");

  // Seen now, it may be replaced.
  await page.getByRole("button", { name: "Save" }).click();
  await saved(page);
  assert.equal(await text("shared/a"), "mine");

  // Nor is it deleted unseen, nor made where it is already.
  await put(url, "shared/a", "again");
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.locator("#entry-said", { hasText: "Nothing was changed" }).waitFor();
  await page.getByRole("button", { name: "New key" }).click();
  await page.getByLabel("Key", { exact: true }).fill("shared/a");
  await page.getByRole("button", { name: "Create" }).click();
  await page.locator("#entry-said", { hasText: "this key is there already" }).waitFor();
  assert.equal(await text("shared/a"), "again");
  await page.getByLabel("Key", { exact: true }).fill("shared/b");
  await page.getByRole("button", { name: "Create" }).click();
  await saved(page);
  assert.deepEqual([await text("shared/a"), await text("shared/b")], ["again", ""]);
});

test("a change whose answer is lost is done once when it is sent again", async () => {
  await put(url, "lost/a", "0");
  const page = await openAt("lost/");
  await openKey(page, "lost/a");
  await page.route("**/txn", async (route) => {
    await route.fetch();
    await route.abort();
  }, { times: 1 });
  await page.getByLabel("Value").fill("1");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#entry-said", { hasText: "Nobody knows" }).waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await saved(page);
  await page.locator("#meta", { hasText: "version 2," }).waitFor();
});

test("values are what they were, whatever they are", async () => {
  const dos = "a\r\nb\r\n";
  const cases = { dos, mixed: "a\r\nb\n", bom: "\ufeffx", ".": "dot", "..": "dots", "a%2F b?#": "odd" };
  for (const [key, value] of Object.entries(cases)) {
    // A path can't name the keys `.` and `..`.
    const put = { key, value: Buffer.from(value).toString("base64") };
    const answer = await fetch(`${url}/txn`, { method: "POST", body: JSON.stringify({ success: [{ put }] }) });
    assert.ok(answer.ok, key);
  }
  const page = await openAt("");
  for (const key of ["dos", "bom", ".", "..", "a%2F b?#"]) {
    await openKey(page, key);
    const before = await page.getByLabel("Value").inputValue();
    assert.equal(before.replaceAll("\n", key === "dos" ? "\r\n" : "\n"), cases[key], key);
    await page.getByLabel("Value").fill(`${before}+`);
    await page.getByRole("button", { name: "Save" }).click();
    await saved(page);
  }
  assert.equal(await text("dos"), `${dos}+`);
  assert.equal(await text("bom"), "\ufeffx+");
  const list = await (await fetch(`${url}/keys?start=.&end=/`)).json();
  assert.deepEqual(list.keys.map(({ value }) => atob(value)), ["dot+", "dots+"]);
  await openKey(page, "mixed");
  assert.ok(await page.getByLabel("Value").isHidden(), "a text field would change its line ends");
  await page.locator("#bytes", { hasText: "a" }).waitFor();
});

test("a key may be given an end", async () => {
  await put(url, "ends/a", "1");
  const page = await openAt("ends/");
  await openKey(page, "ends/a");
  await page.getByLabel("Delete it by itself after").fill("soon");
  await page.getByRole("button", { name: "Save" }).click();
  await page.locator("#entry-said", { hasText: "Not done" }).waitFor();
  await page.getByLabel("Delete it by itself after").fill("1s");
  await page.getByRole("button", { name: "Save" }).click();
  await saved(page);
  await eventually("it is gone", async () => (await text("ends/a")) === undefined);
});

test("many keys are a page at a time", async () => {
  const entry = (at) => [btoa(`many/${String(at).padStart(6, "0")}`), btoa("x")];
  for (let from = 0; from < 30_000; from += 10_000) {
    const body = JSON.stringify(Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => entry(from + at))));
    const answer = await fetch(`${url}/data.json`, { method: "POST", body });
    assert.ok(answer.ok, await answer.text());
  }
  const page = await openAt("many/");
  await page.locator("#keys-note", { hasText: "1 to 100," }).waitFor();
  assert.equal(await page.locator("#key-rows tr").count(), 100);
  await page.getByRole("button", { name: "Next page" }).click();
  await page.locator("#keys-note", { hasText: "101 to 200," }).waitFor();
  await page.getByRole("button", { name: "many/000100" }).waitFor();
  await page.getByRole("button", { name: "First page" }).click();
  await page.getByRole("button", { name: "many/000000" }).waitFor();
  await show(page, "many/0299");
  await page.getByRole("button", { name: "many/029999" }).waitFor();
  assert.ok(await page.getByRole("button", { name: "Next page" }).isHidden());
  await show(page, "nothing/");
  await page.locator("#keys-said", { hasText: "No key begins with that" }).waitFor();
});

test("everything can be done by keyboard", async () => {
  const page = await open(browser, url);
  await verdict(page, "Healthy");
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.textContent);
  const tabTo = async (wanted) => {
    for (let presses = 0; presses < 60; presses += 1) {
      await page.keyboard.press("Tab");
      if ((await focused()) === wanted) return;
    }
    assert.fail(`${wanted} can't be reached`);
  };
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the content");
  await page.keyboard.press("Enter");
  await tabTo("prefix");
  await page.keyboard.type("typed/");
  await tabTo("create");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "key");
  await page.keyboard.press("End");
  await page.keyboard.type("a");
  await tabTo("value");
  await page.keyboard.type("by hand");
  await tabTo("save");
  await page.keyboard.press("Enter");
  await saved(page);
  assert.equal(await text("typed/a"), "by hand");
  assert.equal(await focused(), "entry-title");
  await tabTo("delete");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "confirm-no");
  await page.keyboard.press("Escape");
  assert.equal(await focused(), "delete");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Shift+Tab");
  assert.equal(await focused(), "confirm-yes");
  await page.keyboard.press("Enter");
  await page.locator("#keys-said", { hasText: "Deleted typed/a" }).waitFor();
});
