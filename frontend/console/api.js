// The API: the key of this tab, requests with it, and problems as errors.

import { language, text } from "./texts.js";

const KEY = "tosia.key";

/** What the API, or the way to it, refused. status: 0 where no answer came; location: of the call that was stored all the same. */
export class Problem extends Error {
  constructor(status, detail, { title = "", code = "", requestId = "", location = "" } = {}) {
    super(detail);
    Object.assign(this, { status, title, code, requestId, location });
  }
}

export function key() {
  return sessionStorage.getItem(KEY);
}

export function keepKey(value) {
  sessionStorage.setItem(KEY, value);
}

export function forgetKey() {
  sessionStorage.removeItem(KEY);
}

/** The path of a call; ids are of plain characters, but whoever links here may write anything. */
export function callPath(callId, rest = "") {
  return `/v1/calls/${encodeURIComponent(callId)}${rest}`;
}

/** A response that is not an error. Throws: Problem; AbortError where the signal says so. */
export async function request(path, { method = "GET", signal, headers = {}, withKey = key() } = {}) {
  let response;
  try {
    response = await fetch(path, { method, signal, cache: "no-store", headers: { ...ours(withKey), ...headers } });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, text("unreachable"));
  }
  if (!response.ok) throw problemOf(response.status, await response.text(), (name) => response.headers.get(name));
  return response;
}

export async function getJson(path, options = {}) {
  return (await request(path, options)).json();
}

/**
 * Post a recording. onProgress: called with the fraction that was sent, 1 once all of it was (fetch can't tell).
 * Resolves to {record, retryAfterS}. Throws: Problem; AbortError.
 */
export function postRecording(audio, name, callId, { onProgress, signal }) {
  const form = new FormData();
  form.append("audio", audio, name);
  if (callId) form.append("call_id", callId);
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest();
    xhr.open("POST", "/v1/diagnoses");
    for (const [header, value] of Object.entries(ours(key()))) xhr.setRequestHeader(header, value);
    xhr.upload.addEventListener("progress", (event) => onProgress(event.lengthComputable ? event.loaded / event.total : 0));
    xhr.upload.addEventListener("load", () => onProgress(1));
    xhr.addEventListener("load", () => {
      const header = (one) => xhr.getResponseHeader(one);
      if (xhr.status >= 400) reject(problemOf(xhr.status, xhr.responseText, header));
      else resolve(JSON.parse(xhr.responseText));
    });
    xhr.addEventListener("error", () => reject(new Problem(0, text("unreachable"))));
    xhr.addEventListener("abort", () => reject(new DOMException("left", "AbortError")));
    signal.addEventListener("abort", () => xhr.abort());
    xhr.send(form);
  });
}

function ours(apiKey) {
  return { "Accept-Language": language(), ...(apiKey ? { "X-API-Key": apiKey } : {}) };
}

function problemOf(status, body, header) {
  const requestId = header("X-Request-ID") ?? "";
  const location = header("Location") ?? "";
  try {
    const { title, detail, code } = JSON.parse(body);
    return new Problem(status, detail ?? text("unreachable"), { title, code, requestId, location });
  } catch {
    return new Problem(status, text("unreachable"), { requestId, location }); // not ours: a proxy's page
  }
}
