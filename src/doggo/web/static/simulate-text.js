// A message's text as DOM nodes: entities become elements, and nothing is ever parsed as HTML.
"use strict";

export function element(name, options = {}, ...children) {
  const { className, text, on = {}, ...attributes } = options;
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  for (const [event, listener] of Object.entries(on)) made.addEventListener(event, listener);
  made.append(...children);
  return made;
}

const SVG = "http://www.w3.org/2000/svg";

export function icon(name) {
  const drawn = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  drawn.setAttribute("viewBox", "0 0 24 24");
  drawn.setAttribute("class", "icon");
  drawn.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `/static/simulate.svg#${name}`);
  drawn.append(use);
  return drawn;
}

const TAGS = {
  bold: "b", italic: "i", underline: "u", strikethrough: "s", code: "code", pre: "pre",
  blockquote: "blockquote", expandable_blockquote: "blockquote",
};
const SAFE_LINK = /^(https?|mailto|tel|tg):/i;

// Offsets of entities count UTF-16 units, as strings do here.
export function formatted(text, entities, onCommand) {
  const sorted = [...(entities ?? [])].sort((a, b) => a.offset - b.offset || b.length - a.length);
  return nodes(text, 0, text.length, sorted, onCommand);
}

function nodes(text, start, end, entities, onCommand) {
  const found = [];
  let place = start;
  let next = 0;
  while (next < entities.length) {
    const entity = entities[next];
    next += 1;
    const from = Math.max(entity.offset, place);
    const to = Math.min(entity.offset + entity.length, end);
    if (to <= from) continue;
    const inner = [];
    while (next < entities.length && entities[next].offset < to) inner.push(entities[next++]);
    if (from > place) found.push(text.slice(place, from));
    const made = wrapped(entity, text.slice(from, to), onCommand);
    made.append(...nodes(text, from, to, inner, onCommand));
    found.push(made);
    place = to;
  }
  if (place < end) found.push(text.slice(place, end));
  return found;
}

function wrapped(entity, words, onCommand) {
  if (entity.type in TAGS) return element(TAGS[entity.type]);
  if (entity.type === "spoiler") {
    return element("span", {
      className: "spoiler", tabindex: "0", role: "button", "aria-label": "Hidden text",
      on: { click: reveal, keydown: (event) => event.key === "Enter" && reveal(event) },
    });
  }
  if (entity.type === "bot_command") {
    return element("button", { className: "command", type: "button", on: { click: () => onCommand(words) } });
  }
  const url = entity.type === "text_link" ? entity.url : words;
  if (["text_link", "url"].includes(entity.type) && SAFE_LINK.test(url)) {
    return element("a", { href: url, target: "_blank", rel: "noopener noreferrer" });
  }
  return element("span", { className: entity.type === "mention" ? "mention" : "" });
}

function reveal(event) {
  event.currentTarget.classList.add("revealed");
  event.currentTarget.removeAttribute("aria-label");
}
