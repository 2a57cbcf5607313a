// The API: the key of this tab, requests with it, and problems as errors.

import { language, text } from "./message_lookup.js";

const KEY = "tosia.key";

let withoutStorage = null; // where the browser keeps nothing for us, the key lasts as long as the page

/**
 * What the API, or the way to it, refused. status: 0 where no answer came; location: of the call that was stored
 * all the same.
 */
export class Problem extends Error {
  constructor(status, detail, { title = "", code = "", requestId = "", location = "", retryAfterS = 0 } = {}) {
    super(detail);
    Object.assign(this, { status, title, code, requestId, location, retryAfterS });
  }
}

export function key() {
  try {
    return sessionStorage.getItem(KEY) ?? withoutStorage;
  } catch {
    return withoutStorage;
  }
}

export function keepKey(value) {
  try {
    sessionStorage.setItem(KEY, value);
  } catch {
    withoutStorage = value;
  }
}

export function forgetKey() {
  withoutStorage = null;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // There was none.
  }
}

/** The path of a call; ids are of plain characters, but whoever links here may write anything. */
export function callPath(callId, rest = "") {
  return `/v1/calls/${encodeURIComponent(callId)}${rest}`;
}

/**
 * What a response that is no error brings; read: "json", "blob", "arrayBuffer" or "text". Throws: Problem;
 * AbortError where the signal says so.
 */
export async function request(path, read, { method = "GET", signal, withKey = key() } = {}) {
  try {
    const response = await fetch(path, { method, signal, cache: "no-store", headers: ours(withKey) });
    if (!response.ok) throw problemOf(response.status, await response.text(), (name) => response.headers.get(name));
    return await response[read]();
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Problem) throw error;
    throw new Problem(0, text("unreachable")); // cut off, or not our answer: a proxy's page
  }
}

/**
 * The record of a recording that was posted. onProgress: called with the fraction that was sent, 1 once all of it was
 * (fetch can't tell). Throws: Problem; AbortError.
 */
export function postRecording(audio, name, callId, { onProgress, signal }) {
  const form = new FormData();
  form.append("audio", audio, name);
  form.append("call_id", callId);
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", "/v1/diagnoses");
    for (const [header, value] of Object.entries(ours(key()))) xhr.setRequestHeader(header, value);
    xhr.upload.addEventListener("progress", (event) =>
      onProgress(event.lengthComputable ? event.loaded / event.total : 0),
    );
    xhr.upload.addEventListener("load", () => onProgress(1));
    xhr.addEventListener("load", () => {
      if (xhr.status >= 400) {
        reject(problemOf(xhr.status, xhr.responseText, (header) => xhr.getResponseHeader(header)));
        return;
      }
      try {
        const record = JSON.parse(xhr.responseText);
        if (!record.call_id) throw new TypeError("no record");
        resolve(record);
      } catch {
        reject(new Problem(0, text("unreachable")));
      }
    });
    xhr.addEventListener("error", async () => {
      // A file that was changed or removed after it was chosen can't be read any more, and looks like a broken line.
      const readable = await audio
        .slice(0, 1)
        .arrayBuffer()
        .then(
          () => true,
          () => false,
        );
      reject(new Problem(0, text(readable ? "unreachable" : "unreadable")));
    });
    xhr.addEventListener("abort", () => reject(new DOMException("left", "AbortError")));
    signal.addEventListener("abort", () => xhr.abort());
    xhr.send(form);
  });
}

function ours(apiKey) {
  return { "Accept-Language": language(), ...(apiKey ? { "X-API-Key": apiKey } : {}) };
}

function problemOf(status, body, header) {
  const more = {
    requestId: header("X-Request-ID") ?? "",
    location: header("Location") ?? "",
    retryAfterS: Number(header("Retry-After")) || 0,
  };
  try {
    const { title, detail, code } = JSON.parse(body);
    return new Problem(status, detail ?? text("unreachable"), { title, code, ...more });
  } catch {
    return new Problem(status, text("unreachable"), more); // not ours: a proxy's page
  }
}
