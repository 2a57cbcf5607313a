"""`python -m bench.rest.bare_loop SECONDS`: the same work in a loop, without a service; prints recordings/s."""

from __future__ import annotations

import sys
import time

from bench.load.audio import mixed_notes
from runtime.conclude import conclude
from runtime.config import load_config, load_limits
from runtime.onnx_classifier import OnnxClassifier
from runtime.prepare import prepare


def main(seconds: float) -> float:
    params = load_config()
    quality, limits = load_limits()
    classifier = OnnxClassifier()
    recordings = mixed_notes()[0]

    def diagnose(data: bytes) -> None:
        prepared = prepare(data, *params, limits.decode)
        scores = classifier.classify(prepared.spectrograms)
        conclude(prepared, scores, classifier.contract(), quality, limits.min_coughs, 0.0)

    diagnose(recordings[0])
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        diagnose(recordings[count % len(recordings)])
        count += 1
    return count / (time.perf_counter() - started)


if __name__ == "__main__":
    print(main(float(sys.argv[1])))
