"""One page of the worst mistakes: waveform with marks and candidates, spectrogram, score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from training.data.dataset import Entry, load_audio
from training.evaluation.scores import RecordingScores

matplotlib.use("Agg")
import matplotlib.pyplot as plt

N_MISTAKES = 12


def worst_mistakes(
    entries: Sequence[Entry], scores: Sequence[RecordingScores]
) -> list[tuple[Entry, RecordingScores, str]]:
    """Recordings on the wrong side of their threshold, the farthest first, in turn from each source and kind of
    mistake.
    """
    by_path = {item.path: item for item in entries}
    groups: dict[tuple[str, str], list[tuple[float, RecordingScores]]] = {}
    for score in scores:
        entry = by_path[score.path]
        if score.accepted != entry.is_cough:
            words = "missed" if entry.is_cough else "false alarm"
            groups.setdefault((entry.source, words), []).append((abs(score.score - score.threshold), score))
    ranked = {key: sorted(found, key=lambda pair: -pair[0]) for key, found in sorted(groups.items())}
    chosen = []
    for rank in range(N_MISTAKES):
        chosen += [(found[rank][1], words) for (_, words), found in ranked.items() if rank < len(found)]
    return [(by_path[item.path], item, words) for item, words in chosen[:N_MISTAKES]]


def draw_mistakes(path: Path, entries: Sequence[Entry], scores: Sequence[RecordingScores]) -> None:
    """Nothing is drawn where there is no mistake."""
    worst = worst_mistakes(entries, scores)
    if not worst:
        return
    columns = 3
    rows = -(-len(worst) // columns)
    figure = plt.figure(figsize=(6 * columns, 3.4 * rows), layout="constrained")
    for panel, (entry, item, words) in zip(
        np.ravel(figure.subfigures(rows, columns, squeeze=False)), worst, strict=False
    ):
        _draw_mistake(panel, entry, item, words)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _draw_mistake(panel: Any, entry: Entry, one: RecordingScores, words: str) -> None:
    samples, sample_rate_hz = load_audio(entry)
    times = np.arange(len(samples)) / sample_rate_hz
    wave, spectrum = panel.subplots(2, 1, sharex=True)
    wave.plot(times, samples, color="black", linewidth=0.4)
    for start_s, end_s in entry.marks or ():
        wave.axvspan(start_s, end_s, color="tab:green", alpha=0.2)
    for (start_s, end_s), is_cough in zip(one.spans_s, one.coughs, strict=True):
        wave.axvspan(start_s, end_s, ymax=0.08, color="tab:red" if is_cough else "tab:blue")
    if len(samples) >= 256:
        with np.errstate(divide="ignore"):
            spectrum.specgram(samples + 1e-7, NFFT=256, Fs=sample_rate_hz, noverlap=128, cmap="magma")
    spectrum.set(ylim=(0, 4000), xlabel="s", ylabel="Hz")
    name = f"{entry.source} {entry.kind.removeprefix(entry.source)}".strip()
    panel.suptitle(f"{name}: {words}, score {one.score:.2f}, threshold {one.threshold:.2f}", fontsize=9)
