"""Do two sets of levels differ by rounding only? This is checked if a spectrogram digest differs from the record.

A record holds digests, not levels. But the levels that rounding can move are known: their power is next to the border
of the next level. So these few levels are moved, in every combination, until the digests equal the recorded digests. A
match is a proof. Without a match within the bounds below, more than rounding differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from preprocess.color import ColorSpecParams, neighbouring_level, quantise
from preprocess.decode import DecodeLimits
from preprocess.formats.container import Container
from preprocess.mel import MelSpecParams
from runtime.conclude import spectrogram_crc32, spectrogram_sha256
from runtime.diagnosis import Diagnosis
from runtime.figures.playback import at_model_rate, candidate_powers

# How many of the levels nearest to a border are tried in a candidate with a known digest, and how many of them move
# together: 6 of 6144 are 0.1 %, and docs/decisions/0016-same-bits.md lists the moves observed with decoders. If only
# the whole recording's digest is known, fewer levels are tried in the whole recording.
_NEAREST, _NEAREST_IN_ALL, _AT_ONCE = 14, 10, 6


def recorded_levels(
    data: bytes,
    diagnosis: Diagnosis,
    recorded_sha256: str,
    recorded_crc32: list[str | None],
    mel_spec: MelSpecParams,
    color_spec: ColorSpecParams,
    limits: DecodeLimits,
    container: Container | None = None,
) -> tuple[NDArray[np.uint8], int] | None:
    """Return the levels with the recorded digests, and how many of them differ by one from the levels of `diagnosis`.

    data: the diagnosed recording; recorded_crc32: of each candidate, None in records without it
    container: of a recording without a header
    Returns uint8 [shape=(n, n_mels, n_frames)] and a count, or None where no moves by rounding fit.

    Raises: a leaf of `preprocess.errors.AudioError`.
    """
    samples = at_model_rate(data, diagnosis, mel_spec, limits, container)
    powers = candidate_powers(samples, diagnosis.segments, mel_spec)
    levels = quantise(powers, color_spec)
    others, distances = neighbouring_level(powers, color_spec)
    if len(recorded_crc32) != len(levels):
        return None
    if not all(recorded_crc32):
        moved = _moved(levels, others, distances, spectrogram_sha256, recorded_sha256, _NEAREST_IN_ALL)
        return None if moved is None else (levels, moved)
    counts = [
        _moved(levels[n], others[n], distances[n], spectrogram_crc32, crc32, _NEAREST)
        for n, crc32 in enumerate(recorded_crc32)
    ]
    found = [count for count in counts if count is not None]
    shown = len(found) == len(counts) and spectrogram_sha256(levels) == recorded_sha256
    return (levels, sum(found)) if shown else None


def _moved(
    levels: NDArray[np.uint8],
    others: NDArray[np.uint8],
    distances: NDArray[np.float32],
    digest: Callable[[NDArray[np.uint8]], str],
    recorded: str | None,
    nearest: int,
) -> int | None:
    """Move levels in place until they equal the recorded levels, and count them; None, with all levels restored, where
    no combination fits.
    """
    flat, other = levels.reshape(-1), others.reshape(-1)
    before = flat.copy()
    for chosen in _subsets(np.argsort(distances, axis=None, kind="stable")[:nearest]):
        flat[chosen] = other[chosen]
        if digest(levels) == recorded:
            return len(chosen)
        flat[chosen] = before[chosen]
    return None


def _subsets(places: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    """Yield the empty subset, then all subsets of one, and so on."""
    for count in range(min(_AT_ONCE, len(places)) + 1):
        for chosen in combinations(places.tolist(), count):
            yield np.array(chosen, dtype=np.intp)
