// One chat in its column: what was said, and the field to answer in.
"use strict";

import { act, commands, fileUrl, upload } from "./simulate-api.js";
import { bubble, brief } from "./simulate-message.js";
import { element, icon } from "./simulate-text.js";

const TYPING_MS = 5000; // as in Telegram's apps
const TOAST_MS = 4000;
const SEARCH_PAUSE_MS = 250;

export class Column {
  constructor(room, world) {
    this.world = world;
    this.chatId = room.chat.id;
    this.isGroup = room.chat.type !== "private";
    this.userId = this.isGroup ? room.members[0] : this.chatId;
    this.attached = [];
    this.replyTo = null;
    this.query = null; // id of the inline query whose results are wanted
    this.say = (text) => this.send({ do: "text", text });
    this.build(room);
    this.update(room);
  }

  build(room) {
    const name = room.chat.title ?? room.chat.first_name;
    this.root = element("section", { className: "chat", "aria-label": `Chat of ${name}`, "data-chat": this.chatId });
    this.subtitle = element("span", { className: "subtitle", role: "status" });
    this.speaker = element("select", { className: "speaker", on: { change: () => this.speakAs(Number(this.speaker.value)) } });
    this.speaking = element("label", { className: "speaking", hidden: !this.isGroup, text: "Write as " }, this.speaker);
    this.blocker = element("button", { className: "pill", type: "button", on: { click: () => this.turn() } });
    const close = element("button", { className: "pill round", type: "button", text: "×", "aria-label": `Close the chat of ${name}`, on: { click: () => this.world.close(this.chatId) } });
    const heading = element("header", {},
      element("span", { className: `avatar hue${Math.abs(this.chatId) % 6}`, "aria-hidden": "true", text: [...name][0] }),
      element("div", { className: "who" }, element("h2", { text: name }), this.subtitle), this.blocker, close);
    this.log = element("div", { className: "log", role: "log", "aria-label": "Messages", tabindex: "0" });
    this.toast = element("p", { className: "toast", role: "status" });
    this.root.append(heading, this.log, this.toast, this.composer());
    this.root.addEventListener("dragover", (event) => { event.preventDefault(); this.root.classList.add("over"); });
    this.root.addEventListener("dragleave", (event) => { if (!this.root.contains(event.relatedTarget)) this.root.classList.remove("over"); });
    this.root.addEventListener("drop", (event) => { event.preventDefault(); event.stopPropagation(); this.root.classList.remove("over"); this.attach(event.dataTransfer.files); });
    this.root.addEventListener("paste", (event) => { if (event.clipboardData?.files.length) this.attach(event.clipboardData.files); });
  }

  composer() {
    this.offers = element("div", { className: "offers", role: "group", hidden: true });
    this.offers.addEventListener("keydown", (event) => this.walk(event));
    this.replyBar = element("div", { className: "reply-bar", hidden: true });
    this.strip = element("div", { className: "strip", hidden: true });
    this.keys = element("div", { className: "reply-keys", role: "group", "aria-label": "Suggested answers", hidden: true });
    this.field = element("textarea", { rows: "1", placeholder: "Message", "aria-label": "Message", maxlength: "4096", enterkeyhint: "send" });
    this.field.addEventListener("keydown", (event) => this.typed(event));
    this.field.addEventListener("input", () => this.changed());
    this.files = element("input", { className: "unseen", type: "file", multiple: true, "aria-label": "Attach photos or files", on: { change: () => { this.attach(this.files.files); this.files.value = ""; } } });
    const clip = element("label", { className: "tool", title: "Attach photos or files" }, this.files, icon("clip"));
    const menu = element("button", { className: "tool", type: "button", text: "/", "aria-label": "Commands", on: { click: () => this.offerCommands("") } });
    const send = element("button", { className: "tool send", type: "submit", "aria-label": "Send" }, icon("send"));
    this.form = element("form", { className: "write" }, clip, menu, this.field, send);
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    this.gate = element("button", { className: "button gate", type: "button", hidden: true });
    this.gate.addEventListener("click", () => this.pass());
    return element("div", { className: "composer" }, this.speaking, this.offers, this.replyBar, this.strip, this.keys, this.form, this.gate);
  }

  update(room) {
    this.presence = room.presence;
    this.members = room.members;
    this.speaker.replaceChildren(...room.members.map((id) =>
      element("option", { value: id, text: this.world.users.get(id)?.first_name ?? id, selected: id === this.userId })));
    const closed = !this.isGroup && this.presence !== "member";
    this.form.hidden = closed;
    this.gate.hidden = !closed;
    this.gate.textContent = this.presence === "unmet" ? "Start" : "Unblock the bot";
    this.blocker.hidden = this.presence === "unmet";
    const here = this.presence === "member";
    this.blocker.textContent = this.isGroup ? (here ? "Remove bot" : "Add bot") : (here ? "Block" : "Unblock");
    this.rest();
  }

  rest() {
    const people = this.isGroup ? `${this.members.length} people${this.presence === "member" ? " and the bot" : ""}` : "";
    const language = this.world.users.get(this.chatId)?.language_code ?? "";
    const state = { unmet: "has not met the bot", blocked: "blocked the bot", member: language };
    this.subtitle.textContent = this.isGroup ? people : state[this.presence];
    this.subtitle.classList.remove("busy");
  }

  fill(messages) {
    this.log.replaceChildren();
    for (const message of messages) this.add(message);
  }

  add(message, keyboard) {
    const near = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 120;
    const made = bubble(message, this);
    const last = this.log.lastElementChild;
    if (message.media_group_id) made.dataset.album = message.media_group_id;
    if (last && message.media_group_id && last.dataset.album === message.media_group_id) made.classList.add("joined");
    this.log.append(made);
    if (message.from.is_bot) { clearTimeout(this.typing); this.rest(); }
    if (keyboard) this.suggest(keyboard, message);
    if (near || message.from.id === this.userId) this.toEnd(made);
  }

  toEnd(made) {
    const scroll = () => { this.log.scrollTop = this.log.scrollHeight; };
    scroll();
    for (const picture of made.querySelectorAll("img")) picture.addEventListener("load", scroll, { once: true });
  }

  find(messageId) {
    return this.log.querySelector(`[data-id="${Number(messageId)}"]`);
  }

  edit(message) {
    const old = this.find(message.message_id);
    if (!old) return;
    const focused = old.contains(document.activeElement);
    const made = bubble(message, this);
    if (old.dataset.album) made.dataset.album = old.dataset.album;
    if (old.classList.contains("joined")) made.classList.add("joined");
    old.replaceWith(made);
    if (focused) (made.querySelector(".key") ?? this.field).focus({ preventScroll: true });
  }

  remove(messageId) { this.find(messageId)?.remove(); }

  showMessage(messageId) {
    const found = this.find(messageId);
    found?.scrollIntoView({ block: "center", behavior: "smooth" });
    found?.classList.add("shown-once");
    setTimeout(() => found?.classList.remove("shown-once"), 1200);
  }

  busy(action) {
    this.subtitle.textContent = action === "typing" ? "bot is typing…" : "bot is sending…";
    this.subtitle.classList.add("busy");
    clearTimeout(this.typing);
    this.typing = setTimeout(() => this.rest(), TYPING_MS);
  }

  answered(event) {
    for (const waiting of this.log.querySelectorAll(`[data-query="${CSS.escape(event.query_id)}"]`)) {
      waiting.classList.remove("waiting");
    }
    if (!event.text) return;
    if (event.alert) this.world.alert(event.text);
    else this.hint(event.text);
  }

  hint(text) {
    this.toast.textContent = text;
    clearTimeout(this.toasting);
    this.toasting = setTimeout(() => { this.toast.textContent = ""; }, TOAST_MS);
  }

  async act(action) {
    try {
      return await act(action);
    } catch (error) {
      this.hint(error.message);
      return null;
    }
  }

  send(action) {
    const replyTo = this.replyTo;
    this.answer(null);
    return this.act({ chat: this.chatId, user: this.userId, ...(replyTo ? { reply_to: replyTo } : {}), ...action });
  }

  async tap(message, data, button) {
    button.classList.add("waiting");
    const asked = await this.act({ do: "tap", chat: this.chatId, user: this.userId, message: message.message_id, data });
    if (asked === null) { button.classList.remove("waiting"); return; }
    button.dataset.query = asked.query;
    setTimeout(() => button.classList.remove("waiting"), 15000);
  }

  answer(message) {
    this.replyTo = message?.message_id ?? null;
    this.replyBar.hidden = message === null;
    if (message === null) return;
    const cancel = element("button", { className: "pill round", type: "button", text: "×", "aria-label": "Do not reply", on: { click: () => this.answer(null) } });
    this.replyBar.replaceChildren(element("b", { text: message.from.first_name }), element("span", { text: brief(message) }), cancel);
    this.field.focus();
  }

  speakAs(userId) {
    this.userId = userId;
    this.world.redraw(this);
  }

  turn() {
    const here = this.presence === "member";
    if (this.isGroup) this.act({ do: here ? "expel" : "admit", chat: this.chatId, user: this.userId });
    else this.act({ do: here ? "block" : "unblock", user: this.userId });
  }

  async pass() {
    if (this.presence === "blocked") await this.act({ do: "unblock", user: this.userId });
    else await this.say("/start");
    this.field.focus();
  }

  suggest(keyboard, message) {
    this.keys.hidden = !keyboard.keyboard;
    if (keyboard.keyboard) {
      this.keys.replaceChildren(...keyboard.keyboard.map((row) => element("div", { className: "row" }, ...row.map((key) =>
        element("button", { className: "key", type: "button", text: key.text, on: { click: () => { this.say(key.text); if (keyboard.one_time_keyboard) this.keys.hidden = true; } } })))));
    }
    if (keyboard.force_reply) this.answer(message);
    this.field.placeholder = keyboard.input_field_placeholder ?? "Message";
  }

  attach(files) {
    this.attached.push(...files);
    this.showAttached();
    this.field.focus();
  }

  showAttached() {
    this.strip.hidden = this.attached.length === 0;
    const shown = this.attached.map((file, place) => {
      const off = element("button", { className: "off", type: "button", text: "×", "aria-label": `Take ${file.name} off`, on: { click: () => { this.attached.splice(place, 1); this.showAttached(); } } });
      if (!file.type.startsWith("image/")) return element("figure", {}, element("figcaption", { text: file.name }), off);
      const url = URL.createObjectURL(file);
      const picture = element("img", { src: url, alt: file.name, on: { load: () => URL.revokeObjectURL(url), error: () => URL.revokeObjectURL(url) } });
      return element("figure", {}, picture, off);
    });
    this.asFile ??= element("input", { type: "checkbox" });
    this.strip.replaceChildren(...shown, element("label", { className: "as-file" }, this.asFile, " as files"));
    if (!shown.length) this.asFile.checked = false;
  }

  async submit() {
    const text = this.field.value.trim();
    if (!text && !this.attached.length) return;
    this.field.value = "";
    this.changed();
    if (!this.attached.length) { this.say(text); return; }
    const files = this.attached.splice(0);
    const asFiles = this.asFile.checked;
    this.showAttached();
    try {
      await this.sendFiles(files, text, asFiles);
    } catch (error) {
      this.hint(error.message);
    }
  }

  async sendFiles(files, caption, asFiles) {
    const photos = asFiles ? [] : files.filter((file) => file.type.startsWith("image/") && file.type !== "image/gif");
    const others = files.filter((file) => !photos.includes(file));
    const uploads = await Promise.all(photos.map(upload));
    if (uploads.length === 1) await this.send({ do: "photo", upload: uploads[0], caption });
    for (let start = 0; uploads.length > 1 && start < uploads.length; start += 10) {
      const part = uploads.slice(start, start + 10);
      const words = start ? "" : caption;
      if (part.length === 1) await this.send({ do: "photo", upload: part[0], caption: words });
      else await this.act({ do: "album", chat: this.chatId, user: this.userId, uploads: part, caption: words });
    }
    for (const file of others) {
      const sent = await upload(file);
      const kind = asFiles ? "document" : file.type === "image/gif" ? "animation" : file.type.startsWith("video/") ? "video" : "document";
      const still = kind === "animation" ? { still: sent } : {};
      await this.send({ do: "file", upload: sent, kind, name: file.name, mime_type: file.type || "application/octet-stream", caption: photos.length ? "" : caption, ...still });
    }
  }

  typed(event) {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "ArrowDown" && !this.offers.hidden) {
      event.preventDefault();
      this.offers.querySelector("button")?.focus();
    } else if (event.key === "Escape") {
      this.offers.hidden = true;
      this.answer(null);
    }
  }

  walk(event) {
    const buttons = [...this.offers.querySelectorAll("button")];
    const place = buttons.indexOf(document.activeElement);
    if (event.key === "ArrowDown") buttons[Math.min(place + 1, buttons.length - 1)]?.focus();
    else if (event.key === "ArrowUp") (place > 0 ? buttons[place - 1] : this.field).focus();
    else if (event.key === "Escape") { this.offers.hidden = true; this.field.focus(); }
    else return;
    event.preventDefault();
  }

  changed() {
    const text = this.field.value;
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, 144)}px`;
    clearTimeout(this.searching);
    this.query = null;
    const bot = `@${this.world.bot.username} `;
    if (/^\/\w*$/.test(text)) this.offerCommands(text.slice(1));
    else if (text.toLowerCase().startsWith(bot.toLowerCase())) {
      this.searching = setTimeout(() => this.search(text.slice(bot.length)), SEARCH_PAUSE_MS);
    } else this.offers.hidden = true;
  }

  searchHere(query) {
    this.field.value = `@${this.world.bot.username} ${query}`;
    this.field.focus();
    this.changed();
  }

  async search(query) {
    const asked = await this.act({ do: "inline", chat: this.chatId, user: this.userId, query });
    this.query = asked?.query ?? null;
    if (this.early?.query_id === this.query) this.offerResults(this.early);
  }

  offerResults(event) {
    this.early = event; // the bot may be quicker than the answer that tells us the query's id
    if (event.query_id !== this.query) return;
    const rows = event.results.map((result) => {
      const picture = result.photo_file_id ? [element("img", { src: fileUrl(result.photo_file_id), alt: "" })] : [];
      return this.offer(result.title ?? "Photo", result.description ?? "", picture, async () => {
        this.field.value = "";
        this.changed();
        await this.act({ do: "choose", query: event.query_id, result: result.id });
        this.field.focus();
      });
    });
    this.show(rows, "Results", "The bot found nothing.");
  }

  async offerCommands(start) {
    const known = await commands(this.chatId, this.userId).catch(() => []);
    const fitting = known.filter(({ command }) => command.startsWith(start));
    const rows = fitting.map(({ command, description }) => this.offer(`/${command}`, description, [], () => {
      this.field.value = "";
      this.changed();
      this.say(`/${command}`);
      this.field.focus();
    }));
    this.show(rows, "Commands", start ? "" : "The bot has set no commands.");
  }

  offer(title, more, before, choose) {
    return element("button", { type: "button", className: "offer", on: { click: choose } }, ...before,
      element("span", {}, element("b", { text: title }), element("small", { text: more })));
  }

  show(rows, label, none) {
    this.offers.setAttribute("aria-label", label);
    this.offers.replaceChildren(...(rows.length || !none ? rows : [element("p", { text: none })]));
    this.offers.hidden = rows.length === 0 && !none;
  }
}
