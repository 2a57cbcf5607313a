"""All steps from a work unit to its diagnosis, in this process."""

from __future__ import annotations

import os
import time

from runtime.classify import Classifier
from runtime.conclude import conclude
from runtime.config import load_limits
from runtime.diagnosis import Diagnosis
from runtime.onnx_classifier import default_classifier
from runtime.prepare import prepare
from runtime.triton_classifier import shared_classifier
from runtime.work_unit import WorkUnit


def execute(work: WorkUnit, classifier: Classifier | None = None) -> Diagnosis:
    """Diagnose one recording.

    classifier: by default Triton at $TRITON_URL where that is set, else ONNX Runtime in process on `model_repository/`.

    Raises: ParametersDiffer where the work unit's parameters differ from the model's; a leaf of
    `preprocess.errors.AudioError` where the recording can't be diagnosed; InferenceError where the model can't be
    reached; ConfigError; OSError where a path can't be read.
    """
    classifier = classifier or classifier_from_environment()
    quality_limits, limits = load_limits()
    contract = classifier.contract()
    contract.check_parameters(work.segmentation_params, work.mel_spec_params, work.color_spec_params)
    params = (work.segmentation_params, work.mel_spec_params, work.color_spec_params)
    prepared = prepare(work.read(), *params, limits.decode, work.container)
    started = time.perf_counter()
    scores = classifier.classify(prepared.spectrograms)
    infer_ms = (time.perf_counter() - started) * 1000.0
    return conclude(prepared, scores, contract, quality_limits, limits.min_coughs, infer_ms)


def classifier_from_environment() -> Classifier:
    """Return Triton at $TRITON_URL where that is set, else ONNX Runtime in process on `model_repository/`.

    Raises: ModelContractError.
    """
    url = os.environ.get("TRITON_URL")
    return shared_classifier(url) if url else default_classifier()
