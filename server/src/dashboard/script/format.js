
// Numbers, times and names as text.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** `node-2` before `node-10`. */
const byName = new Intl.Collator("en", { numeric: true });

const count = (number) => whole.format(number);

const plural = (number, one, many) => `${count(number)} ${number === 1 ? one : many}`;

/** Two digits that count. */
function short(number) {
  if (number === 0) return "0";
  if (number < 0.01) return "<0.01";
  if (number < 1) return number.toFixed(2);
  return number < 10 ? number.toFixed(1) : count(number);
}

function milliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  return ms < 1000 ? `${short(ms)} ms` : `${short(ms / 1000)} s`;
}

function bytes(number) {
  if (number < 1024) return plural(number, "byte", "bytes");
  return number < 1024 * 1024 ? `${short(number / 1024)} KiB` : `${short(number / 1024 / 1024)} MiB`;
}

/** What people call a node: its name, else the beginning of its id. */
function nameOf(node) {
  return node ? visible(node.name ?? node.id.slice(0, 8)) : "an unknown node";
}

/**
 * A text with everything in it to be seen: characters without a shape of their own, and those that turn the direction
 * of writing, could make one key look like another.
 */
function visible(text) {
  const hidden = /(?! )[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}]/gu;
  return text.replace(hidden, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

/** Some of the bytes, as a table of numbers and letters, sixteen a line. */
function hexOf(octets, most) {
  const lines = [];
  for (let start = 0; start < Math.min(octets.length, most); start += 16) {
    const line = [...octets.slice(start, Math.min(start + 16, most))];
    const numbers = line.map((octet) => octet.toString(16).padStart(2, "0")).join(" ");
    const letters = line.map((octet) => (octet > 32 && octet < 127 ? String.fromCharCode(octet) : ".")).join("");
    lines.push(`${start.toString(16).padStart(6, "0")}  ${numbers.padEnd(47)}  ${letters}`);
  }
  if (octets.length > most) lines.push(`and ${bytes(octets.length - most)} more`);
  return lines.join("\n");
}

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

function toBase64(octets) {
  let text = "";
  for (let start = 0; start < octets.length; start += 4096) {
    text += String.fromCharCode(...octets.subarray(start, start + 4096));
  }
  return btoa(text);
}

/** The text that bytes are, every one of them; nothing when they are no UTF-8. */
function textOf(octets) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(octets);
  } catch {
    return null;
  }
}
