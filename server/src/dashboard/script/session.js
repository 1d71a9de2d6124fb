
// Talking to the node that this page came from: requests, the token, and the stream of how the cluster stands.

const TOKEN = "quorate-token";

/** Longer than a request may take at the node, so that its own word comes first. */
const REQUEST_MS = 15_000;

/** An event comes every second; after so long without one the connection is dead, whatever the system says of it. */
const SILENCE_MS = 6_000;

/** How long is waited before the stream is asked for again, after one failure, two, and so on. */
const PAUSES_MS = [500, 1_000, 2_000, 5_000, 10_000];

const token = {
  /** Where the browser keeps nothing it is kept in memory. */
  inMemory: "",
  read() {
    try {
      return sessionStorage.getItem(TOKEN) ?? this.inMemory;
    } catch {
      return this.inMemory;
    }
  },
  write(text) {
    this.inMemory = text;
    try {
      if (text) sessionStorage.setItem(TOKEN, text);
      else sessionStorage.removeItem(TOKEN);
    } catch {
      // It is in memory.
    }
  },
};

/** What a node said instead of what it was asked for; without a status, nobody said anything. */
class Refusal extends Error {
  constructor(text, { status = 0, code = "" } = {}) {
    super(text);
    this.status = status;
    this.code = code;
  }

  /** Whether a write may have been done. */
  get isUncertain() {
    return this.status === 0 || this.code === "outcome_unknown";
  }
}

function headersOf(more) {
  const shown = token.read();
  return shown ? { ...more, Authorization: `Bearer ${shown}` } : more;
}

async function refusalOf(answer) {
  const said = await answer.json().catch(() => ({}));
  const text = said.error ?? `the answer is ${answer.status}`;
  return new Refusal(text, { status: answer.status, code: said.code ?? "" });
}

/** Sends a request, and gives its answer as JSON. */
async function ask(path, { method = "GET", headers = {}, body } = {}) {
  let answer;
  try {
    const signal = AbortSignal.timeout(REQUEST_MS);
    answer = await fetch(path, { method, headers: headersOf(headers), body, signal, cache: "no-store" });
  } catch {
    throw new Refusal("this node did not answer");
  }
  if (!answer.ok) throw await refusalOf(answer);
  return answer.json().catch(() => {
    throw new Refusal("the answer broke off");
  });
}

/** The events of a stream, as they come: what stands after `data:` of each. */
async function* eventsOf(answer, heard) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard();
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data: "));
      if (data) yield JSON.parse(data.slice(6));
    }
  }
}

/** Reads the stream to its end. It is given up when `abort` is, or when it is silent for too long. */
async function readStream(abort, onOverview) {
  let silence;
  const heard = () => {
    clearTimeout(silence);
    silence = setTimeout(() => abort.abort(), SILENCE_MS);
  };
  heard();
  try {
    const headers = headersOf({ Accept: "text/event-stream" });
    const answer = await fetch("/raft/status", { headers, signal: abort.signal, cache: "no-store" });
    if (!answer.ok) throw await refusalOf(answer);
    for await (const overview of eventsOf(answer, heard)) onOverview(overview);
    throw new Refusal("this node ended the stream");
  } finally {
    clearTimeout(silence);
  }
}

/**
 * Follows how the cluster stands, for ever: `onOverview` is given each event, `onTrouble` why there are none and when
 * it is tried again. `restart()` tries at once, with the token there is then. A token that is refused is not tried
 * again: the node would count that as guessing. `rest()` lets go of the stream until `goOn()`.
 */
function follow(onOverview, onTrouble) {
  let abort = new AbortController();
  let isRestarted = false;
  let isResting = false;
  let wake = () => {};
  let rouse = () => {};
  const pause = (ms) => new Promise((resolve) => {
    wake = resolve;
    if (ms !== null) setTimeout(resolve, ms);
  });
  const run = async () => {
    for (let failures = 0; ; failures += 1) {
      if (isResting) await new Promise((resolve) => { rouse = resolve; });
      const began = Date.now();
      abort = new AbortController();
      isRestarted = false;
      const trouble = await readStream(abort, onOverview).catch((error) => error);
      if (isRestarted || Date.now() - began > 2 * SILENCE_MS) failures = 0;
      if (isRestarted) continue;
      const refusal = trouble instanceof Refusal ? trouble : new Refusal("the connection broke");
      const ms = refusal.status === 401 ? null : PAUSES_MS[Math.min(failures, PAUSES_MS.length - 1)];
      onTrouble(refusal, ms);
      await pause(ms);
    }
  };
  run();
  return {
    restart() {
      isRestarted = true;
      abort.abort();
      wake();
    },
    rest() {
      isResting = true;
      isRestarted = true;
      abort.abort();
    },
    goOn() {
      isResting = false;
      rouse();
    },
  };
}
