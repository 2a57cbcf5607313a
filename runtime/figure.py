"""Pictures for people: a recording with its coughs marked, and one cough's colour spectrogram.

Drawn from the audio and its diagnosis, so that an old record can be drawn again. No pyplot: its global state is not made
for servers.
"""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from preprocess.color import ColorSpecParams, color_table, colorize, quantise
from preprocess.decode import DecodeLimits
from preprocess.mel import MelSpecParams, cut, mel_spectrograms
from preprocess.resample import resample
from preprocess.segment import Segment
from runtime.diagnosis import Diagnosis
from runtime.listen import diagnosed_channel

_COUGH, _OTHER = "#b3174b", "#8a8a8a"
_MAX_SPECTROGRAMS = 8


def draw_figure(
    data: bytes, diagnosis: Diagnosis, mel_spec: MelSpecParams, color_spec: ColorSpecParams, limits: DecodeLimits
) -> bytes:
    """PNG: the waveform with every candidate shaded, its number and score, and below it the colour spectrograms.

    Raises: a leaf of `preprocess.errors.AudioError`.
    """
    samples = _at_model_rate(data, diagnosis, mel_spec, limits)
    shown = [n for n, one in enumerate(diagnosis.segments) if one.is_cough] or list(range(len(diagnosis.segments)))
    shown = shown[:_MAX_SPECTROGRAMS]
    figure = Figure(figsize=(11.0, 5.6 if shown else 3.0), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.add_gridspec(2 if shown else 1, max(len(shown), 1))
    _draw_waveform(figure.add_subplot(grid[0, :]), samples, diagnosis, mel_spec.sample_rate_hz)
    levels = _levels(samples, diagnosis, shown, mel_spec, color_spec)
    axes = [figure.add_subplot(grid[1, column]) for column in range(len(shown))]
    for axis, n, image in zip(axes, shown, levels, strict=True):
        _draw_spectrogram(axis, image, n, diagnosis, mel_spec, color_spec)
    if axes:
        axes[0].set_ylabel("frequency (kHz, mel scale)")
        scale = Normalize(color_spec.min_db, color_spec.max_db)
        colors = ListedColormap(color_table(color_spec) / 255.0)
        figure.colorbar(ScalarMappable(scale, colors), ax=axes, label="dB below the cough's maximum")
    return _png(figure)


def draw_segment(
    data: bytes,
    diagnosis: Diagnosis,
    n: int,
    mel_spec: MelSpecParams,
    color_spec: ColorSpecParams,
    limits: DecodeLimits,
) -> bytes:
    """PNG of candidate n's colour spectrogram, exactly the levels that the model saw, four pixels a cell, low at the bottom.

    Raises: IndexError if there is no candidate n; a leaf of `preprocess.errors.AudioError`.
    """
    if not 0 <= n < len(diagnosis.segments):
        raise IndexError(n)
    samples = _at_model_rate(data, diagnosis, mel_spec, limits)
    image = colorize(_levels(samples, diagnosis, [n], mel_spec, color_spec)[0], color_spec)[::-1]
    enlarged = np.repeat(np.repeat(image, 4, axis=0), 4, axis=1)
    figure = Figure(figsize=(enlarged.shape[1] / 100, enlarged.shape[0] / 100), dpi=100)
    FigureCanvasAgg(figure)
    figure.figimage(enlarged)
    return _png(figure)


def _at_model_rate(
    data: bytes, diagnosis: Diagnosis, mel_spec: MelSpecParams, limits: DecodeLimits
) -> NDArray[np.float32]:
    samples, rate_hz = diagnosed_channel(data, diagnosis, limits)
    return np.asarray(resample(samples[None], rate_hz, mel_spec.sample_rate_hz)[0])


def _levels(
    samples: NDArray[np.float32],
    diagnosis: Diagnosis,
    shown: list[int],
    mel_spec: MelSpecParams,
    color_spec: ColorSpecParams,
) -> NDArray[np.uint8]:
    rate = mel_spec.sample_rate_hz
    chosen = [diagnosis.segments[n] for n in shown]
    segments = [Segment(round(one.start_s * rate), round(one.end_s * rate)) for one in chosen]
    return quantise(mel_spectrograms(cut(samples, segments, mel_spec), mel_spec), color_spec)


def _draw_waveform(axis: Axes, samples: NDArray[np.float32], diagnosis: Diagnosis, rate: int) -> None:
    times = np.arange(len(samples)) / rate
    axis.plot(times, samples, linewidth=0.4, color="#222222")
    limit = max(float(np.abs(samples).max(initial=0.0)) * 1.25, 1e-4)
    axis.set(
        xlim=(0.0, max(len(samples) / rate, 1.0 / rate)), ylim=(-limit, limit), xlabel="time (s)", ylabel="amplitude"
    )
    for n, one in enumerate(diagnosis.segments):
        color = _COUGH if one.is_cough else _OTHER
        axis.axvspan(one.start_s, one.end_s, color=color, alpha=0.25 if one.is_cough else 0.12, linewidth=0)
        if one.is_cough or len(diagnosis.segments) <= 2 * _MAX_SPECTROGRAMS:
            middle = (one.start_s + one.end_s) / 2
            axis.text(
                middle,
                limit * 0.97,
                f"{n}\n{one.cough_probability:.2f}",
                ha="center",
                va="top",
                fontsize=8,
                color=color,
            )
    axis.set_title(_title(diagnosis), loc="left", fontsize=10)


def _title(diagnosis: Diagnosis) -> str:
    coughs = len(diagnosis.coughs)
    parts = [
        f"status: {diagnosis.status}",
        f"{coughs} cough{'' if coughs == 1 else 's'} in {diagnosis.audio.duration_s:.1f} s",
    ]
    if diagnosis.result:
        result = diagnosis.result
        validated = "" if result.validated else ", unvalidated model: no medical meaning"
        parts.append(f"{result.label} ({result.probability:.2f}, threshold {result.thresholds.high:.2f}{validated})")
    elif diagnosis.reasons:
        parts.append(", ".join(diagnosis.reasons))
    return "  ·  ".join(parts)


def _draw_spectrogram(
    axis: Axes,
    levels: NDArray[np.uint8],
    n: int,
    diagnosis: Diagnosis,
    mel_spec: MelSpecParams,
    color_spec: ColorSpecParams,
) -> None:
    duration_s = mel_spec.n_frames * mel_spec.hop_length / mel_spec.sample_rate_hz
    axis.imshow(
        colorize(levels, color_spec),
        origin="lower",
        aspect="auto",
        extent=(0.0, duration_s, 0.0, float(mel_spec.n_mels)),
    )
    ticks_hz = [f for f in (250.0, 500.0, 1000.0, 2000.0, 4000.0) if mel_spec.fmin_hz <= f <= mel_spec.fmax_hz]
    axis.set_yticks([_mel_row(f, mel_spec) for f in ticks_hz], [f"{f / 1000:g}" for f in ticks_hz])
    axis.set_xlabel("s")
    axis.set_title(f"{n}: {diagnosis.segments[n].cough_probability:.2f}", fontsize=9)


def _mel_row(frequency_hz: float, mel_spec: MelSpecParams) -> float:
    """The row of the spectrogram, in cells from the bottom, at which a frequency lies (Slaney's mel scale)."""
    low, here, high = (_slaney_mel(f) for f in (mel_spec.fmin_hz, frequency_hz, mel_spec.fmax_hz))
    return (here - low) / (high - low) * (mel_spec.n_mels + 1) - 0.5


def _slaney_mel(frequency_hz: float) -> float:
    """Linear below 1 kHz, logarithmic above (M. Slaney, Auditory Toolbox, 1998), as `librosa.hz_to_mel`."""
    linear = 3.0 * frequency_hz / 200.0
    return linear if frequency_hz < 1000.0 else 15.0 + 27.0 * float(np.log(frequency_hz / 1000.0) / np.log(6.4))


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()
