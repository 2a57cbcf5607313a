// Recent calls, newest first, with filters and pages.

import { request } from "./api.js";
import { badgeOf } from "./badge.js";
import { element } from "./elements.js";
import { problemOf } from "./problem_view.js";
import { moment, number, text, word } from "./message_lookup.js";

const PAGE = 20;
const STATES = ["received", "diagnosed", "failed"];
const STATUSES = ["ok", "no_cough", "poor_quality", "inconclusive"];

/** Returns the view's title. parameters: `state`, `status` and `after`, as the API takes them. */
export function showCalls(place, parameters) {
  let after = parameters.get("after");
  const list = element("div", { id: "list" }, element("p", {}, text("loading")));
  const state = choice("state", STATES, parameters.get("state"), filter);
  const status = choice("status", STATUSES, parameters.get("status"), filter);
  const wanted = element("input", {
    type: "search",
    id: "find",
    required: true,
    autocomplete: "off",
    spellcheck: false,
  });
  place.put(
    element("h1", { tabIndex: -1 }, text("calls")),
    element(
      "div",
      { className: "row" },
      element("div", {}, element("label", { for: "state" }, text("state")), state),
      element("div", {}, element("label", { for: "status" }, text("status")), status),
      element("button", { type: "button", id: "refresh", onclick: load }, text("refresh")),
    ),
    element(
      "form",
      { className: "row", onsubmit: find },
      element("div", {}, element("label", { for: "find" }, text("find")), wanted),
      element("button", { type: "submit" }, text("open")),
    ),
    list,
  );
  load();
  return text("calls");

  /** Only the list changes: with the keyboard one passes every choice on the way to the one that one wants. */
  function filter() {
    after = null;
    history.pushState(null, "", addressOf(chosen()));
    load();
  }

  function find(event) {
    event.preventDefault();
    const callId = wanted.value.trim();
    if (callId) place.go(`#/calls/${encodeURIComponent(callId)}`);
  }

  function chosen() {
    return { state: state.value, status: status.value };
  }

  async function load() {
    list.setAttribute("aria-busy", "true");
    const asked = query({ ...chosen(), after, limit: PAGE });
    try {
      const page = await request(`/v1/calls?${asked}`, "json", { signal: place.signal });
      // else another choice was made meanwhile
      if (asked === query({ ...chosen(), after, limit: PAGE })) list.replaceChildren(...drawPage(page));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (error.status === 401) place.askKey();
      else list.replaceChildren(problemOf(error, element("button", { type: "button", onclick: load }, text("retry"))));
    }
    list.setAttribute("aria-busy", "false");
  }

  function drawPage(page) {
    return [
      page.items.length
        ? element("ol", { className: "calls", "aria-label": text("callsOf") }, ...page.items.map(drawCall))
        : element("p", {}, text("none")),
      element(
        "div",
        { className: "row" },
        after ? element("a", { className: "button", href: addressOf(chosen()) }, text("newest")) : null,
        page.next
          ? element(
              "a",
              { className: "button", id: "older", href: addressOf({ ...chosen(), after: page.next }) },
              text("older"),
            )
          : null,
      ),
    ];
  }
}

function drawCall(record) {
  const result = record.diagnosis?.result;
  return element(
    "li",
    {},
    element("time", { dateTime: record.received_at }, moment(record.received_at)),
    element(
      "div",
      {},
      element("a", { href: `#/calls/${encodeURIComponent(record.call_id)}` }, record.call_id),
      result
        ? element(
            "div",
            { className: "more" },
            text("probabilityOf", { label: word("label", "positive"), value: number(result.probability) }),
          )
        : null,
    ),
    badgeOf(record),
  );
}

function choice(name, values, selected, onchange) {
  return element(
    "select",
    { id: name, onchange },
    element("option", { value: "" }, text("any")),
    ...values.map((value) => element("option", { value, selected: value === selected }, word(name, value))),
  );
}

function addressOf(parameters) {
  const found = query(parameters);
  return found ? `#/calls?${found}` : "#/calls";
}

function query(parameters) {
  return new URLSearchParams(Object.entries(parameters).filter(([, value]) => value)).toString();
}
