// One call: what came out, what to do about it, and what it sounds and looks like.

import { callPath, request } from "./api.js";
import { badgeOf, lookOf } from "./badge.js";
import { actionsOf } from "./call_actions.js";
import { factsOf } from "./call_facts.js";
import { announce, element } from "./elements.js";
import { patiently, pause, pictureOf } from "./patience.js";
import { playerOf } from "./player.js";
import { problemOf } from "./problem_view.js";
import { number, text, word } from "./message_lookup.js";
import { readWav } from "./wav.js";
import { nameOf, waveformOf } from "./waveform.js";

const POLL_S = 2;
const SLOWEST_POLL_S = 30; // while the service can't be reached

/** Returns the view's title. */
export function showCall(place, callId) {
  const trouble = element("div", {});
  const body = element("div", { id: "call", "aria-busy": "true" }, element("p", {}, text("loading")));
  place.put(element("h1", { tabIndex: -1 }, `${text("callTitle")} `, element("code", {}, callId)), trouble, body);
  load();
  return `${text("callTitle")} ${callId}`;

  /**
   * Until the call is finished; what is shown stays as it is while nothing has changed, and with it where somebody
   * is in it.
   */
  async function load() {
    let [shown, failures] = ["", 0];
    for (;;) {
      try {
        const record = await request(callPath(callId), "json", { signal: place.signal });
        trouble.replaceChildren();
        failures = 0;
        if (record.updated_at !== shown) {
          shown = record.updated_at;
          body.replaceChildren(...drawRecord(place, record));
          body.setAttribute("aria-busy", "false");
          announce(record.guidance.message);
        }
        if (record.state !== "received") return;
      } catch (error) {
        if (error.name === "AbortError") return;
        if (error.status === 401) {
          place.askKey();
          return;
        }
        body.setAttribute("aria-busy", "false");
        const later = error.status === 0 || error.status >= 500;
        trouble.replaceChildren(
          problemOf(
            error,
            later && !shown
              ? element(
                  "button",
                  {
                    type: "button",
                    onclick: () => {
                      trouble.replaceChildren();
                      load();
                    },
                  },
                  text("retry"),
                )
              : null,
          ),
        );
        if (!later || !shown) {
          body.replaceChildren();
          return;
        }
        failures += 1;
      }
      try {
        await pause(Math.min(POLL_S * 2 ** failures, SLOWEST_POLL_S), place.signal);
      } catch {
        return;
      }
    }
  }
}

function drawRecord(place, record) {
  const { diagnosis, guidance } = record;
  return [
    element(
      "div",
      { className: `notice ${lookOf(record)}`, id: "verdict" },
      element("p", {}, badgeOf(record)),
      element("p", { id: "message" }, element("strong", {}, guidance.message)),
      record.state === "received" ? element("p", {}, text("waiting")) : null,
      guidance.hints.length ? element("p", {}, text("whatToDo")) : null,
      guidance.hints.length
        ? element("ul", { id: "hints" }, ...guidance.hints.map((hint) => element("li", {}, hint)))
        : null,
      element("p", { className: "how", id: "intended-use" }, guidance.intended_use),
    ),
    ...(diagnosis?.result ? drawResult(diagnosis.result) : []),
    ...(diagnosis ? drawSound(place, record) : []),
    ...factsOf(record),
    actionsOf(place, record),
  ];
}

function drawResult(result) {
  const { low, high } = result.thresholds;
  const values = { low: number(low), high: number(high) };
  return [
    element("h2", {}, text("whatModelSays")),
    element(
      "p",
      { id: "result" },
      element("strong", {}, word("label", result.label)),
      ` · ${text("probabilityOf", { label: word("label", "positive"), value: number(result.probability) })}`,
      ` · ${text(low === high ? "thresholdOne" : "thresholdTwo", values)}`,
    ),
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
      const wav = await patiently(callPath(record.call_id, "/audio.wav"), "arrayBuffer", place.signal);
      const { samples, rateHz } = readWav(wav);
      const durationS = samples.length / rateHz || audio.duration_s;
      const waveform = waveformOf(samples, durationS, record.diagnosis, (n) => play(n), place.signal);
      const player = playerOf(record.call_id, wav, waveform.follow, place.signal);
      play = (n) => player.play(segments[n].start_s, segments[n].end_s, n);
      sound.replaceChildren(
        waveform.box,
        element(
          "div",
          { className: "axis", "aria-hidden": "true" },
          element("span", {}, "0 s"),
          element("span", {}, text("seconds", { value: number(durationS, 1) })),
        ),
        player.audio,
      );
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 401) place.askKey();
      else {
        const retry = element(
          "button",
          {
            type: "button",
            onclick: () => {
              sound.replaceChildren();
              loadSound();
            },
          },
          text("retry"),
        );
        sound.replaceChildren(
          problemOf({ message: error.message, requestId: error.requestId, title: text("soundUnavailable") }, retry),
        );
      }
    }
  }

  const cards = (wanted) =>
    segments
      .map((segment, n) => ({ segment, n }))
      .filter(({ segment }) => segment.is_cough === wanted)
      .map(({ segment, n }) => drawSegment(place, record.call_id, segment, n, () => play(n)));
  const [coughs, others] = [cards(true), cards(false)];
  return [
    element("h2", {}, text("sound")),
    sound,
    element("h2", {}, text("coughs")),
    coughs.length ? element("ul", { className: "cards", id: "coughs" }, ...coughs) : element("p", {}, text("noCoughs")),
    others.length
      ? element(
          "details",
          { id: "others" },
          element("summary", {}, text("others", { count: others.length })),
          element("ul", { className: "cards" }, ...others),
        )
      : "",
  ];
}

function drawSegment(place, callId, segment, n, play) {
  const name = nameOf(segment, n);
  const picture = element("img", { alt: text("spectrogramOf", { name }), width: 384, height: 256 });
  // Those out of sight are asked for when somebody looks.
  const seen = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    showPicture(place, picture, callPath(callId, `/segments/${n}.png`));
  });
  seen.observe(picture);
  place.signal.addEventListener("abort", () => seen.disconnect());
  const times = { start: number(segment.start_s), end: number(segment.end_s) };
  return element(
    "li",
    { className: `card ${segment.is_cough ? "cough" : "other"}` },
    element("h3", {}, name),
    element("div", { className: "picture" }, picture),
    element("p", {}, text("span", times)),
    element("p", {}, text("coughProbability", { value: number(segment.cough_probability) })),
    ...Object.entries(segment.class_probabilities ?? {}).map(([label, value]) =>
      element("p", {}, `${word("label", label)}: ${number(value)}`),
    ),
    element(
      "button",
      { type: "button", "aria-label": text("playCough", { name, ...times }), onclick: play },
      `▶ ${text("play")}`,
    ),
  );
}

async function showPicture(place, picture, path) {
  try {
    picture.src = await pictureOf(path, place.signal);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (error.status === 401) {
      place.askKey();
      return;
    }
    picture.classList.add("failed");
    picture.parentElement.append(
      element("p", {}, error.message),
      element(
        "button",
        {
          type: "button",
          onclick: (event) => {
            const box = picture.parentElement;
            box.replaceChildren(picture);
            picture.classList.remove("failed");
            event.preventDefault();
            showPicture(place, picture, path);
          },
        },
        text("retry"),
      ),
    );
  }
}
