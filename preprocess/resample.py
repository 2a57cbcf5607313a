"""Stage 2, resample: convert every recording to the sample rate of the segmenter and the mel spectrogram."""

from __future__ import annotations

import numpy as np
import soxr
from numpy.typing import NDArray


def resample(samples: NDArray[np.float32], source_rate_hz: int, target_rate_hz: int) -> NDArray[np.float32]:
    """Band-limited resampling with libsoxr, as `librosa.resample(res_type="soxr_hq")` does.

    samples: float32 [shape=(channels, n)]
    Returns float32 [shape=(channels, m)], m = round(n * target / source) (soxr's own rounding).
    """
    if source_rate_hz == target_rate_hz:
        return samples
    resampled = soxr.resample(samples.T, source_rate_hz, target_rate_hz, quality="HQ")
    return np.ascontiguousarray(resampled.T, dtype=np.float32)
