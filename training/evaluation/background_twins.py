"""Background twins: a recording with its coughs cut out. What still tells the classes apart there is not the cough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from preprocess.level import levels
from preprocess.resample import resample
from preprocess.segment import segment
from training.data.dataset import Entry
from training.data.examples import Params

MARGIN_S = 0.1  # hand marks leave out the first breath and the last of the decay


def without_coughs(
    entry: Entry, samples: NDArray[np.float32], sample_rate_hz: int, params: Params
) -> NDArray[np.float32]:
    """The rest, put together; nothing is left where the coughs fill the recording.

    Hand marks with a margin where there are any; of weakly labelled recordings everything that the segmenter proposes.
    samples: float32 [shape=(n,)]
    """
    if entry.marks is not None:
        spans: Sequence[tuple[float, float]] = [(a - MARGIN_S, b + MARGIN_S) for a, b in entry.marks]
    else:
        rate = params[1].sample_rate_hz
        low = resample(samples[None], sample_rate_hz, rate)[0]
        found = segment(levels(low, rate, params[0]).level, len(low), rate, params[0])
        spans = [(item.start / rate, item.end / rate) for item in found]
    kept = np.ones(len(samples), dtype=bool)
    for start_s, end_s in spans:
        kept[max(0, round(start_s * sample_rate_hz)) : max(0, round(end_s * sample_rate_hz))] = False
    return samples[kept]
