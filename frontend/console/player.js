// Play a call's sound, whole or one cough of it, with an <audio> element that asks the API for ranges.
//
// The element can't send the key, so a service worker adds it (service_worker.js). Where there is none (a page that is not
// secure, some private windows) the element gets the bytes that the waveform was drawn from.

import { callPath, key } from "./api.js";
import { element } from "./elements.js";
import { text } from "./texts.js";

const WORKER = "/console/service_worker.js";
const PATIENCE_MS = 3000;

let controlled = null;

/** {audio, play}: the element, and a function that plays from one time to another. follow: called with the time, null at the end. */
export function playerOf(callId, wav, follow, signal) {
  const audio = element("audio", { controls: true, preload: "metadata", "aria-label": text("sound") });
  let end = Infinity;
  let part = -1;
  const watch = () => {
    if (audio.currentTime >= end) audio.pause();
    follow(audio.currentTime, part);
    if (!audio.paused && !signal.aborted) requestAnimationFrame(watch);
  };
  audio.addEventListener("play", watch);
  audio.addEventListener("pause", () => {
    if (audio.currentTime >= end || audio.ended) [end, part] = [Infinity, -1];
    follow(audio.currentTime, part);
  });
  const ready = sourceOf(callId, wav, signal).then((source) => {
    if (!signal.aborted) audio.src = source;
  });
  signal.addEventListener("abort", () => {
    audio.pause();
    if (audio.src.startsWith("blob:")) URL.revokeObjectURL(audio.src);
    audio.removeAttribute("src");
    audio.load();
  });
  return {
    audio,
    async play(startS, endS, n) {
      await ready;
      if (signal.aborted) return;
      audio.pause();
      [end, part] = [endS, n];
      audio.currentTime = startS;
      await audio.play();
    },
  };
}

async function sourceOf(callId, wav, signal) {
  controlled ??= withWorker();
  if (await controlled) return callPath(callId, "/audio.wav");
  return signal.aborted ? "" : URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
}

/** Whether a service worker of ours sees this page's requests. */
async function withWorker() {
  const workers = navigator.serviceWorker;
  if (!workers) return false;
  workers.addEventListener("message", (event) => event.ports[0]?.postMessage(key()));
  workers.startMessages();
  try {
    await workers.register(trusted(WORKER), { scope: "/" });
  } catch {
    return false;
  }
  if (workers.controller) return true;
  return Promise.race([
    new Promise((resolve) => workers.addEventListener("controllerchange", () => resolve(true), { once: true })),
    new Promise((resolve) => setTimeout(() => resolve(false), PATIENCE_MS)),
  ]);
}

/** Our policy (frontend/routes_console.py) lets scripts come from named places only; this is the one. */
function trusted(address) {
  if (!window.trustedTypes) return address;
  const policy = window.trustedTypes.createPolicy("tosia", {
    createScriptURL: (given) => {
      if (given !== WORKER) throw new TypeError("not a script of ours");
      return given;
    },
  });
  return policy.createScriptURL(address);
}
