// Play a call's sound, whole or one cough of it, with an <audio> element that asks the API for ranges.
//
// The element can't send the key, so a service worker adds it (service_worker.js). Where there is none (a page that
// is not secure, some private windows, a reload past the cache), or the service can't be reached any more, the
// element gets the bytes that the waveform was drawn from.

import { callPath, key } from "./api.js";
import { element } from "./elements.js";
import { text } from "./message_lookup.js";

const WORKER = "/console/service_worker.js";
const PATIENCE_MS = 3000;

let controlled = null;

/**
 * {audio, play}: the element, and a function that plays from one time to another. follow: called with the time and
 * the part, -1 for none.
 */
export function playerOf(callId, wav, follow, signal) {
  const audio = element("audio", { controls: true, preload: "metadata", "aria-label": text("sound") });
  const bytes = URL.createObjectURL(new Blob([wav], { type: "audio/wav" }));
  let [end, part, ours] = [Infinity, -1, false];
  const whole = () => ([end, part] = [Infinity, -1]);
  const look = () => {
    if (audio.currentTime >= end) audio.pause();
    follow(audio.currentTime, part);
  };
  const watch = () => {
    look();
    if (!audio.paused && !signal.aborted) requestAnimationFrame(watch);
  };
  audio.addEventListener("play", watch);
  audio.addEventListener("timeupdate", look); // frames stand still in a tab that is not seen
  audio.addEventListener("seeking", () => {
    if (!ours) whole(); // the person wants to hear something else
    ours = false;
  });
  audio.addEventListener("pause", () => {
    if (audio.currentTime >= end || audio.ended) whole();
    follow(audio.currentTime, part);
  });
  audio.addEventListener("error", () => {
    if (!signal.aborted && audio.src && audio.src !== bytes) audio.src = bytes;
  });
  const ready = (controlled ??= withWorker()).then((there) => {
    if (!signal.aborted) audio.src = there ? callPath(callId, "/audio.wav") : bytes;
  });
  signal.addEventListener("abort", () => {
    audio.pause();
    audio.removeAttribute("src");
    audio.load();
    URL.revokeObjectURL(bytes);
  });
  return {
    audio,
    async play(startS, endS, n) {
      await ready;
      if (signal.aborted) return;
      audio.pause();
      [end, part, ours] = [endS, n, true];
      audio.currentTime = startS;
      try {
        await audio.play();
      } catch (error) {
        // another cough was asked for, or `error` mends it
        if (error.name !== "AbortError" && error.name !== "NotSupportedError") throw error;
      }
    },
  };
}

/** Whether a service worker of ours sees this page's requests. */
async function withWorker() {
  const workers = navigator.serviceWorker;
  if (!workers) return false;
  workers.addEventListener("message", (event) => event.ports[0]?.postMessage(key()));
  workers.startMessages();
  try {
    const { active } = await workers.register(trusted(WORKER), { scope: "/" });
    if (workers.controller) return true;
    if (active) return false; // a reload past the cache: it won't see this page
  } catch {
    return false;
  }
  return Promise.race([
    new Promise((resolve) => workers.addEventListener("controllerchange", () => resolve(true), { once: true })),
    new Promise((resolve) => setTimeout(() => resolve(false), PATIENCE_MS)),
  ]);
}

/** Our policy (frontend/api/console_routes.py) lets scripts come from named places only; this is the one. */
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
