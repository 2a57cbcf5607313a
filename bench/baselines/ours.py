"""Our code in one process: `runtime.prepare`, ONNX Runtime with one thread, `runtime.conclude`."""

from __future__ import annotations

import time
from typing import Any

from bench.baselines.storing import Diagnose
from runtime.conclude import conclude
from runtime.config import load_config, load_limits
from runtime.onnx_classifier import OnnxClassifier
from runtime.prepare import prepare


def our_diagnose() -> Diagnose:
    """Loads the model once. Raises: ConfigError, ModelContractError."""
    params = load_config()
    quality_limits, limits = load_limits()
    classifier = OnnxClassifier(threads=1)
    contract = classifier.contract()
    contract.check_parameters(*params)

    def diagnose(audio: bytes) -> dict[str, Any]:
        prepared = prepare(audio, *params, limits.decode)
        started = time.perf_counter()
        scores = classifier.classify(prepared.spectrograms)
        infer_ms = (time.perf_counter() - started) * 1000.0
        return conclude(prepared, scores, contract, quality_limits, limits.min_coughs, infer_ms).to_dict()

    return diagnose
