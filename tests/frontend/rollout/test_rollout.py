"""Who answers, and what is held against a candidate: real workers and stores. What stands in is both Tritons, because
the real one can't be told at which moment to fail or to serve something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontend.configuration.tuning import RolloutSettings, image_tuning
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased
from frontend.domain.records import CallRecord, State, StoredAudio, now
from frontend.domain.rollout import RolloutEvent, Stage
from frontend.inference.diagnoser import Diagnoser
from frontend.inference.scoring import Scorer
from frontend.inference.serving_model import ServingModel
from frontend.inference.workers import Workers, WorkTimeout
from frontend.observability.metrics import Metrics
from frontend.rollout.candidate import Candidate, release_of, worker_parameters
from frontend.rollout.rollout import CANDIDATE, SERVING, Diagnosed, Rollout
from frontend.services import Services, open_foundation
from frontend.stores.opening import Stores
from runtime.classify import Scores
from runtime.config import MODEL_REPOSITORY, ROOT, digest, load_config, load_limits
from runtime.contract import ModelContract, read_contract
from runtime.errors import AudioError, InferenceError, ModelContractError, UndecodableAudio
from runtime.prepare import AudioFile
from tests.frontend.settings import embedded_settings, on_stores

QUALITY, LIMITS = load_limits()
SETTINGS = image_tuning().rollout
NOTE = AudioFile.of((ROOT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes())
NOISE = AudioFile.of(b"no recording at all" * 20)
OURS = read_contract(MODEL_REPOSITORY)
THEIRS = replace(OURS, version="99")  # the same otherwise


def with_hop(hop_length: int) -> ModelContract:
    """A candidate that prepares otherwise."""
    preprocess = {**OURS.preprocess, "mel_spec": {**OURS.preprocess["mel_spec"], "hop_length": hop_length}}
    return replace(OURS, version="99", preprocess=preprocess, preprocess_sha256=digest(preprocess))


@dataclass
class Triton:
    """Serves a contract; each candidate is a cough. error: raised in its place; asked: called with each question."""

    served: ModelContract
    error: Exception | None = None
    asked: Callable[[], Awaitable[None]] | None = None
    count: int = 0

    async def contract(self, timeout_s: float) -> ModelContract:
        return self.served

    async def is_ready(self) -> bool:
        return True

    async def classify(self, spectrograms: Any, contract: ModelContract, timeout_s: float) -> Scores:
        self.count += 1
        if self.asked is not None:
            await self.asked()
        if self.error is not None:
            raise self.error
        n = len(spectrograms)
        return Scores(np.full(n, 0.9, np.float32), np.tile(np.array([0.8, 0.2], np.float32), (n, 1)))

    async def close(self) -> None:
        pass


@dataclass
class Parts:
    """One front end's part in a rollout."""

    stores: Stores
    serving: Triton
    theirs: Triton
    rollout: Rollout
    candidate: Candidate
    metrics: Metrics = field(default_factory=Metrics)
    steps: int = 0

    async def step(self, stage: Stage, share: float = 1.0) -> None:
        release = release_of(self.theirs.served)
        event = RolloutEvent(now(), "a tester", stage, release, share)
        await self.stores.records.add_rollout_event(event, self.steps, Deadline.after(10.0))
        self.steps += 1
        await self.rollout.refresh()

    async def call(self, call_id: str, audio: AudioFile = NOTE, seconds: float = 30.0) -> Diagnosed:
        return await self.rollout.diagnose(self.rollout.assign(call_id), audio, Deadline.after(seconds))

    async def answered(self, call_id: str, found: Diagnosed) -> None:
        stored = StoredAudio(f"calls/{call_id}/{NOTE.sha256}", NOTE.sha256, len(NOTE.data), "audio/ogg")
        record = CallRecord(call_id, State.DIAGNOSED, now(), now(), 1, None, stored, found.diagnosis.to_dict())
        await self.stores.records.create(record, Deadline.after(10.0))
        self.rollout.answered(record, found, NOTE)

    async def compare_all(self) -> None:
        """Work on the backlog here, so that all is done afterwards."""
        backlog = self.rollout._backlog
        while backlog.calls:
            call = backlog._waiting.popleft()
            backlog._bytes -= call.bytes
            await self.rollout._compare(call)

    def events(self, of: str) -> tuple[float, float]:
        """Return how often something was counted in this step, and of how many calls."""
        figures = self.rollout._guard.figures()
        return figures[of], figures[f"{of}_of"]


def on_parts(
    folder: Path,
    check: Callable[[Parts], Awaitable[None]],
    candidate: ModelContract = THEIRS,
    settings: RolloutSettings = SETTINGS,
) -> None:
    async def run(stores: Stores) -> None:
        serving, theirs, metrics = Triton(OURS), Triton(candidate), Metrics()
        workers = Workers(1, load_config(), LIMITS, metrics)
        scorers = [
            Scorer(one, ServingModel(one, lambda _: None), QUALITY, LIMITS.min_coughs)  # type: ignore[arg-type]
            for one in (serving, theirs)
        ]
        beside = Candidate(scorers[1], workers, LIMITS)
        diagnoser = Diagnoser(workers, scorers[0], metrics)
        rollout = Rollout(diagnoser, scorers[0], beside, workers, stores.records, settings, metrics)
        try:
            await asyncio.gather(workers.start(), *(scorer.model.look() for scorer in scorers))
            await check(Parts(stores, serving, theirs, rollout, beside, metrics))
        finally:
            await workers.close()

    on_stores(folder, run)


@pytest.mark.parametrize("contract", [THEIRS, with_hop(84)], ids=["alike", "otherwise"])
def test_a_recording_that_nobody_can_decode_is_not_held_against_the_candidate(
    contract: ModelContract, tmp_path: Path
) -> None:
    """Otherwise a caller with twenty broken files would stop every canary."""

    async def check(parts: Parts) -> None:
        await parts.step(Stage.CANARY)
        for n in range(SETTINGS.min_calls):
            with pytest.raises(AudioError):
                await parts.call(f"broken-{n}", NOISE)
        assert parts.rollout.stage is Stage.CANARY
        assert parts.events("failures")[0] == 0
        found = await parts.call("good")
        assert (found.assigned and found.assigned.to, parts.events("failures")) == (CANDIDATE, (0, 1))

    on_parts(tmp_path, check, contract)


def test_a_recording_that_only_the_candidate_can_not_prepare_is(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        await parts.step(Stage.CANARY)

        async def refuse(*_: object) -> None:
            raise UndecodableAudio("undecodable")

        parts.candidate.prepare = refuse  # type: ignore[assignment, method-assign]
        found = await parts.call("a")
        assert found.assigned is not None
        assert (found.assigned.to, found.assigned.why) == (
            SERVING,
            "the candidate could not prepare it (UndecodableAudio)",
        )
        assert parts.events("failures") == (1, 1)

    on_parts(tmp_path, check, with_hop(84))


def test_a_candidate_leaves_the_serving_release_time(tmp_path: Path) -> None:
    """Also where its timeout is longer than the rest of the request."""
    given: list[float] = []

    async def check(parts: Parts) -> None:
        await parts.step(Stage.CANARY)
        parts.candidate.scorer = _Late(parts.candidate.scorer, given)  # type: ignore[assignment]
        deadline_s = SETTINGS.candidate_timeout_s
        found = await parts.call("a", seconds=deadline_s)
        assert found.assigned is not None
        assert found.assigned.to == SERVING
        assert given[0] <= deadline_s / 2

    on_parts(tmp_path, check)


@dataclass
class _Late:
    scorer: Scorer
    given: list[float]

    @property
    def model(self) -> ServingModel:
        return self.scorer.model

    async def score(self, _: object, deadline: Deadline) -> None:
        self.given.append(deadline.remaining_s)
        raise InferenceError("late")


def test_another_release_at_the_candidates_address_answers_nobody(tmp_path: Path) -> None:
    """It was not what the step was taken for, and would score what was prepared for another."""

    async def check(parts: Parts) -> None:
        await parts.step(Stage.CANARY)
        first = parts.theirs.served
        prepare = parts.candidate.prepare

        async def replaced_meanwhile(*arguments: Any) -> Any:
            prepared = await prepare(*arguments)
            parts.theirs.served = replace(first, version="100")
            await parts.candidate.scorer.model.look()
            return prepared

        parts.candidate.prepare = replaced_meanwhile  # type: ignore[method-assign]
        found = await parts.call("a")
        assert found.diagnosis.model.version == OURS.version
        assert found.assigned is not None
        assert (found.assigned.to, parts.theirs.count) == (SERVING, 0)

    on_parts(tmp_path, check)


def test_calls_of_the_step_before_are_not_held_against_the_next(tmp_path: Path) -> None:
    """A frozen candidate is taken back and another one begun while many calls still wait for the first."""

    async def check(parts: Parts) -> None:
        await parts.step(Stage.CANARY)
        all_wait, going = asyncio.Event(), asyncio.Event()

        async def freeze() -> None:
            if parts.theirs.count == len(calls):
                all_wait.set()
            await going.wait()

        parts.theirs.asked, parts.theirs.error = freeze, InferenceError("frozen")
        calls = [asyncio.create_task(parts.call(f"call-{n}")) for n in range(SETTINGS.min_calls + 5)]
        await all_wait.wait()
        parts.theirs.served = replace(OURS, version="100")
        await parts.candidate.scorer.model.look()
        await parts.step(Stage.CANARY)
        going.set()
        found = await asyncio.gather(*calls)
        assert all(one.assigned and one.assigned.to == SERVING for one in found)
        assert parts.events("failures") == (0, 0)
        assert parts.rollout.stage is Stage.CANARY

    on_parts(tmp_path, check)


def test_a_call_is_compared_for_the_candidate_that_answered_it(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        await parts.step(Stage.CANARY)
        found = await parts.call("a")
        await parts.step(Stage.SHADOW)
        await parts.answered("a", found)  # by the candidate itself: nothing to compare it with as a shadow
        assert parts.rollout.backlog == 0
        parts.theirs.served = replace(OURS, version="100")
        await parts.candidate.scorer.model.look()
        await parts.step(Stage.CANARY)
        await parts.answered("b", found)  # by the one before
        assert parts.rollout.backlog == 0
        await parts.answered("c", await parts.call("c"))
        assert parts.rollout.backlog == 1

    on_parts(tmp_path, check)


def test_a_call_that_was_erased_in_the_backlog_is_neither_scored_nor_written_back(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        await parts.step(Stage.SHADOW)
        for call_id in ("erased", "kept"):
            await parts.answered(call_id, await parts.call(call_id))
        records = parts.stores.records
        assert await records.erase("erased", without_record=False, deadline=Deadline.after(10.0))
        await parts.compare_all()
        assert parts.theirs.count == 1
        with pytest.raises(CallErased):
            await records.read("erased", Deadline.after(10.0))
        kept = await records.read("kept", Deadline.after(10.0))
        assert kept is not None
        assert [entry["role"] for entry in kept.record.history] == ["shadow"]

    on_parts(tmp_path, check)


def test_a_call_that_is_erased_while_it_is_scored_is_not_written_back(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        await parts.step(Stage.SHADOW)
        records = parts.stores.records

        async def erase() -> None:
            await records.erase("a", without_record=False, deadline=Deadline.after(10.0))

        await parts.answered("a", await parts.call("a"))
        parts.theirs.asked = erase
        await parts.compare_all()
        with pytest.raises(CallErased):
            await records.read("a", Deadline.after(10.0))

    on_parts(tmp_path, check)


def test_a_canary_answers_no_more_than_can_be_compared(tmp_path: Path) -> None:
    async def check(parts: Parts) -> None:
        await parts.step(Stage.CANARY)
        by = []
        for n in range(5):
            found = await parts.call(f"call-{n}")
            assert found.assigned is not None
            by.append(found.assigned.to)
            await parts.answered(f"call-{n}", found)
        assert by == [CANDIDATE, CANDIDATE, CANDIDATE, SERVING, SERVING]
        assert parts.events("failures") == (0, 3)  # that is no fault of the candidate
        await parts.compare_all()
        found = await parts.call("after")
        assert (found.assigned and found.assigned.to) == CANDIDATE

    on_parts(tmp_path, check, settings=replace(SETTINGS, backlog_calls=4))


def test_a_canary_is_judged_by_a_busy_front_end_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontend.rollout.rollout._BUSY_S", 0.05)
    monkeypatch.setattr(Workers, "waiting", 1)

    async def check(parts: Parts) -> None:
        await parts.step(Stage.CANARY)
        await parts.answered("a", await parts.call("a"))
        await parts.compare_all()
        assert parts.events("flips") == (0, 1)
        await parts.step(Stage.SHADOW)
        await parts.answered("b", await parts.call("b"))
        await parts.compare_all()
        assert parts.events("flips") == (0, 0)

    on_parts(tmp_path, check)


def test_a_shadow_that_prepares_for_long_holds_one_worker_only(tmp_path: Path) -> None:
    """Work that has begun goes on, so the next recording has to wait until the worker is free or was ended."""
    given: list[float] = []

    async def check(parts: Parts) -> None:
        await parts.step(Stage.SHADOW)
        await parts.answered("a", await parts.call("a"))

        async def late(_: object, __: object, deadline: Deadline) -> None:
            given.append(deadline.remaining_s)
            raise WorkTimeout

        parts.candidate.prepare = late  # type: ignore[assignment, method-assign]
        await parts.compare_all()
        assert given[0] > LIMITS.worker_timeout_s
        assert parts.events("failures") == (1, 1)

    on_parts(tmp_path, check, with_hop(84))


def test_a_candidate_with_parameters_that_are_not_known_here_is_refused() -> None:
    """Left out, they would make another preparation than the candidate was trained with."""
    preprocess = {**OURS.preprocess, "denoise": {"strength": 0.5}}
    with pytest.raises(ModelContractError):
        worker_parameters(replace(OURS, preprocess=preprocess, preprocess_sha256=digest(preprocess)), LIMITS)
    assert worker_parameters(with_hop(84), LIMITS).sha256 == with_hop(84).preprocess_sha256


def test_a_front_end_starts_whatever_its_candidate_serves(tmp_path: Path) -> None:
    async def check() -> None:
        settings = replace(embedded_settings(tmp_path), candidate_triton_url="127.0.0.1:2")
        services = Services(open_foundation(settings), worker_count=1)
        assert services.candidate is not None

        async def fail() -> None:
            raise RecursionError  # a contract that is nested without end, say

        services.candidate.scorer.model.look = fail  # type: ignore[method-assign]
        try:
            await services.start()
            assert not services.candidate.available
        finally:
            await services.close()

    asyncio.run(check())
