"""What serving would propose in each recording, under each condition: the very `runtime.prepare`, from the bytes of a
file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from runtime.config import load_limits
from runtime.prepare import Prepared, PreparedChannel, prepare
from training.data.dataset import Entry, load_audio
from training.data.examples import Params, label_by_marks
from training.data.lines import FAMILIES, Material, drawn
from training.evaluation.background_twins import without_coughs
from training.evaluation.conditions import CHANNELS, DAMAGES, GAINS, PLAIN, TWIN, Condition, flac
from training.evaluation.line_figures import BEEPS_AND_HUM, NEED_MATERIAL, denominator

MIN_TWIN_S = 0.5
CONDITIONS: Mapping[str, Condition] = {**CHANNELS, **GAINS, **DAMAGES}
LINES: Mapping[str, str] = {f"line_{family}": family for family in FAMILIES}
LINES_SEED = 19


@dataclass(frozen=True)
class Candidates:
    """One recording under one condition, as serving prepares it.

    entry: its index; condition: PLAIN, TWIN or a key of CONDITIONS or LINES
    labels: of each candidate, 1.0, 0.0, or -1.0 where nobody knows
    later_s: how much later its sounds are than in the plain recording
    """

    entry: int
    condition: str
    labels: NDArray[np.float32]
    prepared: Prepared
    later_s: float = 0.0

    @property
    def channel(self) -> PreparedChannel:
        """The recording's only channel."""
        return self.prepared.channels[0]

    @property
    def spans_s(self) -> tuple[tuple[float, float], ...]:
        """Start and end of each candidate."""
        return self.channel.segments_s

    @property
    def levels(self) -> NDArray[np.uint8]:
        """Their spectrograms, [shape=(n, n_mels, n_frames)]."""
        return self.prepared.spectrograms


def build_candidates(
    entries: Sequence[Entry],
    wanted: Sequence[tuple[int, Sequence[str]]],
    params: Params,
    progress: Callable[[Iterable[int], int], Iterable[int]],
    material: Material | None = None,
) -> list[Candidates]:
    """wanted: (index of the entry, its conditions), on two processes; in that order.

    material: for lines that need recorded sounds
    """
    work = partial(_of_entry, params=params, material=material)
    tasks = [(index, entries[index], tuple(conditions)) for index, conditions in wanted]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = zip(progress(range(len(tasks)), len(tasks)), pool.map(work, tasks, chunksize=4), strict=True)
        return [item for _, part in found for item in part]


def lines_of(entries: Sequence[Entry], with_material: bool) -> list[tuple[str, ...]]:
    """The lines that each recording is put on: of those with coughs all, some of those without.

    Of the recordings with coughs those of models/STRESS.json are taken; of data that has none of them, all.
    with_material: whether there are prompts and music
    """
    every = tuple(name for name, family in LINES.items() if with_material or family not in NEED_MATERIAL)
    beeps_and_hum = tuple(name for name, family in LINES.items() if family in BEEPS_AND_HUM)
    known = denominator() & {entry.path for entry in entries}
    return [
        (every if not known or entry.path in known else ())
        if entry.is_cough
        else beeps_and_hum
        if len(entry.files) == 1
        else ()  # nobody sent what was joined
        for entry in entries
    ]


def candidates_of(
    entry: Entry, index: int, condition: str, data: bytes, params: Params, later_s: float = 0.0
) -> Candidates:
    """data: the file's bytes. Labels follow the marks where there are any; a weakly labelled recording has none."""
    _, limits = load_limits()
    prepared = prepare(data, *params, limits.decode)
    (channel,) = prepared.channels
    if entry.marks is not None and condition != TWIN and condition not in LINES:
        labels = [label_by_marks(span, entry.marks) for span in channel.segments_s]
    else:
        labels = [-1.0] * len(channel.segments_s)
    return Candidates(index, condition, np.asarray(labels, dtype=np.float32), prepared, later_s)


def file_bytes(
    entry: Entry, condition: str, samples: NDArray[np.float32], sample_rate_hz: int, params: Params
) -> bytes | None:
    """The file that arrives; None for a twin of which less than MIN_TWIN_S is left. samples: the recording's,
    [shape=(n,)]
    """
    if condition in CONDITIONS:
        return CONDITIONS[condition](samples, sample_rate_hz)
    if condition == PLAIN and len(entry.files) == 1:
        return entry.files[0].read_bytes()
    if condition == TWIN:
        samples = without_coughs(entry, samples, sample_rate_hz, params)
        if len(samples) < MIN_TWIN_S * sample_rate_hz:
            return None
    return flac(samples, sample_rate_hz)


def _of_entry(
    task: tuple[int, Entry, tuple[str, ...]], *, params: Params, material: Material | None
) -> list[Candidates]:
    index, entry, conditions = task
    samples, sample_rate_hz = load_audio(entry)
    found = []
    for name in conditions:
        if name in LINES:
            line = drawn(LINES[name], entry.path, samples, sample_rate_hz, material or Material((), (), 0), LINES_SEED)
            data: bytes | None = flac(line.samples, sample_rate_hz)
            later_s = line.later_s
        else:
            data, later_s = file_bytes(entry, name, samples, sample_rate_hz, params), 0.0
        if data is not None:
            found.append(candidates_of(entry, index, name, data, params, later_s))
    return found
