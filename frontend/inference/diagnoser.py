"""Audio -> diagnosis: the CPU half in a worker, then one gRPC request to Triton, then the pure last step here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from frontend.domain.deadline import Deadline
from frontend.inference.serving_model import ServingModel
from frontend.inference.workers import Workers
from frontend.observability.metrics import Metrics
from runtime.classify import AsyncClassifier
from runtime.conclude import conclude
from runtime.config import Limits, QualityLimits
from runtime.diagnosis import Diagnosis
from runtime.errors import InferenceError, InferenceTimeout, UnusableScores
from runtime.prepare import AudioFile


class Diagnoser:
    """Diagnoses one recording per call, for any number of concurrent callers."""

    def __init__(
        self,
        workers: Workers,
        classifier: AsyncClassifier,
        model: ServingModel,
        quality_limits: QualityLimits,
        limits: Limits,
        metrics: Metrics,
    ) -> None:
        self._workers = workers
        self._classifier = classifier
        self._model = model
        self._quality_limits = quality_limits
        self._limits = limits
        self._metrics = metrics

    @property
    def available(self) -> bool:
        """Whether Triton answered the last check and can score, so that an attempt is useful."""
        return self._model.available

    async def diagnose(
        self, audio: AudioFile, deadline: Deadline, on_prepared: Callable[[], Awaitable[None]] | None = None
    ) -> Diagnosis:
        """Diagnose a recording; no inference starts after the deadline.

        on_prepared: awaited when no decoder works on the recording any more

        Raises: AudioError; InferenceError; NotReady; WorkTimeout; WorkersClosed.
        """
        prepared = await self._workers.prepare(audio, deadline)
        if on_prepared is not None:
            await on_prepared()
        contract = self._model.contract()
        if deadline.passed:
            raise InferenceTimeout("The deadline passed before the inference server was asked.")
        started = time.perf_counter()
        try:
            scores = await self._classifier.classify(prepared.spectrograms, contract, deadline.remaining_s)
        except InferenceError as error:
            self._model.inference_failed(error)
            if isinstance(error, UnusableScores):
                self._metrics.unusable_scores.inc()
            raise
        if len(prepared.spectrograms) and self._model.inference_succeeded():  # without any, nobody was asked
            self._metrics.first_score.set_to_current_time()
        infer_ms = (time.perf_counter() - started) * 1000.0
        diagnosis = conclude(prepared, scores, contract, self._quality_limits, self._limits.min_coughs, infer_ms)
        self._metrics.count_diagnosis(diagnosis, len(prepared.spectrograms))
        return diagnosis
