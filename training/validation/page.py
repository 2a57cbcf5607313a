"""The page of the worst mistakes: figures, and links to the recordings where they lie. No audio is copied."""

from __future__ import annotations

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from urllib.parse import quote

from runtime.config import load_config, load_limits
from runtime.figures.drawing import draw_figure
from runtime.figures.playback import at_model_rate
from training.validation.recordings import Judged

N_MISTAKES = 24
_HEAD = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Worst mistakes</title>
<style>
body { font-family: sans-serif; max-width: 1100px; margin: 2em auto; padding: 0 1em }
h2 { font-size: 1em; margin: 2.5em 0 .5em }
img { max-width: 100% }
</style>
<h1>Worst mistakes</h1>
"""


def worst_mistakes(judged: Sequence[Judged], threshold: float) -> list[Judged]:
    """Recordings with coughs in which none is accepted, and those without in which one is: the farthest from the
    threshold first, in turn from each source and kind of mistake; N_MISTAKES at most.
    """
    groups: dict[tuple[str, bool], list[Judged]] = {}
    for one in judged:
        if one.accepted != one.recording.is_cough:
            groups.setdefault((one.recording.source, one.recording.is_cough), []).append(one)
    ranked = [sorted(groups[key], key=lambda one: -abs(one.score - threshold)) for key in sorted(groups)]
    in_turn = [found[rank] for rank in range(N_MISTAKES) for found in ranked if rank < len(found)]
    return in_turn[:N_MISTAKES]


def write_page(folder: Path, judged: Sequence[Judged], threshold: float) -> Path:
    """Write index.html and a figure of each mistake; those of an earlier run are removed. Returns the page.

    Raises: OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for before in folder.glob("mistake_*.png"):
        before.unlink()
    worst = worst_mistakes(judged, threshold)
    wrong = sum(one.accepted != one.recording.is_cough for one in judged)
    parts = [_HEAD, f"<p>{len(worst)} of {wrong} mistakes in {len(judged)} recordings; threshold {threshold:g}.</p>\n"]
    parts += [_mistake(folder, number, one) for number, one in enumerate(worst, 1)]
    page = folder / "index.html"
    page.write_text("".join(parts), encoding="utf-8")
    return page


def _mistake(folder: Path, number: int, one: Judged) -> str:
    _, mel_spec, color_spec = load_config()
    recording, diagnosis = one.recording, one.diagnosis
    figure = f"mistake_{number:02d}.png"
    samples = at_model_rate(recording.file.read_bytes(), diagnosis, mel_spec, load_limits()[1].decode)
    drawn = draw_figure(samples, diagnosis, mel_spec, color_spec)
    (folder / figure).write_bytes(drawn)
    link = escape(quote(Path(os.path.relpath(recording.file.resolve(), folder.resolve())).as_posix()), quote=True)
    what = "missed cough" if recording.is_cough else "false alarm"
    label = "cough" if recording.is_cough else "non_cough"
    groups = "".join(f", {escape(name)} {escape(value)}" for name, value in recording.subgroups if value)
    reasons = ", ".join(reason.value for reason in diagnosis.reasons) or "none"
    return (
        f'<h2>{number}. {what}: <a href="{link}">{escape(recording.path)}</a></h2>\n'
        f"<p>label {label}, kind {escape(recording.kind)}, source {escape(recording.source)}{groups}; score "
        f"{one.score:.2f}; status {diagnosis.status.value}; reasons: {reasons}</p>\n"
        f'<audio controls preload="none" src="{link}"></audio>\n'
        f'<p><img src="{figure}" alt="waveform and spectrograms" loading="lazy"></p>\n'
    )
