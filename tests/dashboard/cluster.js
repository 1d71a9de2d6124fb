// Real clusters, of the binary that was built, on ports that the system chose.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const PROGRAM = process.env.QUORATE;

/** Longer than anything here may take. */
const PATIENCE_MS = 90_000;

/** Looks again and again until `look` gives something. */
export async function eventually(what, look) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await Promise.resolve().then(look).catch(() => undefined);
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`it should happen soon: ${what}`);
    await pause(20);
  }
}

/** A cluster of `quorate dev`, whose nodes stay dead when they are killed. */
export async function startCluster(size) {
  const child = spawn(PROGRAM, ["dev", "--nodes", `${size}`, "--port", "0", "--no-restart"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const nodes = [];
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) {
    const found = /^node (\d+) +(http:[^ ]+) +pid (\d+) +(leader|follower)/.exec(line);
    if (found) nodes.push({ name: `node-${found[1]}`, url: found[2], pid: Number(found[3]), role: found[4] });
    if (nodes.length === size) break;
  }
  // What it says later must not fill the pipe.
  child.stdout.resume();
  return {
    nodes,
    leader: nodes.find((node) => node.role === "leader"),
    followers: nodes.filter((node) => node.role === "follower"),
    stop: () => end(child),
  };
}

/** Kills a node as a power cut does. */
export function kill({ pid }) {
  process.kill(pid, "SIGKILL");
}

/** A node alone that asks for tokens, and a token of each role. */
export async function startGuarded() {
  const folder = mkdtempSync(join(tmpdir(), "quorate-dashboard-"));
  const file = join(folder, "tokens.toml");
  const made = (role) => {
    const flags = ["token", "new", "--name", role, "--role", role, "--file", file, "-o", "json"];
    return JSON.parse(execFileSync(PROGRAM, flags, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })).token;
  };
  const tokens = { read: made("read"), write: made("write") };
  const port = await freePort();
  const flags = ["serve", "--bootstrap", "--data-dir", join(folder, "data"), "--listen", `127.0.0.1:${port}`];
  const child = spawn(PROGRAM, [...flags, "--tokens", file], { stdio: "ignore" });
  const url = `http://127.0.0.1:${port}`;
  await eventually("the node serves", async () => (await fetch(`${url}/readyz`)).ok);
  const stop = async () => {
    await end(child);
    rmSync(folder, { recursive: true });
  };
  return { url, tokens, stop };
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function end(child) {
  const ended = new Promise((resolve) => child.once("exit", resolve));
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGINT");
  await ended;
}

/** Writes a key past the dashboard. */
export async function put(url, key, value, headers = {}) {
  const answer = await fetch(`${url}/key/${encodeURIComponent(key)}`, { method: "PUT", body: value, headers });
  if (!answer.ok) throw new Error(`PUT ${key}: ${answer.status} ${await answer.text()}`);
}

/** Reads a key past the dashboard; null when it is not there. */
export async function get(url, key, headers = {}) {
  const answer = await fetch(`${url}/key/${encodeURIComponent(key)}`, { headers });
  return answer.ok ? Buffer.from(await answer.arrayBuffer()) : null;
}
