// The messenger at `/`: who is there, which chats are open, and what happens in them.
"use strict";

import { act, listen } from "./simulate-api.js";
import { Column } from "./simulate-chat.js";
import { element } from "./simulate-text.js";

const $ = (id) => document.getElementById(id);
const GUESTS = [["Ada", "en", "English"], ["Lucía", "es", "Español"], ["Jonas", "de", "Deutsch"], ["Вера", "ru", "Русский"], ["李雷", "zh-hans", "中文"]];
const OPEN_AT_FIRST = 3;
const narrow = matchMedia("(max-width: 46rem)");

const world = {
  bot: { username: "" },
  users: new Map(),
  rooms: new Map(), // by chat: {chat, members, presence, messages}
  columns: new Map(), // open ones, by chat
  active: null, // the one that a phone shows
  alert(text) {
    $("alert-text").textContent = text;
    $("alert").showModal();
  },
  close(chatId) {
    world.columns.get(chatId)?.root.remove();
    world.columns.delete(chatId);
    if (world.active === chatId) world.active = [...world.columns.keys()].at(-1) ?? null;
    draw();
    document.querySelector(`[data-tab="${chatId}"]`)?.focus();
  },
  redraw(column) {
    column.fill(world.rooms.get(column.chatId).messages);
  },
};

function open(chatId) {
  if (!world.columns.has(chatId)) {
    const room = world.rooms.get(chatId);
    const column = new Column(room, world);
    world.columns.set(chatId, column);
    $("chats").append(column.root);
    column.fill(room.messages);
  }
  world.active = chatId;
  draw();
}

// The answer to a request and the event that tells of the new chat come in either order.
const wanted = new Set();

function openOnceThere(chatId) {
  if (world.rooms.has(chatId)) open(chatId);
  else wanted.add(chatId);
}

function draw() {
  $("empty").hidden = world.rooms.size > 0;
  $("new-group").disabled = world.users.size === 0;
  for (const [chatId, { root }] of world.columns) root.classList.toggle("active", chatId === world.active);
  $("tabs").replaceChildren(...[...world.rooms.values()].map(({ chat, unread }) => {
    const isOpen = world.columns.has(chat.id) && (!narrow.matches || chat.id === world.active);
    const name = chat.title ?? chat.first_name;
    return element("button", {
      className: `tab${chat.title ? " group" : ""}`, type: "button", "data-tab": chat.id, "aria-pressed": String(isOpen),
      on: { click: () => choose(chat.id, isOpen) },
    }, name, ...(unread && !isOpen ? [element("span", { className: "unread", text: unread, "aria-label": `${unread} unread` })] : []));
  }));
}

function choose(chatId, isOpen) {
  if (isOpen && !narrow.matches) { world.close(chatId); return; }
  world.rooms.get(chatId).unread = 0;
  open(chatId);
  world.columns.get(chatId).field.focus();
}

const HAPPENS = {
  state(event) {
    world.bot = event.bot;
    world.users = new Map(event.users.map((user) => [user.id, user]));
    world.rooms = new Map(event.rooms.map((room) => [room.chat.id, room]));
    const stay = [...world.columns.keys()].filter((chatId) => world.rooms.has(chatId));
    for (const { root } of world.columns.values()) root.remove();
    const drafts = new Map([...world.columns].map(([chatId, { field }]) => [chatId, field.value]));
    const active = world.active;
    world.columns.clear();
    for (const chatId of stay.length ? stay : [...world.rooms.keys()].slice(0, OPEN_AT_FIRST)) {
      open(chatId);
      world.columns.get(chatId).field.value = drafts.get(chatId) ?? "";
    }
    if (world.columns.has(active)) world.active = active;
    draw();
  },
  room(event) {
    const known = world.rooms.get(event.chat.id);
    if (event.chat.type === "private" && !world.users.has(event.chat.id)) {
      world.users.set(event.chat.id, { id: event.chat.id, first_name: event.chat.first_name, language_code: event.language_code });
    }
    world.rooms.set(event.chat.id, { ...event, messages: known?.messages ?? [] });
    world.columns.get(event.chat.id)?.update(event);
    if (!known && (wanted.delete(event.chat.id) || world.columns.size < OPEN_AT_FIRST + 1)) open(event.chat.id);
    draw();
  },
  message({ message, keyboard }) {
    const room = world.rooms.get(message.chat.id);
    room.messages.push(message);
    const column = world.columns.get(message.chat.id);
    column?.add(message, keyboard);
    if (!column || (narrow.matches && message.chat.id !== world.active)) {
      room.unread = (room.unread ?? 0) + 1;
      draw();
    }
  },
  edited({ message }) {
    const room = world.rooms.get(message.chat.id);
    const place = room.messages.findIndex((one) => one.message_id === message.message_id);
    if (place >= 0) room.messages[place] = message;
    world.columns.get(message.chat.id)?.edit(message);
  },
  deleted(event) {
    const room = world.rooms.get(event.chat_id);
    room.messages = room.messages.filter((one) => one.message_id !== event.message_id);
    world.columns.get(event.chat_id)?.remove(event.message_id);
  },
  action: (event) => world.columns.get(event.chat_id)?.busy(event.action),
  toast: (event) => world.columns.get(event.chat_id)?.answered(event),
  results: (event) => world.columns.get(event.chat_id)?.offerResults(event),
  commands() {},
};

function asked(dialog) {
  return new Promise((resolve) => {
    dialog.returnValue = "";
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "ok" ? new FormData(dialog.querySelector("form")) : null), { once: true });
    dialog.showModal();
  });
}

async function add(action) {
  try {
    return await act(action);
  } catch (error) {
    world.alert(error.message);
    return null;
  }
}

$("new-person").addEventListener("click", async () => {
  const form = await asked($("person-dialog"));
  if (!form) return;
  const user = await add({ do: "user", first_name: form.get("first_name"), language_code: form.get("language_code") });
  if (user) openOnceThere(user.id);
});

$("new-group").addEventListener("click", async () => {
  $("group-members").replaceChildren(...[...world.users.values()].map((user) =>
    element("label", {}, element("input", { type: "checkbox", name: "member", value: user.id, checked: true }), ` ${user.first_name}`)));
  const form = await asked($("group-dialog"));
  const members = form?.getAll("member").map(Number) ?? [];
  if (!form) return;
  if (!members.length) { world.alert("A group needs a member."); return; }
  const made = await add({ do: "group", title: form.get("title"), members });
  if (made) openOnceThere(made.chat);
});

$("guests").append(...GUESTS.map(([first_name, language_code, language]) =>
  element("button", { className: "button quiet", type: "button", on: { click: () => add({ do: "user", first_name, language_code }) } },
    element("span", {}, element("b", { text: first_name }), element("small", { text: language })))));

// A photo that misses a chat must not replace the page.
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => event.preventDefault());
narrow.addEventListener("change", draw);

listen((event) => HAPPENS[event.event]?.(event), (connected) => { $("offline").hidden = connected; });
