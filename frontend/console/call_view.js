// One call: what came out, what to do about it, and what it sounds and looks like.

import { callPath, getJson, request } from "./api.js";
import { lookOf, badgeOf } from "./badge.js";
import { factsOf } from "./call_facts.js";
import { announce, element } from "./elements.js";
import { confirmErasing } from "./erase_dialog.js";
import { problemOf } from "./problem_view.js";
import { number, text, word } from "./texts.js";
import { playerOf } from "./player.js";
import { nameOf, waveformOf } from "./waveform.js";
import { readWav } from "./wav.js";

const POLL_S = 2; // where the answer names no time

/** Returns the view's title. */
export function showCall(place, callId) {
  const body = element("div", { id: "call", "aria-busy": "true" }, element("p", {}, text("loading")));
  place.put(element("h1", { tabIndex: -1 }, `${text("callTitle")} `, element("code", {}, callId)), body);
  load();
  return `${text("callTitle")} ${callId}`;

  async function load() {
    let waited = false;
    try {
      for (;;) {
        const record = await getJson(callPath(callId), { signal: place.signal });
        body.replaceChildren(...drawRecord(place, record));
        body.setAttribute("aria-busy", "false");
        if (record.state !== "received") {
          if (waited) announce(record.guidance.message);
          return;
        }
        waited = true;
        await pause(POLL_S, place.signal);
      }
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 401) place.askKey();
      else body.replaceChildren(problemOf(error, error.status === 0 || error.status >= 500 ? element("button", { type: "button", onclick: load }, text("retry")) : null));
    }
  }
}

function drawRecord(place, record) {
  const { diagnosis, guidance } = record;
  return [
    element("div", { className: `notice ${lookOf(record)}`, id: "verdict" },
      element("p", {}, badgeOf(record)),
      element("p", { id: "message" }, element("strong", {}, guidance.message)),
      record.state === "received" ? element("p", {}, text("waiting")) : null,
      guidance.hints.length ? element("p", {}, text("whatToDo")) : null,
      guidance.hints.length ? element("ul", { id: "hints" }, ...guidance.hints.map((hint) => element("li", {}, hint))) : null,
      element("p", { className: "how", id: "intended-use" }, guidance.intended_use)),
    ...(diagnosis?.result ? drawResult(diagnosis.result) : []),
    ...(diagnosis ? drawSound(place, record) : []),
    ...factsOf(record),
    drawActions(place, record),
  ];
}

function drawResult(result) {
  const { low, high } = result.thresholds;
  const values = { low: number(low), high: number(high) };
  return [
    element("h2", {}, text("whatModelSays")),
    element("p", { id: "result" }, element("strong", {}, word(result.label)), ` · ${text("probabilityOf", { label: word("positive"), value: number(result.probability) })}`,
      ` · ${text(low === high ? "thresholdOne" : "thresholdTwo", values)}`),
    result.validated ? "" : element("p", { className: "notice warn" }, `${text("model")} ${text("notValidated")}.`),
  ];
}

/** Waveform, player and one card for each candidate; drawn now, filled when the sound is there. */
function drawSound(place, record) {
  const { segments, audio } = record.diagnosis;
  const sound = element("div", { id: "sound" }, element("p", {}, text("loading")));
  let play = () => {};
  loadSound();

  async function loadSound() {
    try {
      const wav = await (await request(callPath(record.call_id, "/audio.wav"), { signal: place.signal })).arrayBuffer();
      const { samples, rateHz } = readWav(wav);
      const durationS = samples.length / rateHz || audio.duration_s;
      const waveform = waveformOf(samples, durationS, segments, (n) => play(n), place.signal);
      const player = playerOf(record.call_id, wav, waveform.follow, place.signal);
      play = (n) => player.play(segments[n].start_s, segments[n].end_s, n);
      sound.replaceChildren(waveform.box,
        element("div", { className: "axis", "aria-hidden": "true" }, element("span", {}, "0 s"), element("span", {}, text("seconds", { value: number(durationS, 1) }))),
        player.audio);
    } catch (error) {
      if (error.name !== "AbortError") sound.replaceChildren(problemOf({ ...error, title: text("soundUnavailable"), message: error.message }));
    }
  }

  const cards = (wanted) => segments.map((segment, n) => ({ segment, n })).filter(({ segment }) => segment.is_cough === wanted)
    .map(({ segment, n }) => drawSegment(place, record.call_id, segment, n, () => play(n)));
  const [coughs, others] = [cards(true), cards(false)];
  return [
    element("h2", {}, text("sound")), sound,
    element("h2", {}, text("coughs")),
    coughs.length ? element("ul", { className: "cards", id: "coughs" }, ...coughs) : element("p", {}, text("noCoughs")),
    others.length ? element("details", { id: "others" }, element("summary", {}, text("others", { count: others.length })), element("ul", { className: "cards" }, ...others)) : "",
  ];
}

function drawSegment(place, callId, segment, n, play) {
  const name = nameOf(segment, n);
  const picture = element("img", { alt: text("spectrogramOf", { name }), width: 384, height: 256 });
  // Those out of sight are drawn when somebody looks: each costs the service a moment.
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    showPicture(picture, callPath(callId, `/segments/${n}.png`), place.signal);
  });
  seen.observe(picture);
  place.signal.addEventListener("abort", () => seen.disconnect());
  const times = { start: number(segment.start_s), end: number(segment.end_s) };
  return element("li", { className: `card ${segment.is_cough ? "cough" : "other"}` },
    element("h3", {}, name),
    element("div", { className: "picture" }, picture),
    element("p", {}, text("span", times)),
    element("p", {}, text("coughProbability", { value: number(segment.cough_probability) })),
    ...Object.entries(segment.class_probabilities ?? {}).map(([label, value]) => element("p", {}, `${word(label)}: ${number(value)}`)),
    element("button", { type: "button", "aria-label": text("playCough", { name, ...times }), onclick: play }, `▶ ${text("play")}`));
}

async function showPicture(picture, path, signal) {
  try {
    const blob = await (await request(path, { signal })).blob();
    picture.src = URL.createObjectURL(blob);
    signal.addEventListener("abort", () => URL.revokeObjectURL(picture.src));
  } catch (error) {
    if (error.name === "AbortError") return;
    picture.classList.add("failed");
    picture.alt = error.message;
  }
}

function drawActions(place, record) {
  const { call_id: callId, diagnosis } = record;
  const problem = element("div", {});
  const or = (action) => async () => {
    problem.replaceChildren();
    try {
      await action();
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 401) place.askKey();
      else problem.replaceChildren(problemOf(error));
    }
  };
  const download = async () => save(await (await request(callPath(callId, "/audio"), { signal: place.signal })).blob(), callId);
  const figure = async () => showFigure(await (await request(callPath(callId, "/figure.png"), { signal: place.signal })).blob(), place.signal);
  const erase = async () => {
    if (!(await confirmErasing(callId, place.signal))) return;
    await request(callPath(callId), { method: "DELETE", signal: place.signal });
    place.go("#/calls");
    announce(text("erased", { id: callId }));
  };
  return element("div", {},
    element("div", { className: "row" },
      diagnosis ? element("button", { type: "button", id: "figure", onclick: or(figure) }, text("figure")) : null,
      element("button", { type: "button", id: "download-audio", onclick: or(download) }, text("downloadAudio")),
      element("button", { type: "button", id: "download-record",
        onclick: () => save(new Blob([JSON.stringify(record, null, 2)], { type: "application/json" }), `${callId}.json`) }, text("downloadRecord")),
      element("button", { type: "button", id: "erase", className: "danger", onclick: or(erase) }, text("erase"))),
    problem);
}

function showFigure(blob, signal) {
  const picture = element("img", { src: URL.createObjectURL(blob), alt: text("figure") });
  const dialog = element("dialog", { className: "wide", onclose: () => { URL.revokeObjectURL(picture.src); dialog.remove(); } },
    picture, element("form", { method: "dialog" }, element("button", {}, text("close"))));
  document.body.append(dialog);
  signal.addEventListener("abort", () => dialog.close());
  dialog.showModal();
}

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => { clearTimeout(timer); reject(new DOMException("left", "AbortError")); });
  });
}
