"""Pictures for people: a recording with its coughs marked, and one cough's colour spectrogram.

The input is samples and their diagnosis, so that an old record can be drawn again. People count candidates
from 1: number 1 is the record's `segments[0]`. pyplot is not used: its global state is not suitable for servers.
Positions are computed in inches: matplotlib's own layouts draw everything twice to find them.
"""

from __future__ import annotations

import io
import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from preprocess.color import ColorSpecParams, color_table, colorize, quantise
from preprocess.mel import MelSpecParams, hz_to_mel
from runtime.diagnosis import Diagnosis
from runtime.figures.labels import ENGLISH, FigureWords
from runtime.figures.playback import candidate_powers
from runtime.figures.waveform import draw_labels, draw_waveform, legend_entries, name_axes, place_labels
from runtime.model_facts import LABELS
from runtime.prepare import MIX

_MAX_SPECTROGRAMS = 8

# Inches; 100 dots each.
_WIDTH, _LEFT, _RIGHT = 11.0, 0.85, 0.33
_HEAD, _LINE, _WAVEFORM, _BELOW = 0.42, 0.19, 1.8, 0.55
_ABOVE_SPECTROGRAMS, _SPECTROGRAM, _WIDEST, _GAP, _SCALE = 0.58, 1.9, 2.2, 0.14, 0.85


@dataclass(frozen=True, slots=True)
class _Sheet:
    """A figure that is filled from the top."""

    figure: Figure
    height: float

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Add axes. All numbers are in inches; top: below the figure's upper edge."""
        bottom = self.height - top - height
        return self.figure.add_axes((left / _WIDTH, bottom / self.height, width / _WIDTH, height / self.height))

    def text(self, left: float, top: float, text: str, **style: Any) -> None:
        self.figure.text(left / _WIDTH, 1.0 - top / self.height, text, va="top", **style)


def draw_figure(
    samples: NDArray[np.float32],
    diagnosis: Diagnosis,
    mel_spec: MelSpecParams,
    color_spec: ColorSpecParams,
    words: FigureWords = ENGLISH,
) -> bytes:
    """Draw a PNG, 1100 dots wide: the result, the waveform with every candidate, its number and its score, with tones
    and hum, and below it the colour spectrograms of the first coughs (without coughs, of the first candidates).

    Numbers count from 1: number 1 is `segments[0]`. Where candidates are too close for their numbers, the figure says
    how many candidates have no number.

    samples: of `runtime.figures.playback.at_model_rate`
    """
    segments = diagnosis.segments
    duration_s = len(samples) / mel_spec.sample_rate_hz
    shown = [n for n, segment in enumerate(segments) if segment.is_cough] or list(range(len(segments)))
    shown = shown[:_MAX_SPECTROGRAMS]
    lines = _said(diagnosis, words)
    width = _WIDTH - _LEFT - _RIGHT
    labels = place_labels(segments, shown, duration_s, width)
    top = _HEAD + _LINE * len(lines) + labels.height_in
    below = top + _WAVEFORM + _BELOW
    height = below + (_ABOVE_SPECTROGRAMS + _SPECTROGRAM + _BELOW if shown else 0.0)
    figure = Figure(figsize=(_WIDTH, height))
    FigureCanvasAgg(figure)
    sheet = _Sheet(figure, height)
    sheet.text(_LEFT, 0.12, _headline(diagnosis, words), fontsize=11.5, weight="bold")
    for row, line in enumerate(lines):
        sheet.text(_LEFT, _HEAD - 0.05 + _LINE * row, line, fontsize=9)
    if segments or diagnosis.audio.tones:
        entries = legend_entries(words, bool(diagnosis.audio.tones))
        figure.legend(
            handles=entries, loc="upper right", bbox_to_anchor=(1.0 - _RIGHT / _WIDTH, 1.0 - 0.08 / height),
            ncols=3, fontsize=9, frameon=False, borderaxespad=0.0, handlelength=1.6, handleheight=1.1,
        )  # fmt: skip
    if segments:
        above = sheet.axes(_LEFT, top - labels.height_in, width, labels.height_in)
        draw_labels(above, segments, labels, duration_s, words)
    middle = sheet.axes(_LEFT, top, width, _WAVEFORM)
    draw_waveform(middle, samples, mel_spec.sample_rate_hz, segments, duration_s, words, diagnosis.audio)
    if labels.without:
        text = words.too_close.format(count=labels.without)
        sheet.text(_WIDTH - _RIGHT, below - 0.2, text, fontsize=8, ha="right", style="italic")
    if shown:
        candidates = [segments[n] for n in shown]
        levels = quantise(candidate_powers(samples, candidates, mel_spec), color_spec)
        _draw_spectrograms(sheet, below, levels, shown, diagnosis, mel_spec, color_spec, words)
    return _png(figure)


def draw_segment(
    samples: NDArray[np.float32],
    diagnosis: Diagnosis,
    n: int,
    mel_spec: MelSpecParams,
    color_spec: ColorSpecParams,
) -> bytes:
    """Draw candidate n's colour spectrogram as a PNG: exactly the model's input levels, four pixels a cell, low
    frequencies at the bottom.

    samples: as of `draw_figure`

    Raises: IndexError if there is no candidate n.
    """
    if not 0 <= n < len(diagnosis.segments):
        raise IndexError(n)
    levels = quantise(candidate_powers(samples, [diagnosis.segments[n]], mel_spec), color_spec)
    image = colorize(levels[0], color_spec)[::-1]
    enlarged = np.repeat(np.repeat(image, 4, axis=0), 4, axis=1)
    figure = Figure(figsize=(enlarged.shape[1] / 100, enlarged.shape[0] / 100), dpi=100)
    FigureCanvasAgg(figure)
    figure.figimage(enlarged)
    return _png(figure)


def _headline(diagnosis: Diagnosis, words: FigureWords) -> str:
    audio = diagnosis.audio
    coughs, candidates = len(diagnosis.coughs), len(diagnosis.segments)
    others = "" if coughs == candidates else words.among.format(count=candidates)
    channel = words.both_channels if audio.channel == MIX else words.channel.format(channel=audio.channel)
    found = words.coughs[coughs != 1].format(count=coughs)
    duration = words.seconds.format(duration=audio.duration_s)
    status = words.name_of("status", diagnosis.status)
    return f"{status}: {found}{others}{duration}{'' if audio.channels == 1 else channel}"


def _said(diagnosis: Diagnosis, words: FigureWords) -> list[str]:
    """Return the lines with the result and all reasons, none of them cut off."""
    lines = []
    if diagnosis.result:
        result = diagnosis.result
        low, high = result.thresholds.low, result.thresholds.high
        thresholds = words.threshold[low != high].format(low=low, high=high)
        said = words.result.format(
            label=words.name_of("label", result.label),
            last=words.name_of("label", LABELS[-1]),
            probability=result.probability,
            thresholds=thresholds,
        )
        lines.append(said + ("" if result.validated else words.not_validated))
    if diagnosis.reasons:
        lines.append(
            words.reasons.format(reasons=", ".join(words.name_of("reason", reason) for reason in diagnosis.reasons))
        )
    return [part for line in lines for part in textwrap.wrap(line, 140)]


def _what_is_shown(count: int, diagnosis: Diagnosis, words: FigureWords) -> str:
    coughs = len(diagnosis.coughs)
    if count < (coughs or len(diagnosis.segments)):
        first = words.spectrograms_of_the_first if coughs else words.of_the_first_candidates
        return first.format(count=count)
    return (words.spectrograms if coughs else words.of_candidates)[count != 1]


def _draw_spectrograms(
    sheet: _Sheet,
    top: float,
    levels: NDArray[np.uint8],
    shown: list[int],
    diagnosis: Diagnosis,
    mel_spec: MelSpecParams,
    color_spec: ColorSpecParams,
    words: FigureWords,
) -> None:
    """Draw spectrograms side by side, with one frequency axis for all, and the scale of their colours."""
    sheet.text(_LEFT, top, _what_is_shown(len(shown), diagnosis, words), fontsize=9)
    top += _ABOVE_SPECTROGRAMS
    room = _WIDTH - _LEFT - _RIGHT - _SCALE
    width = min(room / len(shown) - _GAP, _WIDEST)
    for column, (n, image) in enumerate(zip(shown, levels, strict=True)):
        axis = sheet.axes(_LEFT + column * (width + _GAP), top, width, _SPECTROGRAM)
        _draw_spectrogram(axis, image, n, diagnosis, mel_spec, color_spec, words)
        name_axes(axis, words.time, "" if column else words.frequency)
        axis.tick_params(labelleft=not column)
    scale = sheet.axes(_LEFT + len(shown) * (width + _GAP) + 0.06, top, 0.14, _SPECTROGRAM)
    scale.imshow(
        color_table(color_spec)[:, None],
        origin="lower",
        aspect="auto",
        extent=(0.0, 1.0, color_spec.min_db, color_spec.max_db),
    )
    scale.set_xticks([])
    scale.yaxis.tick_right()
    scale.yaxis.set_label_position("right")
    name_axes(scale, "", words.level)


def _draw_spectrogram(
    axis: Axes,
    levels: NDArray[np.uint8],
    n: int,
    diagnosis: Diagnosis,
    mel_spec: MelSpecParams,
    color_spec: ColorSpecParams,
    words: FigureWords,
) -> None:
    duration_s = mel_spec.n_frames * mel_spec.hop_length / mel_spec.sample_rate_hz
    axis.imshow(
        colorize(levels, color_spec),
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(0.0, duration_s, 0.0, float(mel_spec.n_mels)),
    )
    ticks_hz = [f for f in (250.0, 500.0, 1000.0, 2000.0, 4000.0) if mel_spec.fmin_hz <= f <= mel_spec.fmax_hz]
    # The highest frequency is half a cell above the picture.
    rows = [min(_mel_row(f, mel_spec), float(mel_spec.n_mels)) for f in ticks_hz]
    axis.set_yticks(rows, [f"{f / 1000:g}" for f in ticks_hz])
    one = diagnosis.segments[n]
    where = words.at.format(start=one.start_s)
    axis.set_title(f"{n + 1}: {one.cough_probability:.2f}\n{where}", fontsize=9, linespacing=1.15)


def _mel_row(frequency_hz: float, mel_spec: MelSpecParams) -> float:
    """Return a frequency's row in the spectrogram, in cells from the bottom (Slaney's mel scale)."""
    low, here, high = (hz_to_mel(f) for f in (mel_spec.fmin_hz, frequency_hz, mel_spec.fmax_hz))
    return (here - low) / (high - low) * (mel_spec.n_mels + 1) - 0.5


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
