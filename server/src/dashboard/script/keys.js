
// The list of keys: a page at a time, so that a million of them are as quick as ten.

const PAGE_KEYS = 100;

const keys = { prefix: "", next: null, page: 0, shown: false, turn: 0 };

const isStale = () => byId("stale").checked;

/** Shows keys that begin with the prefix in the form; `cursor` goes on where a page ended. */
async function showKeys({ cursor = null, page = 0 } = {}) {
  const prefix = cursor === null ? byId("prefix").value : keys.prefix;
  const query = new URLSearchParams({ limit: PAGE_KEYS, values: "false" });
  if (cursor === null) query.set("prefix", prefix);
  else query.set("cursor", cursor);
  if (isStale()) query.set("consistency", "stale");
  const turn = (keys.turn += 1);
  setAttribute(byId("list"), "aria-busy", "true");
  try {
    const list = await ask(`/keys?${query}`);
    // Whoever was slower than a later question is not listened to.
    if (turn !== keys.turn) return;
    Object.assign(keys, { prefix, next: list.more ? list.next : null, page, shown: true });
    showPage(list);
  } catch (refusal) {
    if (turn === keys.turn) saidOfKeys(refusal);
  } finally {
    setAttribute(byId("list"), "aria-busy", "false");
  }
}

function showPage(list) {
  const lines = list.keys.map((entry) => {
    const open = make("button", { type: "button" }, visible(entry.key));
    open.addEventListener("click", () => openEntry(entry.key, open));
    const line = make("tr", {}, make("td", {}, open), make("td", { class: "number" }, count(entry.version)),
      make("td", { class: "number" }, count(entry.mod_revision)));
    line.dataset.key = entry.key;
    return line;
  });
  byId("key-rows").replaceChildren(...lines);
  markOpen();
  show(byId("list"), lines.length > 0);
  show(byId("pages"), keys.page > 0 || keys.next !== null);
  byId("first").disabled = keys.page === 0;
  byId("next").disabled = keys.next === null;
  const from = keys.page * PAGE_KEYS;
  const which = `${count(from + 1)} to ${count(from + lines.length)}`;
  const note = lines.length > 0 ? `${which}, at revision ${count(list.revision)}` : "";
  setText(byId("keys-note"), note);
  if (lines.length > 0) say(byId("keys-said"), "unknown", "");
  else say(byId("keys-said"), "unknown", keys.prefix ? "No key begins with that." : "There are no keys yet.");
}

function markOpen() {
  for (const line of byId("key-rows").children) {
    if (line.dataset.key === entry.key) line.setAttribute("aria-current", "true");
    else line.removeAttribute("aria-current");
  }
}

/** What a refusal means for the list. */
function saidOfKeys(refusal) {
  const place = byId("keys-said");
  if (refusal.status === 401) {
    say(place, "warn", "Keys need a token.");
    openToken("This node asks for a token.");
  } else if (refusal.status === 403) {
    say(place, "warn", `Not allowed: ${refusal.message}.`);
  } else if (refusal.code === "compacted") {
    say(place, "warn", "The revision that this list showed is gone. Begin at the first page again.");
    show(byId("pages"), true);
    byId("first").disabled = false;
    byId("next").disabled = true;
  } else if (refusal.code === "no_leader") {
    say(place, "bad", "No leader, so nobody knows what is newest. Tick the box above to see this node's own copy.");
  } else {
    say(place, "bad", `The keys can't be shown: ${refusal.message}.`);
  }
}

function beginKeys() {
  byId("find").addEventListener("submit", (event) => {
    event.preventDefault();
    showKeys();
  });
  byId("stale").addEventListener("change", () => showKeys());
  byId("next").addEventListener("click", () => showKeys({ cursor: keys.next, page: keys.page + 1 }));
  byId("first").addEventListener("click", () => {
    byId("prefix").value = keys.prefix;
    showKeys();
  });
}
