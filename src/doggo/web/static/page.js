// The page at `/`: a photo goes out, breeds with bars come in. No library, nothing from elsewhere.

import { percent, title } from "./words.js";

const $ = (id) => document.getElementById(id);
const form = $("form");
const MAX_BYTES = Number(form.dataset.maxBytes);
const MODEL_POLL_MS = 3000;

const VERDICTS = {
  breed: () => ["I’m sure", ""],
  unsure: () => ["Hard to tell", "Look-alikes, or a breed I don’t know. These come closest."],
  not_a_dog: () => ["That does not look like a dog", ""],
};
const TROUBLES = {
  400: "I cannot read that as a photo",
  408: "The photo came in too slowly",
  413: "That photo is too big",
  415: "I cannot read that kind of file",
  422: "There was no photo in there",
  429: "I’m busy right now",
  503: "No model is on duty yet",
};

const WORTH_ANOTHER_TRY = [408, 429, 500, 503];

let photo = null; // the File that can be asked about again
let asking = null; // the AbortController of the question under way
let previewUrl = "";

function show(state) {
  $("stage").dataset.state = state;
  $("zone").hidden = state !== "idle";
  $("shown").hidden = state === "idle";
  $("answer").hidden = state !== "answered";
  $("trouble").hidden = state !== "trouble";
  $("another").hidden = state === "idle" || state === "looking";
  $("again").hidden = state !== "trouble" || photo === null;
  $("camera-button").hidden = !matchMedia("(pointer: coarse)").matches || state === "looking";
  $("working").textContent = state === "looking" ? "Having a good look…" : "";
}

function bars(list, breeds) {
  list.replaceChildren(
    ...breeds.map(({ breed, probability }) => {
      const item = document.createElement("li");
      const name = document.createElement("span");
      name.className = "name";
      name.textContent = title(breed);
      const share = document.createElement("span");
      share.className = "share";
      share.textContent = percent(probability);
      const bar = document.createElement("span");
      bar.className = "bar";
      bar.setAttribute("aria-hidden", "true");
      const filled = document.createElement("i");
      bar.append(filled);
      item.append(name, share, bar);
      requestAnimationFrame(() => requestAnimationFrame(() => {
        filled.style.width = `${100 * probability}%`;
      }));
      return item;
    }),
  );
}

function tell(prediction, tookMs) {
  const [words, more] = VERDICTS[prediction.verdict]();
  $("verdict").textContent = words;
  if (more) {
    const small = document.createElement("small");
    small.textContent = more;
    $("verdict").append(small);
  }
  const isDog = prediction.verdict !== "not_a_dog";
  bars($("bars"), isDog ? prediction.breeds : []);
  bars($("guesses"), isDog ? [] : prediction.breeds);
  $("anyway").hidden = isDog;
  $("anyway").open = false;
  $("facts").textContent =
    `${named(prediction.model)} · ${Math.max(1, Math.round(prediction.latency_ms))} ms to look, ` +
    `${Math.round(tookMs)} ms in all`;
  show("answered");
  $("verdict").focus({ preventScroll: true });
}

function complain(heading, text, { again = false } = {}) {
  if (!again) photo = null;
  $("trouble-title").textContent = heading;
  $("trouble-text").textContent = text;
  show("trouble");
}

function preview(file) {
  URL.revokeObjectURL(previewUrl);
  previewUrl = URL.createObjectURL(file);
  $("preview").hidden = false;
  $("unseeable").hidden = true;
  $("preview").src = previewUrl;
}

async function ask(file) {
  asking?.abort();
  photo = file;
  preview(file);
  if (file.size > MAX_BYTES) {
    const size = (file.size / 2 ** 20).toFixed(1);
    complain(TROUBLES[413], `It has ${size} MiB; I take ${MAX_BYTES / 2 ** 20} MiB at most.`);
    return;
  }
  const mine = new AbortController();
  asking = mine;
  show("looking");
  const started = performance.now();
  try {
    const body = new FormData();
    body.append("photo", file, "photo"); // its own name stays here
    const reply = await fetch("/v1/predict", { method: "POST", body, signal: mine.signal });
    const said = await reply.json();
    if (mine.signal.aborted) return;
    if (reply.ok) {
      tell(said, performance.now() - started);
    } else {
      const again = WORTH_ANOTHER_TRY.includes(reply.status);
      complain(TROUBLES[reply.status] ?? said.title, sentence(said.detail), { again });
    }
  } catch (error) {
    if (error.name === "AbortError" || mine.signal.aborted) return;
    const advice = "Is it still running? The photo is still here: you can try again.";
    complain("The server does not answer", advice, { again: true });
  }
}

function named({ name, version }) {
  return version > 0 ? `${name}, version ${version}` : name; // 0: not from the registry
}

function sentence(text) {
  const start = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

function take(files) {
  const file = [...files].find((one) => one.type.startsWith("image/")) ?? files[0];
  if (file) ask(file);
}

function startOver() {
  asking?.abort();
  photo = null;
  show("idle");
  $("photo").value = "";
  $("photo").focus();
}

async function introduce() {
  const line = $("model");
  try {
    const reply = await fetch("/v1/model");
    if (reply.ok) {
      const model = await reply.json();
      line.classList.remove("missing");
      line.textContent =
        `${named(model)} · knows ${model.labels.length} breeds · ` +
        `${model.runtime} ${model.precision}`;
      return;
    }
    line.textContent = "No model is on duty yet. I look again every few seconds.";
  } catch {
    line.textContent = "The server does not answer.";
  }
  line.classList.add("missing");
  setTimeout(introduce, MODEL_POLL_MS);
}

for (const input of [$("photo"), $("camera")]) {
  input.addEventListener("change", () => {
    take(input.files);
  });
}
$("preview").addEventListener("error", () => {
  $("preview").hidden = true;
  $("unseeable").hidden = false;
});
$("another").addEventListener("click", startOver);
$("again").addEventListener("click", () => photo && ask(photo));
form.addEventListener("submit", (event) => event.preventDefault());
addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) take(event.clipboardData.files);
});
let depth = 0; // dragenter and dragleave fire for every element on the way
addEventListener("dragenter", (event) => {
  event.preventDefault();
  depth += 1;
  document.body.classList.add("over");
});
addEventListener("dragleave", () => {
  depth -= 1;
  if (depth <= 0) document.body.classList.remove("over");
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  document.body.classList.remove("over");
  take(event.dataTransfer.files);
});

show("idle");
introduce();
