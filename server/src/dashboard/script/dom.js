
// Finding, making and changing elements. Text is only ever put in as text, whatever a key or a value holds.

const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);

/** An element with attributes and content: elements, and strings, which become text. */
function make(name, attributes = {}, ...content) {
  const element = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...content);
  return element;
}

function makeSvg(name, attributes = {}, ...content) {
  const element = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) element.setAttribute(attribute, value);
  element.append(...content);
  return element;
}

/** Sets a text that may be the same as before: then nothing happens, and what somebody has selected stays selected. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function show(element, isShown) {
  element.hidden = !isShown;
}

/** A message below what it is about. Without a text it goes. */
function say(element, level, text) {
  show(element, Boolean(text));
  setAttribute(element, "data-level", level);
  setText(element, text ?? "");
  if (text) announce(text);
}

/** Has a screen reader say something when it has finished what it says now. */
function announce(text) {
  setText(byId("announce"), text);
}

/** A link to another node, when its URL is one that a browser may be sent to. */
function linkTo(url, text) {
  const isPlain = /^https?:[/][/][^/]+[/]?$/.test(url ?? "");
  return isPlain ? make("a", { href: url, rel: "noreferrer" }, text) : document.createTextNode(text);
}
