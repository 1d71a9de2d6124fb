
// What is done when.

/** The sign beside the verdict: nothing is said by colour alone. */
const SIGNS = {
  good: "M5 13 L10 18 L20 6",
  warn: "M12 3 L22 21 L2 21 Z M12 10 L12 15 M12 18 L12 18.1",
  bad: "M5 5 L19 19 M19 5 L5 19",
  unknown: "M12 2 A10 10 0 1 0 12.01 2 M12 7 L12 13 L16 15",
};

/** `overview` is what was told last, `shown` what was shown last: another one while the page is paused. */
const page = { overview: null, shown: null, isPaused: false, turns: 0, retry: 0, told: "", wantsKeys: true };

/** After so long in the background the page lets go of its stream: each takes one of the node's places for watches. */
const HIDDEN_MS = 5_000;

const wantsStillness = matchMedia("(prefers-reduced-motion: reduce)");

function showVerdict({ level, title, summary, problems }) {
  setAttribute(byId("health"), "data-level", level);
  setAttribute(byId("sign"), "d", SIGNS[level]);
  setText(byId("health-title"), title);
  setText(byId("health-summary"), summary);
  const told = JSON.stringify(problems);
  if (told === page.told) return;
  page.told = told;
  const items = problems.map(({ what, todo }) => make("li", {}, make("strong", {}, what), todo));
  byId("problems").replaceChildren(...items);
}

function showLink(level, text) {
  setAttribute(byId("link"), "data-level", level);
  setText(byId("link"), text);
}

function showFacts({ node, nodes }) {
  const own = nodes.find((other) => other.id === node);
  const { status, condition } = own;
  if (!status) return;
  const facts = [
    `Cluster ${status.cluster.slice(0, 8)} as ${nameOf(own)} sees it`, `revision ${count(status.revision)}`,
    plural(condition?.keys ?? 0, "key", "keys"),
  ];
  setText(byId("facts"), facts.join(" · "));
  showTitle();
}

/** Says in the tab what the page says. */
function showTitle() {
  document.title = `${byId("health-title").textContent} – Quorate`;
}

const isOutdated = () => document.body.classList.contains("stale");

function showLiveness() {
  if (page.isPaused) showLink("unknown", "Paused");
  else if (isOutdated()) showLink("bad", "Not live");
  else showLink("good", "Live");
}

/** Shows the newest overview, when there is somebody to see it. */
function render() {
  if (!page.overview || page.isPaused || document.hidden) return;
  const draws = !wantsStillness.matches || page.turns % 5 === 1;
  showVerdict(judge(page.overview));
  showNodes(page.overview, draws);
  showQuorum(page.overview);
  showFacts(page.overview);
}

function takeOverview(overview) {
  const before = page.overview;
  const now = new Date();
  const missed = before ? Math.round((now - page.at) / 1000) - 1 : 0;
  overview.nodes.sort((one, other) => byName.compare(nameOf(one), nameOf(other)));
  Object.assign(page, { overview, at: now });
  page.turns += 1;
  clearInterval(page.retry);
  document.body.classList.remove("stale");
  showLiveness();
  noteNodes(overview, missed);
  if (!before) showToken(false);
  if (!page.isPaused) {
    if (page.shown) showChanges(changesOf(page.shown, overview));
    page.shown = overview;
  }
  render();
  // Keys that could not be read without a leader are there with the next one.
  const hasNewLeader = !keys.shown && before && !leaderOf(before.nodes) && leaderOf(overview.nodes);
  if (page.wantsKeys || hasNewLeader) showKeys();
  page.wantsKeys = false;
}

/** There is nothing to show: why, and what can be done. It is tried again in `ms`, if at all. */
function takeTrouble(refusal, ms) {
  document.body.classList.add("stale");
  showLink("bad", "Not live");
  const verdict = verdictOf(refusal);
  const until = Date.now() + ms;
  const tick = () => {
    const left = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    const again = left > 0 ? `Trying again in ${left} s.` : "Trying again.";
    showVerdict({ ...verdict, summary: `${verdict.summary} ${again}` });
  };
  clearInterval(page.retry);
  if (ms === null) showVerdict(verdict);
  else {
    tick();
    page.retry = setInterval(tick, 1000);
  }
  if (byId("announce").textContent !== verdict.title) announce(verdict.title);
  showTitle();
}

function verdictOf(refusal) {
  const problems = [];
  const others = page.overview?.nodes.filter((node) => node.id !== page.overview.node && node.status) ?? [];
  if (refusal.status === 401) {
    openToken(token.read() ? `The token is refused: ${refusal.message}.` : "This node asks for a token.");
    const title = token.read() ? "Token refused" : "Token needed";
    problems.push({ what: "The cluster is shown to those who have a token.", todo: "Give it above." });
    return { level: "warn", title, summary: "Nothing can be shown without one.", problems };
  }
  if (refusal.status === 0) {
    const names = others.map((node) => `${nameOf(node)} at ${visible(node.url ?? node.address)}`).join(", ");
    const look = "See whether its process runs, and what its log says.";
    const todo = names ? `Others may still serve: open ${names}.` : look;
    const old = `What is below is of ${page.overview ? clock.format(page.at) : ""}, when this node was last heard.`;
    problems.push({ what: page.overview ? old : "Nothing was heard of it yet.", todo });
    return { level: "bad", title: "Connection lost", summary: "This node does not answer.", problems };
  }
  if (refusal.code === "no_leader") {
    return { level: "warn", title: "Not serving yet", summary: `${upper(refusal.message)}.`, problems };
  }
  return { level: "bad", title: "Nothing to show", summary: `${upper(refusal.message)}.`, problems };
}

const upper = (text) => text[0].toUpperCase() + text.slice(1);

function showToken(isShown) {
  show(byId("token"), isShown);
  setAttribute(byId("token-open"), "aria-expanded", String(isShown));
}

function openToken(said) {
  const isNews = byId("token-said").textContent !== said;
  setText(byId("token-said"), said);
  if (!isNews) return;
  showToken(true);
  announce(said);
}

function beginToken(stream) {
  const use = (text) => {
    token.write(text);
    entry.readOnly = "";
    page.wantsKeys = true;
    setText(byId("token-said"), "");
    showRights();
    showToken(false);
    stream.restart();
  };
  byId("token").addEventListener("submit", (event) => {
    event.preventDefault();
    use(byId("token-text").value.trim());
    byId("token-text").value = "";
  });
  byId("token-forget").addEventListener("click", () => use(""));
  byId("token-open").addEventListener("click", () => {
    showToken(byId("token").hidden);
    if (!byId("token").hidden) byId("token-text").focus();
  });
}

function beginPause() {
  byId("pause").addEventListener("click", () => {
    page.isPaused = !page.isPaused;
    setAttribute(byId("pause"), "aria-pressed", String(page.isPaused));
    showLiveness();
    render();
  });
}

/** Whoever has many tabs looks at one of them. */
function beginRest(stream) {
  let timer;
  const rest = () => {
    stream.rest();
    // The tab can still be seen, and what it says is not kept up to date any more.
    document.title = "Quorate";
    if (isOutdated()) return;
    document.body.classList.add("stale");
    showLink("unknown", "Resting");
  };
  const look = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(rest, HIDDEN_MS);
    else {
      stream.goOn();
      showTitle();
      render();
    }
  };
  document.addEventListener("visibilitychange", look);
  look();
}

beginKeys();
beginEntry();
beginPause();
const stream = follow(takeOverview, takeTrouble);
beginToken(stream);
beginRest(stream);
