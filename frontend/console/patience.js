// Ask patiently: what the service has to decode a recording for costs it a moment, so a page asks for two at a time,
// and again where the service is busy.

import { request } from "./api.js";

const AT_ONCE = 2;
const TRIES = 5;

let running = 0;
const waiting = [];

/** As `request`, in its turn, and again after a 503. Throws: Problem; AbortError. */
export async function patiently(path, read, signal) {
  while (running >= AT_ONCE) await new Promise((resolve) => waiting.push(resolve));
  running += 1;
  try {
    for (let tried = 1; ; tried += 1) {
      try {
        return await request(path, read, { signal });
      } catch (error) {
        if (error.status !== 503 || tried === TRIES) throw error;
        await pause(error.retryAfterS || 1, signal);
      }
    }
  } finally {
    running -= 1;
    waiting.shift()?.();
  }
}

/** An address of a picture, until the signal is aborted. Throws: as `patiently`. */
export async function pictureOf(path, signal) {
  const address = URL.createObjectURL(await patiently(path, "blob", signal));
  signal.addEventListener("abort", () => URL.revokeObjectURL(address));
  return address;
}

/** Throws: AbortError. */
export function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(new DOMException("left", "AbortError"));
    });
  });
}
