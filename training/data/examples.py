"""Turn recordings into labelled examples: the segments that serving would cut, as uint8 spectrograms.

Labels are only as strong as the data allows:
- hand-marked recordings: a segment inside a mark is a cough, one outside all marks is not, what lies between is left
  out;
- recordings without a cough: no segment is a cough;
- recordings with a cough somewhere (weak labels): the loudest segment is taken for a cough, others within 12 dB of it
  with half the weight, the rest is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from preprocess.color import ColorSpecParams, quantise
from preprocess.exact import power_ratio
from preprocess.mel import MelSpecParams, cut, mel_spectrograms
from preprocess.resample import resample
from preprocess.segment import Segment, SegmentationParams, segment
from training.data.augment import augment
from training.data.dataset import Entry, load_audio

N_VARIANTS = 8
Params = tuple[SegmentationParams, MelSpecParams, ColorSpecParams]


@dataclass(frozen=True)
class Examples:
    """Labelled segments, column by column, [shape=(n, ...)].

    levels: uint8 [shape=(n, n_mels, n_frames)]
    entry: index into the data set; variant: 0 is the recording as it is, the others are augmented
    cough: 1.0, 0.0, or -1.0 where nobody knows; weight: in (0, 1]; class_label: index, or -1
    """

    levels: NDArray[np.uint8]
    entry: NDArray[np.int64]
    variant: NDArray[np.int64]
    cough: NDArray[np.float32]
    weight: NDArray[np.float32]
    class_label: NDArray[np.int64]


def build_examples(
    entries: list[Entry],
    params: Params,
    n_variants: int,
    seed: int,
    progress: Callable[[Iterable[int], int], Iterable[int]],
) -> Examples:
    """Every recording once as it is and `n_variants - 1` times augmented, on two processes."""
    work = partial(_of_entry, entries=entries, params=params, n_variants=n_variants, seed=seed)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        parts = [
            part
            for _, part in zip(
                progress(range(len(entries)), len(entries)),
                pool.map(work, range(len(entries)), chunksize=4),
                strict=True,
            )
        ]
    return Examples(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def label_segments(
    entry: Entry, segments: list[Segment], samples: NDArray[np.float32], sample_rate_hz: int, speed: float = 1.0
) -> list[tuple[float, float]]:
    """(cough, weight) of each segment; cough is -1.0 where nobody knows. speed: how much faster than the marks it
    plays.
    """
    if not entry.is_cough:
        return [(0.0, 1.0)] * len(segments)
    if entry.marks is not None:
        marks = tuple((start_s / speed, end_s / speed) for start_s, end_s in entry.marks)
        spans = [(segment.start / sample_rate_hz, segment.end / sample_rate_hz) for segment in segments]
        return [(label_by_marks(span, marks), 1.0) for span in spans]
    powers = [float(np.square(samples[segment.start : segment.end]).mean()) + 1e-12 for segment in segments]
    loudest = max(powers, default=0.0)
    loud = loudest * power_ratio(-12.0)
    return [(1.0, 1.0) if power == loudest else (1.0, 0.5) if power > loud else (-1.0, 1.0) for power in powers]


def label_by_marks(span_s: tuple[float, float], marks: tuple[tuple[float, float], ...]) -> float:
    """1.0 where at least half of the span is marked, 0.0 where less than a tenth is, -1.0 between."""
    start_s, end_s = span_s
    overlap_s = sum(max(0.0, min(end_s, mark[1]) - max(start_s, mark[0])) for mark in marks)
    share = overlap_s / (end_s - start_s)
    return 1.0 if share >= 0.5 else 0.0 if share < 0.1 else -1.0


def _shuffled(entry: Entry, rng: np.random.Generator) -> Entry:
    """The files of a joined entry in another order."""
    return replace(entry, files=tuple(entry.files[i] for i in rng.permutation(len(entry.files))))


def _of_entry(
    index: int, *, entries: list[Entry], params: Params, n_variants: int, seed: int
) -> tuple[NDArray[np.uint8], ...]:
    entry = entries[index]
    segmentation, mel_spec, color_spec = params
    rate = mel_spec.sample_rate_hz
    levels, labels, variants = [], [], []
    for variant in range(n_variants):
        rng = np.random.default_rng((seed, index, variant))
        samples, sample_rate, speed = *load_audio(entry), 1.0
        if variant > 0:
            samples, sample_rate = load_audio(_shuffled(entry, rng))
            samples, sample_rate, speed = augment(samples, sample_rate, rng)
        samples = resample(samples[None], sample_rate, rate)[0]
        found = segment(samples, rate, segmentation)
        levels.append(quantise(mel_spectrograms(cut(samples, found, mel_spec), mel_spec), color_spec))
        labels += label_segments(entry, found, samples, rate, speed)
        variants += [variant] * len(found)
    n = len(labels)
    table = np.asarray(labels, dtype=np.float32).reshape(n, 2)
    return (  # type: ignore[return-value]
        np.concatenate(levels),
        np.full(n, index, dtype=np.int64),
        np.asarray(variants, dtype=np.int64),
        table[:, 0],
        table[:, 1],
        np.full(n, -1 if entry.class_label is None else entry.class_label, dtype=np.int64),
    )
