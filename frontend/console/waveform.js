// The waveform, its candidates marked and playable.

import { element } from "./elements.js";
import { number, text } from "./message_lookup.js";
import { peaksOf } from "./wav.js";

const NARROW_PX = 18; // a number and its borders want so much

/** The name of a segment for people: number 1 is the first of the API's `segments`, which count from 0. */
export function nameOf(segment, n) {
  return text(segment.is_cough ? "cough" : "other", { n: n + 1 });
}

/** A tone by its frequencies in whole Hz. */
export function toneName(tone) {
  return text("toneOf", { frequencies: tone.frequencies_hz.map((hz) => Math.round(hz)).join(" + ") });
}

/**
 * {box, follow}: the element, and a function that moves the cursor to a time and marks the part that is played (-1:
 * none).
 * samples: Int16Array; segments, audio: of the diagnosis; play: called with a segment's number.
 */
export function waveformOf(samples, durationS, { segments, audio }, play, signal) {
  const canvas = element("canvas", {
    role: "img",
    "aria-label": text("waveformOf", {
      duration: number(durationS, 1),
      count: segments.filter((one) => one.is_cough).length,
    }),
  });
  const cursor = element("div", { className: "cursor", hidden: true });
  const marks = segments.map((segment, n) => {
    const mark = element(
      "button",
      {
        type: "button",
        className: `mark ${segment.is_cough ? "cough" : "other"}`,
        onclick: () => play(n),
        "aria-label": text("playCough", {
          name: nameOf(segment, n),
          start: number(segment.start_s),
          end: number(segment.end_s),
        }),
      },
      segment.is_cough ? String(n + 1) : "",
    );
    mark.style.left = `${(segment.start_s / durationS) * 100}%`;
    mark.style.width = `${((segment.end_s - segment.start_s) / durationS) * 100}%`;
    return mark;
  });
  const tones = (audio.tones ?? []).map((tone) => {
    const name = toneName(tone);
    const shade = element("div", { className: "tone", title: name }, element("span", {}, name));
    shade.style.left = `${(tone.start_s / durationS) * 100}%`;
    shade.style.width = `${((tone.end_s - tone.start_s) / durationS) * 100}%`;
    return shade;
  });
  const hum = audio.hum_hz
    ? [element("div", { className: "hum" }, element("span", {}, text("humName", { hz: audio.hum_hz })))]
    : [];
  const box = element("div", { className: "waveform" }, canvas, ...hum, ...tones, ...marks, cursor);
  const draw = () => {
    drawPeaks(canvas, samples);
    marks.forEach((mark) => mark.classList.toggle("narrow", mark.clientWidth < NARROW_PX));
  };
  const size = new ResizeObserver(draw);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  size.observe(canvas);
  dark.addEventListener("change", draw, { signal });
  signal.addEventListener("abort", () => size.disconnect());
  return {
    box,
    follow(timeS, n) {
      cursor.hidden = false;
      cursor.style.left = `${(timeS / durationS) * 100}%`;
      marks.forEach((mark, index) => mark.classList.toggle("playing", index === n));
    },
  };
}

function drawPeaks(canvas, samples) {
  const { clientWidth, clientHeight } = canvas;
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(clientWidth * scale));
  canvas.height = Math.max(1, Math.round(clientHeight * scale));
  const pen = canvas.getContext("2d");
  pen.fillStyle = getComputedStyle(canvas).getPropertyValue("--wave");
  const peaks = peaksOf(samples, canvas.width);
  const loudest = Math.max(1e-4, ...peaks.map(([low, high]) => Math.max(-low, high)));
  const middle = canvas.height / 2;
  const reach = middle - 20 * scale; // the marks' numbers stand above
  peaks.forEach(([low, high], x) => {
    const top = middle - (high / loudest) * reach;
    const bottom = middle - (low / loudest) * reach;
    pen.fillRect(x, top, 1, Math.max(1, bottom - top));
  });
}
