"""A folder of recordings: every sample, every format that tests/preprocess/test_decode.py knows, and recordings of
people.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import soxr

from laptop.service import CHECKOUT
from preprocess.decode import Recording, decode
from tests.preprocess.amr_wb import amr_wb
from tests.preprocess.recordings import LIMITS, Samples, by_ffmpeg, by_libsndfile
from tests.preprocess.test_decode import FFMPEG, LIBSNDFILE

SAMPLES = CHECKOUT / "samples" / "preprocessing"
SHARED = CHECKOUT.parent / "shared" / "data"
SECONDS = 4.0


def people(count: int) -> list[Path]:
    """Recordings of people, as they are; none where the data does not lie beside the checkout, which in CI it must."""
    found = sorted((SHARED / "cough" / "coughseg").glob("*.flac"))
    if not found and os.environ.get("CI") == "true":
        raise FileNotFoundError("../shared/data/cough is not there: CI must have it beside the checkout.")
    return found[:: max(1, len(found) // count)][:count]


def make_recordings(folder: Path, n_people: int) -> None:
    """Writes some 80 files, and as many as `n_people` of people."""
    folder.mkdir()
    for path in sorted(SAMPLES.glob("*/raw.*")):
        (folder / f"sample-{path.parent.name}").write_bytes(path.read_bytes())
    for path in people(n_people):
        (folder / f"person-{path.name}").write_bytes(path.read_bytes())
    first = people(1) or [SAMPLES / "benchmark_1" / "raw.ogg"]
    sound = decode(first[0].read_bytes(), LIMITS)
    for n, (container, subtype, rate_hz, _, _, _, channels) in enumerate(LIBSNDFILE):
        samples = at(sound, rate_hz, channels[-1], alike=n % 2 == 0)
        name = f"libsndfile-{container}-{subtype}-{rate_hz}"
        (folder / name).write_bytes(by_libsndfile(samples, rate_hz, container, subtype))
    (folder / "vo-amrwbenc-awb").write_bytes(amr_wb(at(sound, 16_000, 1, alike=True)[0], 16_000, dtx=True))
    for n, (container, codec, bit_rate, rate_hz, _, _, _, channels, options) in enumerate(FFMPEG):
        samples = at(sound, rate_hz, channels[-1], alike=n % 2 == 0)
        data = by_ffmpeg(samples, rate_hz, container, codec, bit_rate and bit_rate * len(samples), **options)
        (folder / f"ffmpeg-{n}-{container}-{codec}-{rate_hz}").write_bytes(data)


def at(sound: Recording, rate_hz: int, channels: int, alike: bool) -> Samples:
    """Two channels of one sound, the second with noise: they correlate by 0.96 or 0.86, so are mixed or not.

    (channels, n)
    """
    piece = soxr.resample(sound.samples[0, : round(SECONDS * sound.sample_rate_hz)], sound.sample_rate_hz, rate_hz)
    noise = np.random.default_rng(0).standard_normal(len(piece)) * np.sqrt(np.mean(piece**2))
    both = np.stack([piece, piece + (0.3 if alike else 0.6) * noise])[:channels]
    return (both / max(1.0, float(np.abs(both).max()))).astype(np.float32)
