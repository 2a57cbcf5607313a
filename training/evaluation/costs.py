"""What one cough and one second of audio cost on one CPU core: process time, the median of several rounds.

The network is timed as ONNX Runtime serves it, in the release of `model_repository/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from preprocess.level import levels as measure_levels
from preprocess.quality import measure_quality, segment_means
from preprocess.segment import segment
from preprocess.tones import find_hum, find_tones
from runtime.errors import RuntimeFailure
from runtime.onnx_classifier import OnnxClassifier
from training.data.examples import Params

SECONDS = 10
SOURCE_RATE_HZ = 48_000  # the most that quality is asked to look at: Opus notes decode to it


def measure_costs(params: Params) -> dict[str, float | None]:
    """Milliseconds: `segment_and_quality_ms_per_s`, `network_ms_per_cough` (None where there is no release to time)."""
    return {
        "segment_and_quality_ms_per_s": round(_segment_and_quality_ms(params) / SECONDS, 3),
        "network_ms_per_cough": _network_ms(params),
    }


def _segment_and_quality_ms(params: Params) -> float:
    """A 10 s recording at 48 kHz with six bursts of noise."""
    segmentation, mel_spec, _ = params
    rate = mel_spec.sample_rate_hz
    rng = np.random.default_rng(0)

    def recording(rate_hz: int) -> np.ndarray:
        samples = 1e-3 * rng.standard_normal(SECONDS * rate_hz)
        for start_s in np.linspace(0.5, 8.5, 6):
            burst = slice(int(start_s * rate_hz), int((start_s + 0.35) * rate_hz))
            samples[burst] += 0.2 * rng.standard_normal(burst.stop - burst.start)
        return samples.astype(np.float32)

    source, low = recording(SOURCE_RATE_HZ), recording(rate)

    def once() -> None:
        levels = measure_levels(low, rate, segmentation)
        segments = segment(levels.level, len(low), rate, segmentation)
        measure_quality(source, SOURCE_RATE_HZ, levels, rate, segments, segmentation)
        segment_means(levels.level, rate, segments, segmentation)
        segment_means(levels.rms, rate, segments, segmentation)
        find_tones(levels, segmentation, find_hum(low, rate, levels))

    return _cpu_ms(once)


def _network_ms(params: Params) -> float | None:
    try:
        classifier = OnnxClassifier(threads=1)
    except RuntimeFailure:
        return None
    mel_spec = params[1]
    one = np.random.default_rng(0).integers(0, 256, (1, mel_spec.n_mels, mel_spec.n_frames), dtype=np.uint8)
    return round(_cpu_ms(lambda: classifier.classify(one)), 3)


def _cpu_ms(work: Callable[[], object], rounds: int = 15, repeats: int = 10) -> float:
    work()
    found = []
    for _ in range(rounds):
        started = time.process_time()
        for _ in range(repeats):
            work()
        found.append((time.process_time() - started) * 1000.0 / repeats)
    return median(found)
