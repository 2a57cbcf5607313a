// How a problem is shown: what it says, what to quote when asking for help, and the call that was stored all the same.

import { alertOf, element } from "./elements.js";
import { text } from "./message_lookup.js";

/** An alert; more: elements below the words, such as a button to try again. */
export function problemOf(problem, ...more) {
  const callId = problem.location?.match(/^\/v1\/calls\/(.+)$/)?.[1];
  return alertOf(
    problem.title ? element("p", {}, element("strong", {}, problem.title)) : null,
    element("p", {}, problem.message),
    callId ? element("p", {}, element("a", { href: `#/calls/${callId}` }, text("seeRecord"))) : null,
    problem.requestId ? element("p", { className: "how" }, text("requestId", { id: problem.requestId })) : null,
    ...more,
  );
}
