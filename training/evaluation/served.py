"""What serving would say of a recording with a network that is not released: the very `runtime.conclude`."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from runtime.classify import Scores
from runtime.conclude import conclude
from runtime.config import Limits, QualityLimits, load_config, load_limits, parameters_sha256, preprocess_parameters
from runtime.contract import SCORE_MARGIN, ModelContract
from runtime.diagnosis import Diagnosis
from runtime.model_facts import LABELS
from runtime.prepare import Prepared
from runtime.version import SOFTWARE_VERSION
from training.model.calibration import CoughDecision


def diagnosed(
    prepared: Prepared, cough: NDArray[np.float32], classes: NDArray[np.float32], decision: CoughDecision
) -> Diagnosis:
    """cough, classes: scores of the prepared candidates, [shape=(n,)] and [shape=(n, classes)]"""
    quality, limits = _limits()
    contract = _contract(decision.threshold, decision.uncertain)
    return conclude(prepared, Scores(cough, classes), contract, quality, limits.min_coughs, 0.0)


@lru_cache(maxsize=1)
def _limits() -> tuple[QualityLimits, Limits]:
    return load_limits()


@lru_cache(maxsize=16)
def _contract(threshold: float, uncertain: float) -> ModelContract:
    """A contract with these thresholds; the class is not looked at, so its thresholds are in the middle."""
    params = load_config()
    return ModelContract(
        labels=LABELS,
        preprocess=preprocess_parameters(*params),
        cough_threshold=threshold,
        uncertain_threshold=uncertain,
        threshold_low=0.5,
        threshold_high=0.5,
        validated=False,
        checkpoint_sha256="",
        data_sha256="",
        name="not released",
        version="0",
        model_sha256="",
        score_margin=SCORE_MARGIN,
        preprocess_sha256=parameters_sha256(*params),
        software_version=SOFTWARE_VERSION,
        max_batch_size=1,
    )
