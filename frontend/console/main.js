// The page around the views: header, footer, which view is shown, and the key before any of them.
//
// Addresses are fragments (`#/calls/ID`), which stay in the browser: no server's log sees which call somebody looked
// at.

import { forgetKey, key, request } from "./api.js";
import { showCall } from "./call_view.js";
import { showCalls } from "./calls_view.js";
import { announce, element } from "./elements.js";
import { showKey } from "./key_view.js";
import { discard, showSend } from "./send_view.js";
import { language, switchLanguage, text } from "./message_lookup.js";

const content = document.getElementById("content");
let leaving = new AbortController();
let model = null;

window.addEventListener("hashchange", () => show());
show({ first: true });

/** Show what the address names; whatever the view before still does is aborted. */
function show({ first = false } = {}) {
  leaving.abort();
  leaving = new AbortController();
  document.documentElement.lang = language();
  drawFrame();
  const place = {
    signal: leaving.signal,
    put: (...parts) => content.replaceChildren(...parts),
    go: (hash) => (location.hash === hash ? show() : (location.hash = hash)),
    askKey: () => showKeyView(text("keyWrong")),
  };
  if (key() === null) {
    showKeyView();
    return;
  }
  askModel();
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const parameters = new URLSearchParams(query ?? "");
  const callId = path.match(/^\/calls\/(.+)$/)?.[1];
  let title = text("notFound");
  if (path === "" || path === "/") title = showSend(place);
  else if (path === "/calls") title = showCalls(place, parameters);
  else if (callId !== undefined) title = showCall(place, decoded(callId));
  else place.put(element("h1", { tabIndex: -1 }, title));
  entitle(title);
  // Who follows a link with a screen reader starts at the new heading.
  if (!first) content.querySelector("h1")?.focus();
}

function showKeyView(why = "") {
  leaving.abort();
  leaving = new AbortController();
  forgetKey();
  model = null;
  drawFrame();
  entitle(showKey(content, leaving.signal, why, () => show()));
}

function entitle(title) {
  document.title = `${title} · Tos.IA`;
}

function drawFrame() {
  const skip = document.getElementById("skip");
  skip.textContent = text("skip");
  skip.onclick = (event) => {
    event.preventDefault(); // a fragment is an address here
    content.focus();
  };
  const path = location.hash.replace(/^#/, "").split("?")[0] || "/";
  const link = (hash, name) =>
    element("a", { href: hash, "aria-current": path === hash.slice(1) ? "page" : null }, text(name));
  const other = language() === "es" ? "en" : "es";
  document
    .getElementById("header")
    .replaceChildren(
      element("a", { className: "brand", href: "#/" }, element("img", { src: "/console/icon.svg", alt: "" }), "Tos.IA"),
      element(
        "nav",
        { "aria-label": text("menu") },
        link("#/", "send"),
        link("#/calls", "calls"),
        element("a", { href: "/docs" }, text("apiDocs")),
      ),
      element(
        "button",
        { className: "plain", type: "button", id: "language", lang: other, onclick: otherLanguage },
        text("otherLanguage"),
      ),
      key() === null
        ? ""
        : element("button", { className: "plain", type: "button", id: "forget", onclick: leave }, text("forgetKey")),
    );
  drawFooter();
}

function drawFooter() {
  const served = model && [
    `${text("model")}: ${model.name} ${model.version}, `,
    element("strong", {}, text(model.validated ? "validated" : "notValidated")),
  ];
  document
    .getElementById("footer")
    .replaceChildren(element("p", {}, text("intendedUse")), element("p", { id: "model" }, ...(served ?? [])));
}

async function askModel() {
  if (model !== null) return;
  try {
    model = await request("/v1/model", "json");
    drawFooter();
  } catch {
    model = null; // the views say what is wrong; the next one asks again
  }
}

function otherLanguage() {
  switchLanguage();
  show({ first: true });
  document.getElementById("language").focus();
}

function leave() {
  discard();
  showKeyView();
  announce(text("keyForgotten"));
}

function decoded(component) {
  try {
    return decodeURIComponent(component);
  } catch {
    return component;
  }
}
