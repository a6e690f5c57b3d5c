// One message as a bubble: quote, pictures, words, buttons.
"use strict";

import { fileUrl } from "./simulate-api.js";
import { element, formatted } from "./simulate-text.js";

const time = (seconds) =>
  new Date(seconds * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });

const size = (bytes) =>
  bytes === undefined ? "" : bytes < 1e6 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`;

export function brief(message) {
  const words = message.text ?? message.caption;
  if (words) return words;
  for (const kind of ["photo", "animation", "video", "sticker", "voice", "document", "location"]) {
    if (kind in message) return kind.charAt(0).toUpperCase() + kind.slice(1);
  }
  return "Message";
}

// `column` says who reads and what pressing does: see Column in simulate-chat.js.
export function bubble(message, column) {
  const mine = message.from.id === column.userId;
  const made = element("article", {
    className: `message ${mine ? "mine" : "theirs"}`,
    "data-id": message.message_id,
    "aria-label": `${mine ? "You" : message.from.first_name}: ${brief(message)}`,
  });
  const body = element("div", { className: "body" });
  if (!mine && column.isGroup) body.append(element("b", { className: "author", text: message.from.first_name }));
  if (message.via_bot) body.append(element("span", { className: "via", text: `via @${message.via_bot.username}` }));
  if (message.reply_to_message) body.append(quote(message.reply_to_message, column));
  const below = message.show_caption_above_media ? [words(message, column), ...media(message)] : [...media(message), words(message, column)];
  body.append(...below.filter(Boolean), foot(message, column));
  made.append(body);
  if (message.reply_markup) made.append(keyboard(message, column));
  return made;
}

function quote(replied, column) {
  return element("button", {
    className: "quote", type: "button",
    on: { click: () => column.showMessage(replied.message_id) },
  }, element("b", { text: replied.from.first_name }), element("span", { text: brief(replied) }));
}

function words(message, column) {
  const text = message.text ?? message.caption;
  if (!text) return null;
  const entities = message.entities ?? message.caption_entities;
  return element("div", { className: "words" }, ...formatted(text, entities, column.say));
}

function media(message) {
  if (message.photo) return [picture(message.photo.at(-1), message.caption ?? "Photo", message.has_media_spoiler)];
  if (message.sticker) return [picture(message.sticker, "Sticker")];
  const moving = message.animation ?? message.video;
  if (moving) {
    const still = moving.thumbnail ? [picture(moving.thumbnail, "Still")] : [];
    return [...still, attachment(moving, message.animation ? "GIF" : "Video")];
  }
  if (message.document) return [attachment(message.document, "File")];
  if (message.voice) return [attachment(message.voice, "Voice")];
  if (message.location) {
    const { latitude, longitude } = message.location;
    return [element("div", { className: "attached", text: `Place: ${latitude}, ${longitude}` })];
  }
  return [];
}

function picture(file, alt, hidden = false) {
  return element("img", {
    className: hidden ? "picture veiled" : "picture", src: fileUrl(file.file_id), alt,
    width: file.width, height: file.height, loading: "lazy",
  });
}

function attachment(file, fallback) {
  return element("div", { className: "attached" },
    element("b", { text: file.file_name ?? fallback }), element("span", { text: size(file.file_size) }));
}

function foot(message, column) {
  const edited = message.edit_date ? "edited " : "";
  return element("footer", {},
    element("button", { className: "answer-this", type: "button", text: "Reply", on: { click: () => column.answer(message) } }),
    element("time", { text: edited + time(message.date) }));
}

function keyboard(message, column) {
  const rows = message.reply_markup.inline_keyboard.map((row) =>
    element("div", { className: "row" }, ...row.map((button) => key(button, message, column))));
  return element("div", { className: "keyboard", role: "group", "aria-label": "Buttons" }, ...rows);
}

function key(button, message, column) {
  if (button.url && /^https?:/i.test(button.url)) {
    return element("a", { className: "key link", href: button.url, target: "_blank", rel: "noopener noreferrer", text: button.text });
  }
  const made = element("button", { className: "key", type: "button", text: button.text });
  made.addEventListener("click", () => {
    if (button.callback_data !== undefined) column.tap(message, button.callback_data, made);
    else if (button.switch_inline_query_current_chat !== undefined) column.searchHere(button.switch_inline_query_current_chat);
    else if (button.copy_text) navigator.clipboard?.writeText(button.copy_text.text);
  });
  if (button.style) made.classList.add(button.style);
  return made;
}
