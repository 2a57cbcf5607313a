"""No inference starts after the deadline of what it is for; the workers go on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from frontend.domain.deadline import Deadline
from frontend.inference.diagnoser import Diagnoser
from frontend.inference.scoring import Scorer
from frontend.inference.serving_model import ServingModel
from frontend.inference.workers import Workers
from frontend.observability.metrics import Metrics
from laptop.service import Service
from runtime.classify import Scores
from runtime.config import load_config, load_limits
from runtime.diagnosis import Status
from runtime.errors import InferenceTimeout
from runtime.prepare import AudioFile
from runtime.triton_classifier import AsyncTritonClassifier
from tests.integration.problems import tone, wav


class Recorded:
    """Triton, with the time at which each inference began and how long it may take."""

    def __init__(self, classifier: AsyncTritonClassifier) -> None:
        self._classifier = classifier
        self.begun: list[tuple[float, float]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._classifier, name)

    async def classify(self, spectrograms: Any, contract: Any, timeout_s: float) -> Scores:
        self.begun.append((asyncio.get_running_loop().time(), timeout_s))
        return await self._classifier.classify(spectrograms, contract, timeout_s)


def test_no_inference_starts_after_the_deadline(service: Service, benchmark: bytes) -> None:
    """One worker and recordings of some tenths of a second of work each: only the first ones come to Triton in time."""
    params = load_config()
    quality_limits, limits = load_limits()
    long, note = AudioFile.of(wav(tone(50.0, 192_000), 192_000)), AudioFile.of(benchmark)

    async def check() -> None:
        classifier = Recorded(AsyncTritonClassifier(service.triton_url))
        model = ServingModel(classifier, lambda _: None)
        workers = Workers(1, params, limits, metrics := Metrics())
        diagnoser = Diagnoser(workers, Scorer(classifier, model, quality_limits, limits.min_coughs), metrics)
        try:
            await asyncio.gather(workers.start(), model.look())
            (worker,) = workers._decoding._workers
            times = []
            for _ in range(3):
                begun = asyncio.get_running_loop().time()
                await diagnoser.diagnose(long, Deadline.after(30.0))
                times.append(asyncio.get_running_loop().time() - begun)
            classifier.begun.clear()
            # Time for 3 of 24: a shared machine may become three times slower, or eight times faster.
            deadline = Deadline.after(3.0 * max(times))
            done = await asyncio.gather(
                *(diagnoser.diagnose(long, deadline) for _ in range(24)), return_exceptions=True
            )
            late = [item for item in done if isinstance(item, InferenceTimeout)]
            assert 1 <= len(late) < 24
            assert len(classifier.begun) == 24 - len(late)
            assert all(
                moment < deadline.at and moment + timeout_s <= deadline.at + 0.01
                for moment, timeout_s in classifier.begun
            )
            # What waited was taken back, what had begun goes on to its end: the worker is the same, and free.
            again = await diagnoser.diagnose(note, Deadline.after(10.0))
            assert again.status is Status.OK
            assert workers._decoding._workers == {worker}
            passed = len(classifier.begun)
            with pytest.raises(InferenceTimeout):
                await diagnoser.diagnose(note, Deadline.after(0.0))
            assert len(classifier.begun) == passed
        finally:
            await workers.close()
            await classifier.close()

    asyncio.run(check())
