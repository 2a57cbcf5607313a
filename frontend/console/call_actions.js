// What can be done with a call: look at its figure, take audio or record along, erase it.

import { callPath, request } from "./api.js";
import { announce, element } from "./elements.js";
import { confirmErasing } from "./erase_dialog.js";
import { showFigure } from "./figure_dialog.js";
import { pictureOf } from "./patience.js";
import { problemOf } from "./problem_view.js";
import { text } from "./message_lookup.js";

const ENDINGS = {
  "audio/ogg": ".ogg",
  "audio/opus": ".opus",
  "audio/wav": ".wav",
  "audio/x-wav": ".wav",
  "audio/flac": ".flac",
  "audio/mpeg": ".mp3",
  "audio/mp4": ".m4a",
  "audio/x-m4a": ".m4a",
  "audio/aac": ".aac",
  "audio/webm": ".webm",
  "video/webm": ".webm",
  "video/mp4": ".mp4",
  "audio/amr": ".amr",
  "video/3gpp": ".3gp",
};

export function actionsOf(place, record) {
  const { call_id: callId, diagnosis } = record;
  const { signal } = place;
  const problem = element("div", {});
  const button = (id, name, action, className = "") => {
    const made = element(
      "button",
      {
        type: "button",
        id,
        className,
        onclick: async () => {
          problem.replaceChildren();
          made.disabled = true; // once is enough
          try {
            await action();
          } catch (error) {
            if (error.status === 401) place.askKey();
            else if (error.name !== "AbortError") problem.replaceChildren(problemOf(error));
          }
          made.disabled = false;
        },
      },
      text(name),
    );
    return made;
  };
  const figure = async () => showFigure(await pictureOf(callPath(callId, "/figure.png"), signal), callId, signal);
  const audio = async () =>
    save(
      await request(callPath(callId, "/audio"), "blob", { signal }),
      callId + (ENDINGS[record.audio.content_type] ?? ""),
    );
  const json = () => save(new Blob([JSON.stringify(record, null, 2)], { type: "application/json" }), `${callId}.json`);
  const erase = async () => {
    if (!(await confirmErasing(callId, signal))) return;
    await request(callPath(callId), "text", { method: "DELETE", signal });
    place.go("#/calls");
    announce(text("erased", { id: callId }));
  };
  return element(
    "div",
    {},
    element(
      "div",
      { className: "row" },
      diagnosis ? button("figure", "figure", figure) : null,
      button("download-audio", "downloadAudio", audio),
      button("download-record", "downloadRecord", json),
      button("erase", "erase", erase, "danger"),
    ),
    problem,
  );
}

function save(blob, name) {
  const link = element("a", { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
