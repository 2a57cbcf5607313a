// Ask before a call is erased: it can't be undone.

import { element } from "./elements.js";
import { text } from "./message_lookup.js";

/** Whether to go on. */
export function confirmErasing(callId, signal) {
  return new Promise((resolve) => {
    const cancel = element("button", { value: "", autofocus: true }, text("cancel"));
    const dialog = element(
      "dialog",
      {
        "aria-labelledby": "erase-title",
        onclose: () => {
          dialog.remove();
          resolve(dialog.returnValue === "erase");
        },
      },
      element(
        "form",
        { method: "dialog" },
        element("h2", { id: "erase-title" }, text("eraseTitle")),
        element("p", {}, text("eraseWhat", { id: callId })),
        element(
          "div",
          { className: "row" },
          cancel,
          element("button", { value: "erase", className: "danger", id: "erase-now" }, text("erase")),
        ),
      ),
    );
    document.body.append(dialog);
    signal.addEventListener("abort", () => dialog.close());
    dialog.showModal();
  });
}
