
// One key: read, changed, created, deleted. A change is compared with the revision that was looked at, so that nobody's
// change is overwritten unseen; and it has an idempotency key, so that it is done once, however often it is sent.

/** A value that is larger is shown in part, and not edited here. */
const MOST_EDITED = 256 * 1024;

/** So much is shown of what is not edited. */
const MOST_SHOWN = 4096;

/**
 * What is open. `revision` is that at which the key was last written, 0 when it is not there; `unsure` a change of
 * which nobody knows what became; `readOnly` why nothing may be changed, if that is so.
 */
const entry = { key: null, revision: 0, lines: "\n", text: null, opener: null, unsure: null, readOnly: "" };

/** Reads one key with a list of one: a path can't say `.` or `..`, which are keys, too. */
async function readEntry(key) {
  const query = new URLSearchParams({ start: key, end: `${key}\u0000`, limit: 1 });
  if (isStale()) query.set("consistency", "stale");
  const list = await ask(`/keys?${query}`);
  return list.keys[0] ?? null;
}

async function openEntry(key, opener = entry.opener) {
  try {
    const found = await readEntry(key);
    entry.opener = opener;
    if (found) showEntry(found);
    else say(byId("keys-said"), "warn", `The key ${visible(key)} is not there any more.`);
  } catch (refusal) {
    saidOfKeys(refusal);
  }
}

function showEntry({ key, value, mod_revision, create_revision, version }) {
  const octets = fromBase64(value);
  Object.assign(entry, { key, revision: mod_revision, unsure: null, ...editableOf(octets) });
  setText(byId("entry-title"), visible(key));
  const about = [
    bytes(octets.length), `version ${count(version)}`, `written at revision ${count(mod_revision)}`,
    `created at ${count(create_revision)}`,
  ];
  setText(byId("meta"), about.join(", "));
  const isEditable = entry.text !== null;
  byId("value").value = entry.text ?? "";
  showBytes(byId("bytes"), octets);
  openPanel({ isNew: false, isEditable });
  say(byId("entry-said"), "unknown", isEditable ? "" : whyNotEdited(octets));
}

/** The text of a value that a text field gives back as it was, and how its lines end. */
function editableOf(octets) {
  const text = octets.length <= MOST_EDITED ? textOf(octets) : null;
  if (text === null) return { text: null, lines: "\n" };
  if (!text.includes("\r")) return { text, lines: "\n" };
  const inner = text.replaceAll("\r\n", "");
  const isDos = !inner.includes("\r") && !inner.includes("\n");
  return isDos ? { text: text.replaceAll("\r\n", "\n"), lines: "\r\n" } : { text: null, lines: "\n" };
}

function whyNotEdited(octets) {
  if (octets.length > MOST_EDITED) return `Larger than ${bytes(MOST_EDITED)}: change it with quorate put.`;
  if (textOf(octets) === null) return "Not text in UTF-8, so shown as bytes: change it with quorate put.";
  return "Its line ends are of several kinds, and a text field would change them: change it with quorate put.";
}

function showBytes(place, octets) {
  const text = textOf(octets);
  setText(place, text === null ? hexOf(octets, MOST_SHOWN) : text.slice(0, MOST_SHOWN));
  place.classList.toggle("hex", text === null);
}

function openPanel({ isNew, isEditable }) {
  show(byId("entry"), true);
  show(byId("key-field"), isNew);
  show(byId("meta"), !isNew);
  show(byId("text-field"), isEditable);
  show(byId("bytes-field"), !isEditable);
  show(byId("theirs-field"), false);
  show(byId("ttl-field"), isEditable);
  show(byId("save"), isEditable);
  show(byId("delete"), !isNew);
  byId("ttl").value = "";
  setText(byId("save"), isNew ? "Create" : "Save");
  showRights();
  markOpen();
  byId("entry").scrollIntoView({ block: "nearest" });
  (isNew ? byId("key") : byId("entry-title")).focus();
}

/** What the token may not do is said, and what would do it is there, and can't be used. */
function showRights() {
  for (const id of ["save", "delete", "create"]) byId(id).disabled = entry.readOnly !== "";
  byId("value").readOnly = entry.readOnly !== "";
  if (entry.readOnly) say(byId("entry-said"), "warn", `Read only: ${entry.readOnly}.`);
}

function createEntry() {
  Object.assign(entry, { key: "", revision: 0, text: "", lines: "\n", unsure: null, opener: byId("create") });
  setText(byId("entry-title"), "New key");
  byId("key").value = byId("prefix").value;
  byId("value").value = "";
  say(byId("entry-said"), "unknown", "");
  openPanel({ isNew: true, isEditable: true });
}

function closeEntry() {
  entry.key = null;
  show(byId("entry"), false);
  markOpen();
  const opener = entry.opener?.isConnected ? entry.opener : byId("prefix");
  opener.focus();
}

/** Sends a change that holds only for the revision that was looked at. */
async function change(operation) {
  const key = entry.key;
  const compare = [{ key, target: "mod_revision", op: "=", value: entry.revision }];
  const body = JSON.stringify({ compare, success: [operation], failure: [{ get: { key } }] });
  // The same change again, of which nobody knew what became, is the same request: it is done once.
  const idempotency = entry.unsure?.body === body ? entry.unsure.idempotency : randomKey();
  entry.unsure = { body, idempotency };
  const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotency };
  const done = await ask("/txn", { method: "POST", headers, body });
  entry.unsure = null;
  return done;
}

function randomKey() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  return [...random].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}

async function save() {
  if (!byId("key-field").hidden && byId("key").value !== entry.key) {
    Object.assign(entry, { key: byId("key").value, revision: 0 });
  }
  if (!entry.key) {
    say(byId("entry-said"), "warn", "A key has at least one character.");
    byId("key").focus();
    return;
  }
  const text = byId("value").value.replaceAll("\n", entry.lines);
  const put = { key: entry.key, value: toBase64(new TextEncoder().encode(text)) };
  const ttl = byId("ttl").value.trim();
  if (ttl) put.ttl = ttl;
  await working("save", async () => {
    const done = await change({ put });
    if (!done.succeeded) return showConflict(done.results[0].get);
    await openEntry(entry.key);
    say(byId("entry-said"), "good", `Saved at revision ${count(done.revision)}.`);
    return showKeys();
  });
}

async function remove() {
  await working("delete", async () => {
    const done = await change({ delete: { key: entry.key } });
    if (!done.succeeded) return showConflict(done.results[0].get);
    const gone = visible(entry.key);
    closeEntry();
    await showKeys();
    return say(byId("keys-said"), "good", `Deleted ${gone} at revision ${count(done.revision)}.`);
  });
}

/** Does something with its button out of use meanwhile, and says what went wrong. */
async function working(button, work) {
  byId(button).disabled = true;
  try {
    await work();
  } catch (refusal) {
    saidOfChange(refusal);
  } finally {
    byId(button).disabled = entry.readOnly !== "";
  }
}

function saidOfChange(refusal) {
  const place = byId("entry-said");
  if (refusal.isUncertain) {
    say(place, "warn", "Nobody knows whether this was done: the answer was lost. Do the same again; it is done once.");
  } else if (refusal.status === 401) {
    say(place, "warn", "Not done: this needs a token.");
    openToken("This node asks for a token.");
  } else if (refusal.status === 403 && entry.revision > 0) {
    // The key could be read, so it is the change that is not allowed.
    entry.readOnly = refusal.message;
    showRights();
  } else {
    say(place, "bad", `Not done: ${refusal.message}.`);
  }
}

/** Somebody else was quicker. Nothing was done, and what they wrote is shown. */
function showConflict(theirs) {
  const was = entry.revision;
  entry.theirs = theirs;
  entry.revision = theirs?.mod_revision ?? 0;
  if (!theirs) {
    say(byId("entry-said"), "warn", "Nothing was changed: somebody has deleted this key. Saving now writes it anew.");
    return;
  }
  const what = was === 0 ? "this key is there already" : `somebody has changed it since revision ${count(was)}`;
  say(byId("entry-said"), "warn", `Nothing was changed: ${what}. Below is what it is now, of revision `
    + `${count(theirs.mod_revision)}. Doing the same again replaces that.`);
  showBytes(byId("theirs"), fromBase64(theirs.value));
  show(byId("theirs-field"), true);
}

function beginEntry() {
  byId("create").addEventListener("click", createEntry);
  byId("close").addEventListener("click", closeEntry);
  byId("edit").addEventListener("submit", (event) => {
    event.preventDefault();
    save();
  });
  byId("delete").addEventListener("click", () => {
    setText(byId("confirm-key"), visible(entry.key));
    byId("confirm").showModal();
    byId("confirm-no").focus();
  });
  byId("confirm-no").addEventListener("click", () => byId("confirm").close());
  byId("confirm-yes").addEventListener("click", () => {
    byId("confirm").close();
    remove();
  });
  byId("take-theirs").addEventListener("click", () => showEntry(entry.theirs));
}
