// What else a record says: what was received, what judged it, and the digests by which it can be made again.

import { element } from "./elements.js";
import { moment, number, text, word } from "./message_lookup.js";
import { toneName } from "./waveform.js";

export function factsOf(record) {
  const { diagnosis } = record;
  const rows = [["receivedAt", moment(record.received_at)]];
  if (diagnosis) {
    const { audio, model } = diagnosis;
    rows.push(
      ["duration", text("seconds", { value: number(audio.duration_s) })],
      [
        "source",
        text("sourceOf", {
          codec: audio.codec,
          rate: number(audio.sample_rate_hz / 1000, 1),
          channels: audio.channels,
        }),
      ],
      ["channel", audio.channel === "mix" ? text("mix") : String(audio.channel)],
      ["snr", audio.snr_db === null ? text("unknown") : `${number(audio.snr_db, 1)} dB`],
      ["bandwidth", `${number(audio.bandwidth_hz / 1000, 1)} kHz`],
      ["clipped", `${number(audio.clipped_fraction * 100, 1)} %`],
      ["hum", humOf(audio)],
      ["tones", tonesOf(audio)],
      ["model", `${model.name} ${model.version}, ${text(model.validated ? "validated" : "notValidated")}`],
      ["reasons", diagnosis.reasons.map((reason) => word("reason", reason)).join(", ") || "–"],
      ["software", diagnosis.software_version],
      ["modelDigest", code(model.sha256)],
    );
  } else if (record.failure) {
    rows.push(["reasons", failureName(record.failure.code)]);
  }
  rows.push(["attempts", String(record.attempts)], ["audioDigest", code(record.audio.sha256)]);
  if (record.history)
    rows.push(["history", record.history.map((one) => `${moment(one.at)}: ${one.diagnosis.model.version}`).join("; ")]);
  return [
    element("h2", {}, text("details")),
    element(
      "dl",
      { className: "facts", id: "facts" },
      ...rows.flatMap(([name, value]) => [element("dt", {}, text(name)), element("dd", {}, value)]),
    ),
  ];
}

/** A record before 0.4.0 says nothing of hum and tones. */
function humOf(audio) {
  if (!audio.tones) return text("unknown");
  return audio.hum_hz ? text("humOf", { hz: audio.hum_hz, db: number(audio.hum_db, 0) }) : text("noHum");
}

function tonesOf(audio) {
  if (!audio.tones) return text("unknown");
  const named = audio.tones.map((tone) =>
    text("toneFrom", { name: toneName(tone), start: number(tone.start_s), end: number(tone.end_s) }),
  );
  return named.join("; ") || text("noTones");
}

function code(digest) {
  return element("code", {}, digest);
}

/** A failure that a request met, too, has the title of that problem. */
function failureName(failure) {
  const name = word("failure", failure);
  return name === failure ? word("title", failure) : name;
}
