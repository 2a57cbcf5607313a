"""Audio -> diagnosis by the serving release: the CPU half in a worker, then its score."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from frontend.domain.deadline import Deadline
from frontend.inference.scoring import Scorer
from frontend.inference.workers import Workers
from frontend.observability.metrics import Metrics
from runtime.diagnosis import Diagnosis
from runtime.errors import UnusableScores
from runtime.prepare import AudioFile, Prepared

OnPrepared = Callable[[Prepared], Awaitable[None]]


class Diagnoser:
    """Diagnoses one recording per call, for any number of concurrent callers."""

    def __init__(self, workers: Workers, scorer: Scorer, metrics: Metrics) -> None:
        self._workers = workers
        self._scorer = scorer
        self._metrics = metrics

    @property
    def available(self) -> bool:
        """Whether Triton answered the last check and can score, so that an attempt is useful."""
        return self._scorer.model.available

    async def diagnose(self, audio: AudioFile, deadline: Deadline, on_prepared: OnPrepared | None = None) -> Diagnosis:
        """Diagnose a recording; no inference starts after the deadline.

        on_prepared: awaited when no decoder works on the recording any more

        Raises: AudioError; InferenceError; NotReady; WorkTimeout; WorkersClosed.
        """
        prepared = await self._workers.prepare(audio, deadline)
        if on_prepared is not None:
            await on_prepared(prepared)
        try:
            diagnosis, first = await self._scorer.score(prepared, deadline)
        except UnusableScores:
            self._metrics.unusable_scores.inc()
            raise
        if first:
            self._metrics.first_score.set_to_current_time()
        self._metrics.count_diagnosis(diagnosis, len(prepared.spectrograms))
        return diagnosis
