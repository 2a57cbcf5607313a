// The figure of a call, at its own size: it is made for reading, and wider than a telephone.

import { element } from "./elements.js";
import { text } from "./message_lookup.js";

/** address: of the picture, which the signal revokes. */
export function showFigure(address, callId, signal) {
  const dialog = element(
    "dialog",
    { className: "wide", "aria-labelledby": "figure-title", onclose: () => dialog.remove() },
    element("h2", { id: "figure-title" }, text("figureOf", { id: callId })),
    element(
      "div",
      { className: "scroll", tabIndex: 0, role: "region", "aria-labelledby": "figure-title" },
      element("img", { src: address, alt: text("figureAlt") }),
    ),
    element("form", { method: "dialog" }, element("button", { autofocus: true }, text("close"))),
  );
  document.body.append(dialog);
  signal.addEventListener("abort", () => dialog.close());
  dialog.showModal();
}
