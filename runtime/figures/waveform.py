"""The upper half of a figure: the waveform, every candidate marked in it, and above it their numbers and scores.

Coughs and other candidates differ in colour, and also in shape: coughs are shaded between solid lines and have a tall
bar, other candidates are hatched and have a low bar. Tones are dotted bands in the lower part, with their
frequencies; hum is a dotted band along the lower edge, with its name. Both lie over the waveform, which is loud there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from runtime.diagnosis import Audio, DiagnosedSegment, HeardTone
from runtime.figures.labels import FigureWords

_COUGH, _OTHER, _LINE = "#a0123f", "#4a4a4a", "#222222"
_SHADE: dict[str, Any] = {"facecolor": "#eac5d1", "edgecolor": _COUGH, "linewidth": 0.7}
_HATCH: dict[str, Any] = {"facecolor": "#f6f6f6", "edgecolor": "#a8a8a8", "linewidth": 0.0, "hatch": "/////"}
_DOTS: dict[str, Any] = {"facecolor": "#d9e6f2", "edgecolor": "#3d6a94", "linewidth": 0.5, "hatch": "...."}
_TONE_TEXT = "#234a6e"
_TONE_HIGH, _HUM_HIGH, _CHARACTER_IN = 0.1, 0.08, 0.075  # shares of the axis' height; width of a letter, in inches
_MAX_ROWS = 3
_MAX_COLUMNS = 2000  # columns of the drawn waveform: two for each dot
LABEL_IN = 0.30  # width of a number and its score with some space, in inches
ROW_IN, BARS_IN = 0.28, 0.12  # heights, in inches


@dataclass(frozen=True, slots=True)
class Labels:
    """Positions of labels.

    rows: candidate number -> row above the waveform; without: how many candidates had no room
    """

    rows: dict[int, int]
    without: int

    @property
    def height_in(self) -> float:
        """Return the height of the labels and the bars below them, in inches."""
        return BARS_IN + ROW_IN * (1 + max(self.rows.values())) if self.rows else 0.0


def place_labels(
    segments: Sequence[DiagnosedSegment], first: Sequence[int], duration_s: float, width_in: float
) -> Labels:
    """Place labels without overlap; candidates in `first` come before coughs, coughs before other candidates."""
    inches_per_s = width_in / duration_s
    order = [*first, *sorted(set(range(len(segments))) - set(first), key=lambda n: (not segments[n].is_cough, n))]
    taken: list[list[float]] = [[] for _ in range(_MAX_ROWS)]
    rows: dict[int, int] = {}
    for n in order:
        middle = _middle(segments[n]) * inches_per_s
        for row, others in enumerate(taken):
            if all(abs(middle - other) >= LABEL_IN for other in others):
                others.append(middle)
                rows[n] = row
                break
    return Labels(rows, len(segments) - len(rows))


def draw_labels(
    axis: Axes, segments: Sequence[DiagnosedSegment], labels: Labels, duration_s: float, words: FigureWords
) -> None:
    """Draw the labels. axis: as wide as the waveform's, `labels.height_in` high."""
    axis.set(xlim=(0.0, duration_s), ylim=(0.0, labels.height_in))
    axis.set_axis_off()
    for is_cough, height, color in ((True, 0.09, _COUGH), (False, 0.03, _OTHER)):
        spans = [
            (segment.start_s, segment.end_s - segment.start_s) for segment in segments if segment.is_cough == is_cough
        ]
        axis.broken_barh(spans, (0.015, height), facecolors=color, linewidth=0)
    raised = [(_middle(segments[n]), BARS_IN + ROW_IN * row) for n, row in labels.rows.items() if row]
    if raised:
        axis.vlines([x for x, _ in raised], BARS_IN, [y for _, y in raised], color="#c8c8c8", linewidth=0.6, zorder=0)
    for n, row in labels.rows.items():
        one = segments[n]
        axis.text(
            _middle(one),
            BARS_IN + ROW_IN * row,
            f"{n + 1}\n{one.cough_probability:.2f}",
            ha="center",
            va="bottom",
            fontsize=8,
            linespacing=1.05,
            color=_COUGH if one.is_cough else _OTHER,
            weight="bold" if one.is_cough else "normal",
        )
    axis.annotate(
        words.number_and_score,
        (0.0, BARS_IN),
        (-12.0, 0.0),
        textcoords="offset points",
        ha="right",
        va="bottom",
        fontsize=8,
        linespacing=1.05,
        color=_LINE,
    )


def draw_waveform(
    axis: Axes,
    samples: NDArray[np.float32],
    rate: int,
    segments: Sequence[DiagnosedSegment],
    duration_s: float,
    words: FigureWords,
    audio: Audio | None = None,
) -> None:
    """Draw the waveform, and the tones and the hum of `audio`. samples: float32 [shape=(n,)], n >= 1; rate: in Hz."""
    limit = max(float(np.abs(samples).max(initial=0.0)) * 1.1, 1e-4)
    axis.set(xlim=(0.0, duration_s), ylim=(-limit, limit))
    name_axes(axis, words.time, words.amplitude)
    for is_cough, style in ((True, _SHADE), (False, _HATCH)):
        spans = [
            (segment.start_s, segment.end_s - segment.start_s) for segment in segments if segment.is_cough == is_cough
        ]
        axis.broken_barh(spans, (-2.0 * limit, 4.0 * limit), zorder=1, **style)
    if audio:
        _draw_tones(axis, audio, limit, duration_s, words)
    axis.plot(*_outline(samples, rate), linewidth=0.5, color=_LINE, zorder=2)
    axis.xaxis.set_major_locator(MaxNLocator(12, steps=[1, 2, 5, 10]))
    axis.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axis.yaxis.set_major_formatter(lambda value, _: f"{100.0 * value:g}".replace("-", "−"))


def _draw_tones(axis: Axes, audio: Audio, limit: float, duration_s: float, words: FigureWords) -> None:
    """Shade tones and hum along the lower edge, each with its name where that does not cover the one before."""
    box: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6}
    style: dict[str, Any] = {"fontsize": 8, "color": _TONE_TEXT, "zorder": 4, "bbox": box}
    bottom, height = -limit, 2.0 * limit
    above_hum = bottom + _HUM_HIGH * height
    tones = audio.tones or ()
    spans = [(tone.start_s, tone.end_s - tone.start_s) for tone in tones]
    axis.broken_barh(spans, (above_hum, _TONE_HIGH * height), zorder=3, **_DOTS)
    per_s = axis.get_position().width * axis.figure.get_figwidth() / duration_s  # type: ignore[union-attr]
    free_in = 0.0
    for tone in tones:
        name = tone_name(tone, words)
        width_in = _CHARACTER_IN * len(name)
        left_in = min(tone.start_s * per_s, duration_s * per_s - width_in)
        if left_in >= free_in:
            axis.text(left_in / per_s, above_hum + (_TONE_HIGH + 0.02) * height, name, va="bottom", **style)
            free_in = left_in + width_in
    if audio.hum_hz is not None:
        axis.broken_barh([(0.0, duration_s)], (bottom, _HUM_HIGH * height), zorder=3, **_DOTS)
        name = words.hum_of.format(hz=audio.hum_hz)
        axis.text(duration_s, bottom + (_HUM_HIGH + 0.02) * height, name, ha="right", va="bottom", **style)


def tone_name(tone: HeardTone, words: FigureWords) -> str:
    """Name a tone by its frequencies in whole Hz."""
    return words.tone_of.format(frequencies=" + ".join(f"{hz:.0f}" for hz in tone.frequencies_hz))


def name_axes(axis: Axes, horizontal: str, vertical: str) -> None:
    """Name the axes, in the font sizes of the whole figure."""
    axis.set_xlabel(horizontal, fontsize=9.5)
    axis.set_ylabel(vertical, fontsize=9.5)
    axis.tick_params(labelsize=9)


def legend_entries(words: FigureWords, with_tones: bool = False) -> list[Patch]:
    """Return the legend's entries for a cough and for another candidate, and for a tone where there are any."""
    entries = [Patch(label=words.cough, **_SHADE), Patch(label=words.other, **{**_HATCH, "edgecolor": _OTHER})]
    return [*entries, Patch(label=words.tone, **_DOTS)] if with_tones else entries


def _middle(one: DiagnosedSegment) -> float:
    return (one.start_s + one.end_s) / 2.0


def _outline(samples: NDArray[np.float32], rate: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return times in s and amplitudes: all of them, or for a long recording the lowest and highest of each dot, which
    look the same.
    """
    step = len(samples) // _MAX_COLUMNS
    if step < 4:
        return np.arange(len(samples)) / rate, samples
    whole = samples[: len(samples) // step * step].reshape(-1, step)
    ends = np.stack([whole.min(axis=1), whole.max(axis=1)], axis=1).reshape(-1)
    return np.arange(len(ends)) * (step / 2.0 / rate), ends
