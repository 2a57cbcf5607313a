// Ask for the key, once for each tab.

import { forgetKey, keepKey, request } from "./api.js";
import { alertOf, element } from "./elements.js";
import { text } from "./message_lookup.js";

/** Returns the view's title. done: called once a key was accepted. */
export function showKey(content, signal, why, done) {
  const field = element("input", {
    type: "password",
    id: "key",
    required: true,
    autocomplete: "off",
    spellcheck: false,
  });
  const button = element("button", { className: "main", type: "submit" }, text("enter"));
  const problem = element("div", {}, why ? alertOf(why) : null);

  async function enter(event) {
    event.preventDefault();
    button.disabled = true;
    try {
      await request("/v1/model", "json", { signal, withKey: field.value });
    } catch (error) {
      if (error.name === "AbortError") return;
      // A service that is not ready has read the key all the same; what a header can't carry is no key of ours.
      if (error.status !== 503) {
        forgetKey();
        problem.replaceChildren(
          alertOf(error.status === 401 || !isPlain(field.value) ? text("keyWrong") : error.message),
        );
        button.disabled = false;
        field.focus();
        return;
      }
    }
    keepKey(field.value);
    done();
  }

  content.replaceChildren(
    element("h1", { tabIndex: -1 }, text("keyTitle")),
    element(
      "form",
      { onsubmit: enter },
      element("label", { for: "key" }, text("key")),
      element("p", { className: "how", id: "key-why" }, text("keyWhy")),
      element("div", { className: "row" }, field, button),
    ),
    problem,
  );
  field.setAttribute("aria-describedby", "key-why");
  field.focus();
  return text("keyTitle");
}

function isPlain(value) {
  return /^[\x21-\x7e]*$/.test(value);
}
