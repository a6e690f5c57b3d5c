// What the page asks of the simulator: see /sim/ in docs/simulator.md.
"use strict";

async function answered(reply) {
  const said = await reply.json().catch(() => ({}));
  if (reply.ok) return said;
  const why = typeof said.error === "string" ? said.error : "The simulator did not understand that.";
  throw new Error(why);
}

export async function act(action) {
  const body = JSON.stringify(action);
  const headers = { "Content-Type": "application/json" };
  return answered(await fetch("/sim/do", { method: "POST", body, headers }));
}

export async function upload(file) {
  return (await answered(await fetch("/sim/uploads", { method: "POST", body: file }))).upload;
}

export async function commands(chat, user) {
  return answered(await fetch(`/sim/commands?chat=${chat}&user=${user}`));
}

export const fileUrl = (fileId) => `/sim/files/${encodeURIComponent(fileId)}`;

export function listen(onEvent, onConnected) {
  const source = new EventSource("/sim/events");
  source.onopen = () => onConnected(true);
  source.onerror = () => onConnected(false);
  source.onmessage = (event) => onEvent(JSON.parse(event.data));
}
