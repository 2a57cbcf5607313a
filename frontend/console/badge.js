// A call's status in one word, with a colour that only repeats what the word says.

import { element } from "./elements.js";
import { word } from "./message_lookup.js";

const LOOKS = { ok: "good", failed: "error", received: "" };

/** How a record looks: `good`, `warn`, `error`, or "" while it waits. */
export function lookOf(record) {
  return LOOKS[record.diagnosis?.status ?? record.state] ?? "warn";
}

export function badgeOf(record) {
  return element(
    "span",
    { className: `badge ${lookOf(record)}` },
    record.diagnosis ? word("status", record.diagnosis.status) : word("state", record.state),
  );
}
