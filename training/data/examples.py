"""Turn recordings into labelled examples: the segments that serving would cut, as uint8 spectrograms.

Labels are only as strong as the data allows:
- hand-marked recordings: a segment inside a mark is a cough, one outside all marks is not, what lies between is left
  out;
- recordings without a cough: no segment is a cough;
- recordings with a cough somewhere (weak labels): the loudest segment is taken for a cough, others within 12 dB of it
  with half the weight, the rest is left out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from preprocess.color import ColorSpecParams, quantise
from preprocess.exact import power_ratio
from preprocess.level import levels as measure_levels
from preprocess.mel import MelSpecParams, cut, mel_spectrograms
from preprocess.resample import resample
from preprocess.segment import Segment, SegmentationParams, segment
from training.data.augment import Augmented, augment
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


def label_segments(entry: Entry, segments: list[Segment], heard: Augmented) -> list[tuple[float, float]]:
    """(cough, weight) of each segment; cough is -1.0 where nobody knows.

    heard: the recording as it was segmented, whose marks are moved with it
    """
    spans = [(segment.start / heard.sample_rate_hz, segment.end / heard.sample_rate_hz) for segment in segments]
    if not entry.is_cough:
        return [(0.0, 1.0)] * len(segments)
    if entry.marks is not None:
        marks = tuple((a / heard.speed + heard.later_s, b / heard.speed + heard.later_s) for a, b in entry.marks)
        return [(label_by_marks(span, marks), 1.0) for span in spans]
    own = [heard.added_s is None or min(b, heard.added_s[1]) <= max(a, heard.added_s[0]) for a, b in spans]
    powers = [
        float(np.square(heard.samples[segment.start : segment.end]).mean()) + 1e-12 if is_own else 0.0
        for segment, is_own in zip(segments, own, strict=True)
    ]
    loudest = max(powers, default=0.0)
    loud = loudest * power_ratio(-12.0)
    return [
        (-1.0, 1.0) if power == 0.0 else (1.0, 1.0) if power == loudest else (1.0, 0.5) if power > loud else (-1.0, 1.0)
        for power in powers
    ]


def label_by_marks(span_s: tuple[float, float], marks: tuple[tuple[float, float], ...]) -> float:
    """1.0 where at least half of the span is marked, 0.0 where less than a tenth is, -1.0 between."""
    start_s, end_s = span_s
    overlap_s = sum(max(0.0, min(end_s, mark[1]) - max(start_s, mark[0])) for mark in marks)
    share = overlap_s / (end_s - start_s)
    return 1.0 if share >= 0.5 else 0.0 if share < 0.1 else -1.0


def _shuffled(entry: Entry, rng: np.random.Generator) -> Entry:
    """The files of a joined entry in another order."""
    return replace(entry, files=tuple(entry.files[i] for i in rng.permutation(len(entry.files))))


def examples_of(entry: Entry, params: Params, n_variants: int, seed: int) -> Examples:
    """The recording once as it is and `n_variants - 1` times augmented; `entry` is 0 in all.

    It depends on the recording's path and the seed, not on the others of the data.
    """
    segmentation, mel_spec, color_spec = params
    rate = mel_spec.sample_rate_hz
    path_digest = hashlib.sha256(entry.path.encode()).digest()[:8]
    levels, labels, variants = [], [], []
    for variant in range(n_variants):
        rng = np.random.default_rng((seed, *path_digest, variant))
        changed = augment(*load_audio(_shuffled(entry, rng)), rng) if variant > 0 else Augmented(*load_audio(entry))
        samples = resample(changed.samples[None], changed.sample_rate_hz, rate)[0]
        found = segment(measure_levels(samples, rate, segmentation).level, len(samples), rate, segmentation)
        levels.append(quantise(mel_spectrograms(cut(samples, found, mel_spec), mel_spec), color_spec))
        labels += label_segments(entry, found, replace(changed, samples=samples, sample_rate_hz=rate))
        variants += [variant] * len(found)
    n = len(labels)
    table = np.asarray(labels, dtype=np.float32).reshape(n, 2)
    return Examples(
        levels=np.concatenate(levels),
        entry=np.zeros(n, dtype=np.int64),
        variant=np.asarray(variants, dtype=np.int64),
        cough=table[:, 0],
        weight=table[:, 1],
        class_label=np.full(n, -1 if entry.class_label is None else entry.class_label, dtype=np.int64),
    )
