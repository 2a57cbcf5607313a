// Send a recording: a file, dropped or chosen, or one from the microphone.

import { postRecording } from "./api.js";
import { announce, element } from "./elements.js";
import { problemOf } from "./problem_view.js";
import { MOST_S, record, whyNot } from "./record.js";
import { bytes, text } from "./texts.js";

let chosen = null; // {audio, name}: stays while the language is switched

/** Returns the view's title. */
export function showSend(place) {
  const below = element("div", { id: "below" });
  const file = element("input", { type: "file", id: "file", accept: "audio/*,video/webm,video/mp4,video/3gpp,.amr,.ogg,.opus", className: "visually-hidden",
    onchange: () => file.files[0] && choose(file.files[0], file.files[0].name) });
  const microphone = element("button", { type: "button", id: "record", onclick: startRecording }, text("record"));
  const meter = element("div", { id: "meter" });
  const drop = element("div", { className: "drop",
    ondragover: (event) => { event.preventDefault(); drop.classList.add("over"); },
    ondragleave: () => drop.classList.remove("over"),
    ondrop: dropped },
    element("div", { className: "row" },
      element("label", { className: "button", for: "file" }, text("choose")), file,
      element("span", {}, text("orDrop")), microphone),
    meter);

  function dropped(event) {
    event.preventDefault();
    drop.classList.remove("over");
    const [one] = event.dataTransfer.files;
    if (one) choose(one, one.name);
  }

  function choose(audio, name) {
    chosen = { audio, name };
    drawChosen();
    below.querySelector("#send")?.focus();
  }

  async function startRecording() {
    const reason = whyNot();
    if (reason) {
      below.replaceChildren(problemOf({ message: text(reason) }));
      return;
    }
    microphone.disabled = true;
    below.replaceChildren();
    const seconds = element("p", { id: "seconds" });
    const level = element("meter", { className: "level", min: 0, max: 1, value: 0, "aria-hidden": "true" });
    const ended = new AbortController();
    const stop = element("button", { type: "button", className: "main", id: "stop", onclick: () => ended.abort() }, text("stop"));
    try {
      const audio = await record({
        stop: ended.signal,
        leave: place.signal,
        started: () => { meter.replaceChildren(seconds, level, element("div", { className: "row" }, stop)); stop.focus(); },
        heard: (loudness, elapsed) => {
          level.value = loudness;
          seconds.textContent = text("recording", { seconds: Math.floor(elapsed), most: MOST_S });
        },
      });
      choose(audio, `${text("recorded")}.${audio.type.includes("mp4") ? "m4a" : "webm"}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      below.replaceChildren(problemOf({ message: text("noMicrophone") }));
    } finally {
      microphone.disabled = false;
      meter.replaceChildren();
    }
  }

  function drawChosen() {
    if (chosen === null) {
      below.replaceChildren();
      return;
    }
    const listen = element("audio", { controls: true, src: URL.createObjectURL(chosen.audio), "aria-label": text("listenFirst") });
    listen.addEventListener("error", () => listen.remove()); // a format that this browser can't play; the service may all the same
    place.signal.addEventListener("abort", () => URL.revokeObjectURL(listen.src));
    const callId = element("input", { type: "text", id: "call-id", autocomplete: "off", spellcheck: false, "aria-describedby": "call-id-how" });
    below.replaceChildren(element("form", { className: "panel", onsubmit: (event) => { event.preventDefault(); send(callId.value.trim()); } },
      element("p", { id: "chosen" }, text("chosen", { name: chosen.name, size: bytes(chosen.audio.size) })),
      listen,
      element("label", { for: "call-id" }, text("callId")), callId,
      element("p", { className: "how", id: "call-id-how" }, text("callIdHow")),
      element("div", { className: "row" },
        element("button", { type: "submit", className: "main", id: "send" }, text("sendIt")),
        element("button", { type: "button", onclick: () => { chosen = null; file.value = ""; drawChosen(); } }, text("discard")))));
  }

  async function send(callId) {
    const bar = element("progress", { max: 1, value: 0, id: "progress", "aria-label": text("sendIt") });
    const words = element("p", { id: "progress-words" }, text("uploading", { percent: 0 }));
    const { audio, name } = chosen;
    below.replaceChildren(element("div", { className: "panel" }, words, bar));
    announce(text("analysing"));
    try {
      const answered = await postRecording(audio, name, callId, {
        signal: place.signal,
        onProgress: (sent) => {
          words.textContent = sent < 1 ? text("uploading", { percent: Math.floor(sent * 100) }) : text("analysing");
          if (sent < 1) bar.value = sent;
          else bar.removeAttribute("value"); // it works, and nobody knows how long
        },
      });
      chosen = null;
      place.go(`#/calls/${encodeURIComponent(answered.call_id)}`);
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 401) {
        place.askKey();
        return;
      }
      drawChosen();
      below.querySelector("#call-id").value = callId;
      below.prepend(problemOf(error));
    }
  }

  place.put(element("h1", { tabIndex: -1 }, text("sendTitle")), element("p", {}, text("sendHow")), drop, below);
  drawChosen();
  return text("sendTitle");
}
