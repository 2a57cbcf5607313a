"""What serving would propose in each recording, under each condition: the very `runtime.prepare`, from the bytes of a
file.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
import soundfile
from numpy.typing import NDArray

from runtime.config import load_limits
from runtime.prepare import prepare
from training.data.dataset import Entry, load_audio
from training.data.examples import Params, label_by_marks
from training.evaluation.background_twins import without_coughs
from training.evaluation.conditions import CHANNELS, DAMAGES, GAINS, PLAIN, TWIN, Condition

MIN_TWIN_S = 0.5
CONDITIONS: Mapping[str, Condition] = {**CHANNELS, **GAINS, **DAMAGES}


@dataclass(frozen=True)
class Candidates:
    """One recording under one condition. entry: its index; condition: PLAIN, TWIN or a key of CONDITIONS.

    spans_s: start and end of each candidate; labels: 1.0, 0.0, or -1.0 where nobody knows
    levels: uint8 [shape=(n, n_mels, n_frames)]
    rms: level of each without padding; noise_rms and the rest: as `preprocess.quality.Quality`
    """

    entry: int
    condition: str
    spans_s: tuple[tuple[float, float], ...]
    labels: NDArray[np.float32]
    levels: NDArray[np.uint8]
    rms: tuple[float, ...]
    noise_rms: float | None
    clipped_fraction: float
    bandwidth_hz: float
    dropout_fraction: float


def build_candidates(
    entries: Sequence[Entry],
    wanted: Sequence[tuple[int, Sequence[str]]],
    params: Params,
    progress: Callable[[Iterable[int], int], Iterable[int]],
) -> list[Candidates]:
    """wanted: (index of the entry, its conditions), on two processes; in that order."""
    work = partial(_of_entry, params=params)
    tasks = [(index, entries[index], tuple(conditions)) for index, conditions in wanted]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        found = zip(progress(range(len(tasks)), len(tasks)), pool.map(work, tasks, chunksize=4), strict=True)
        return [item for _, part in found for item in part]


def candidates_of(entry: Entry, index: int, condition: str, data: bytes, params: Params) -> Candidates:
    """data: the file's bytes. Labels follow the marks where there are any; a weakly labelled recording has none."""
    _, limits = load_limits()
    prepared = prepare(data, *params, limits.decode)
    (channel,) = prepared.channels
    if entry.marks is not None and condition != TWIN:
        labels = [label_by_marks(span, entry.marks) for span in channel.segments_s]
    else:
        labels = [-1.0] * len(channel.segments_s)
    return Candidates(
        entry=index,
        condition=condition,
        spans_s=channel.segments_s,
        labels=np.asarray(labels, dtype=np.float32),
        levels=prepared.spectrograms,
        rms=channel.segment_rms,
        noise_rms=channel.quality.noise_rms,
        clipped_fraction=channel.quality.clipped_fraction,
        bandwidth_hz=channel.quality.bandwidth_hz,
        dropout_fraction=channel.quality.dropout_fraction,
    )


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
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, sample_rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _of_entry(task: tuple[int, Entry, tuple[str, ...]], *, params: Params) -> list[Candidates]:
    index, entry, conditions = task
    samples, sample_rate_hz = load_audio(entry)
    files = {name: file_bytes(entry, name, samples, sample_rate_hz, params) for name in conditions}
    return [candidates_of(entry, index, name, data, params) for name, data in files.items() if data is not None]
