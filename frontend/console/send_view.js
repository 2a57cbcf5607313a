// Send a recording: a file, dropped or chosen, or one from the microphone.
//
// What is being recorded, chosen or sent stays while the language is switched or another view is looked at: nobody
// coughs twice because of a click. Each recording has one id from the start, so that sending it again after a lost
// answer makes no second call.

import { postRecording } from "./api.js";
import { announce, element } from "./elements.js";
import { problemOf } from "./problem_view.js";
import { MOST_S, record, whyNot } from "./record.js";
import { bytes, text } from "./message_lookup.js";

/**
 * What is under way. chosen: {audio, name, id, typed, others}; recording, sending: an AbortController each;
 * problem: the last one.
 */
let work = {};
/** Draws `work` in the view that is shown; nothing while it is another one. */
let redraw = () => {};

// The browser would show a file that misses the zone, in our place; and a page that is closed takes what was not sent
// with it.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());
window.addEventListener("beforeunload", (event) => (work.chosen || work.recording) && event.preventDefault());

/** Let go of what was not sent: whoever enters the next key is somebody else. */
export function discard() {
  work.recording?.abort();
  work.sending?.abort();
  work = {};
}

/** Returns the view's title. */
export function showSend(place) {
  const file = element("input", {
    type: "file",
    id: "file",
    accept: "audio/*,video/webm,video/mp4,video/3gpp,.amr,.ogg,.opus",
    className: "visually-hidden",
    onchange: picked,
  });
  const microphone = element(
    "button",
    { type: "button", id: "record", onclick: () => startRecording() },
    text("record"),
  );
  const meter = element("div", { id: "meter" });
  const below = element("div", { id: "below" });
  const drop = element(
    "div",
    {
      className: "drop",
      ondragover: () => drop.classList.add("over"),
      ondragleave: () => drop.classList.remove("over"),
      ondrop: dropped,
    },
    element(
      "div",
      { className: "row" },
      element("label", { className: "button", for: "file" }, text("choose")),
      file,
      element("span", {}, text("orDrop")),
      microphone,
    ),
    meter,
  );
  place.put(element("h1", { tabIndex: -1 }, text("sendTitle")), element("p", {}, text("sendHow")), drop, below);
  redraw = draw;
  place.signal.addEventListener("abort", () => (redraw = () => {}));
  draw();
  return text("sendTitle");

  function picked() {
    choose([...file.files]);
    file.value = ""; // the same file may be chosen again
  }

  function dropped(event) {
    drop.classList.remove("over");
    if (!isBusy()) choose([...event.dataTransfer.files]);
  }

  function draw() {
    file.disabled = microphone.disabled = isBusy();
    meter.replaceChildren(...(work.recording ? drawRecording() : []));
    below.replaceChildren(
      ...(work.problem ? [work.problem] : []),
      ...(work.sending ? [drawSending()] : work.chosen ? [drawChosen(place, send)] : []),
    );
  }

  async function send() {
    const { chosen } = work;
    const sending = new AbortController();
    work = { chosen, sending, sent: 0 };
    redraw();
    announce(text("analysing"));
    try {
      const answered = await postRecording(chosen.audio, chosen.name, chosen.typed || chosen.id, {
        signal: sending.signal,
        onProgress: progress,
      });
      if (work.sending !== sending) return;
      work = {};
      if (place.signal.aborted) redraw();
      else place.go(`#/calls/${encodeURIComponent(answered.call_id)}`);
    } catch (error) {
      if (work.sending !== sending) return;
      work = { chosen, problem: problemOf(error) };
      if (error.status === 401) place.askKey();
      else redraw();
    }
  }
}

function isBusy() {
  return Boolean(work.recording || work.sending);
}

function choose(files) {
  const [audio] = files;
  if (!audio) return;
  keep(audio, audio.name, files.length - 1);
  document.getElementById("send")?.focus();
}

function keep(audio, name, others = 0) {
  work = { chosen: { audio, name, others, id: newId(), typed: "" } };
  redraw();
}

async function startRecording() {
  const reason = whyNot();
  if (reason) {
    work = { ...work, problem: problemOf({ message: text(reason) }) };
    redraw();
    return;
  }
  const before = work.chosen;
  const recording = new AbortController();
  work = { chosen: before, recording, loudness: 0, elapsed: null };
  redraw();
  try {
    const audio = await record(recording.signal, (loudness, elapsed) => {
      const begins = work.elapsed === null;
      Object.assign(work, { loudness, elapsed });
      if (begins) redraw();
      else showRecording();
    });
    if (work.recording !== recording) return; // discarded meanwhile
    keep(audio, `${text("recorded")}.${audio.type.includes("mp4") ? "m4a" : "webm"}`);
    document.getElementById("send")?.focus();
  } catch {
    if (work.recording !== recording) return;
    work = { chosen: before, problem: problemOf({ message: text("noMicrophone") }) };
    redraw();
  }
}

/** Nothing until the browser has given us the microphone. */
function drawRecording() {
  if (work.elapsed === null) return [];
  const stop = element(
    "button",
    { type: "button", className: "main", id: "stop", onclick: () => work.recording?.abort() },
    text("stop"),
  );
  queueMicrotask(() => {
    showRecording();
    stop.focus();
  });
  return [
    element("p", { id: "seconds" }),
    element("meter", { className: "level", id: "level", min: 0, max: 1, "aria-hidden": "true" }),
    element("div", { className: "row" }, stop),
  ];
}

function showRecording() {
  const level = document.getElementById("level");
  if (!level || work.elapsed === undefined) return;
  level.value = work.loudness;
  document.getElementById("seconds").textContent = text("recording", {
    seconds: Math.floor(work.elapsed),
    most: MOST_S,
  });
}

function drawSending() {
  const bar = element("progress", { max: 1, id: "progress", "aria-label": text("sendIt") });
  queueMicrotask(() => showProgress());
  return element("div", { className: "panel" }, element("p", { id: "progress-words" }, "", bar));
}

function progress(sent) {
  work.sent = sent;
  showProgress();
}

function showProgress() {
  const bar = document.getElementById("progress");
  if (!bar || work.sent === undefined) return;
  const words = work.sent < 1 ? text("uploading", { percent: Math.floor(work.sent * 100) }) : text("analysing");
  document.getElementById("progress-words").firstChild.textContent = words;
  if (work.sent < 1) bar.value = work.sent;
  else bar.removeAttribute("value"); // it works, and nobody knows how long
}

function drawChosen(place, send) {
  const { chosen } = work;
  const address = URL.createObjectURL(chosen.audio);
  const listen = element("audio", { controls: true, src: address, "aria-label": text("listenFirst") });
  // a format that this browser can't play; the service may all the same
  listen.addEventListener("error", () => listen.remove());
  place.signal.addEventListener("abort", () => URL.revokeObjectURL(address));
  const callId = element("input", {
    type: "text",
    id: "call-id",
    value: chosen.typed,
    autocomplete: "off",
    spellcheck: false,
    "aria-describedby": "call-id-how",
    oninput: () => (chosen.typed = callId.value.trim()),
  });
  const drop = () => {
    work = {};
    redraw();
    document.getElementById("file").focus();
  };
  return element(
    "form",
    {
      className: "panel",
      onsubmit: (event) => {
        event.preventDefault();
        send();
      },
    },
    element("p", { id: "chosen" }, text("chosen", { name: chosen.name, size: bytes(chosen.audio.size) })),
    chosen.others ? element("p", { id: "others-left" }, text("othersLeft", { count: chosen.others })) : null,
    listen,
    element("label", { for: "call-id" }, text("callId")),
    callId,
    element("p", { className: "how", id: "call-id-how" }, text("callIdHow")),
    element(
      "div",
      { className: "row" },
      element("button", { type: "submit", className: "main", id: "send" }, text("sendIt")),
      element("button", { type: "button", id: "discard", onclick: drop }, text("discard")),
    ),
  );
}

/** A random UUID (RFC 9562, version 4); `crypto.randomUUID` is there on secure pages only. */
function newId() {
  const bits = crypto.getRandomValues(new Uint8Array(16));
  bits[6] = (bits[6] & 0x0f) | 0x40;
  bits[8] = (bits[8] & 0x3f) | 0x80;
  const hex = [...bits].map((one) => one.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
