"""A rollout as this process takes part in it: who answers a call, what the other release says of it, when to stop.

The stored steps are the state; a step is seen by every replica within `rollout.poll_s`. Each replica judges a canary by
the calls that it has seen itself, and the first that finds a bound broken stops it for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from frontend.configuration.tuning import RolloutSettings
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, FrontendError, NotReady, StoreUnavailable
from frontend.domain.records import Assigned, CallRecord, State, now
from frontend.domain.rollout import RolloutEvent, Stage, drawn
from frontend.inference.diagnoser import Diagnoser, OnPrepared
from frontend.inference.scoring import Scorer
from frontend.inference.workers import WorkerDefect, Workers, WorkersClosed, WorkTimeout
from frontend.observability.metrics import Metrics
from frontend.rollout.backlog import Answered, Backlog
from frontend.rollout.candidate import Candidate, release_of
from frontend.rollout.compare import Comparison, compare
from frontend.rollout.guard import Guard
from frontend.stores.protocols import RecordStore, RecordTooLarge, StaleRecord, Versioned
from runtime.diagnosis import Diagnosis
from runtime.errors import AudioError, InferenceError, InferenceTimeout, ModelContractError, UnusableScores
from runtime.prepare import AudioFile, Prepared

FRONT_END = "front end"  # in the audit trail: not a person
CANDIDATE, SERVING = "candidate", "serving"
STORE_S = 5.0  # for one question to the record store; nobody waits for it
IDLE_S = 0.02  # between two looks whether the workers have time
TRIES = 3  # where a record changes meanwhile
_BUSY_S = 5.0  # then a shadow is dropped
_CANDIDATES_PART = 0.5  # of a request's time: the rest is for the serving release, where the candidate fails

# Of the candidate; and of a recording or of our workers, unless the serving release does better with it.
_FAILURES = (InferenceError, NotReady, ModelContractError, WorkTimeout, WorkerDefect)
_UNPREPARED = (AudioError, WorkTimeout, WorkerDefect, InferenceTimeout)

_log = logging.getLogger("tosia.rollout")


@dataclass(frozen=True, slots=True)
class Diagnosed:
    """A diagnosis, the preparation that it was made from, and who was to make it."""

    diagnosis: Diagnosis
    prepared: Prepared
    assigned: Assigned | None


class _Unprepared(Exception):
    """A recording that was drawn for the candidate could not be prepared. cause: why; alike: whether the serving
    release prepares recordings in the same way, so that it can do no better
    """

    def __init__(self, cause: Exception, alike: bool) -> None:
        super().__init__()
        self.cause, self.alike = cause, alike


def bounds_of(settings: RolloutSettings, event: RolloutEvent) -> RolloutSettings:
    """Return the settings with what a step says otherwise; names that are no setting of ours are left out."""
    known = {field.name for field in fields(settings)}
    changed: dict[str, Any] = {name: value for name, value in event.bounds.items() if name in known}
    return replace(settings, **changed)


class Rollout:
    """Without a candidate's address nothing is drawn, and every call is the serving release's."""

    def __init__(
        self,
        serving: Diagnoser,
        scorer: Scorer,
        candidate: Candidate | None,
        workers: Workers,
        records: RecordStore,
        settings: RolloutSettings,
        metrics: Metrics,
    ) -> None:
        """serving: answers callers; scorer: of the serving release, for comparisons that are not counted as answers."""
        self._serving = serving
        self._scorer = scorer
        self._candidate = candidate
        self._workers = workers
        self._records = records
        self._settings = settings
        self._metrics = metrics
        self._guard = Guard(settings)
        self._event: RolloutEvent | None = None
        self._number = 0  # of the steps that are known
        self._told = False  # that a shadow would have been stopped
        self._broken: str | None = None  # the bound for which this process has stopped it, until that is stored
        self._backlog = Backlog(self._compare, settings.backlog_calls, settings.backlog_bytes, metrics)

    @property
    def stage(self) -> Stage | None:
        """Return how far the rollout has come, as this process acts."""
        if self._event is None:
            return None
        return Stage.STOPPED if self._broken else self._event.stage

    @property
    def backlog(self) -> int:
        """Count the calls that wait for the other release."""
        return self._backlog.calls

    @property
    def broken(self) -> str | None:
        """Return the bound that is broken in this step, of a shadow as well; None where none is."""
        return self._broken or (self._guard.broken() if self.stage in (Stage.SHADOW, Stage.CANARY) else None)

    @property
    def candidate_available(self) -> bool:
        """Whether the candidate of the last step could score now."""
        candidate, event = self._candidate, self._event
        return candidate is not None and event is not None and candidate.release == event.candidate

    def assign(self, call_id: str) -> Assigned | None:
        """Return which release is to answer a new call; None where no share is drawn."""
        event = self._event
        if event is None or self.stage not in (Stage.CANARY, Stage.PROMOTED) or self._has_arrived(event):
            return None
        share = 1.0 if event.stage is Stage.PROMOTED else event.share
        if drawn(call_id) < share:
            return Assigned(CANDIDATE, event.candidate, f"{event.stage.value}: drawn below {share:g}")
        return Assigned(SERVING, event.candidate, f"{event.stage.value}: not drawn below {share:g}")

    async def diagnose(
        self, assigned: Assigned | None, audio: AudioFile, deadline: Deadline, on_prepared: OnPrepared | None = None
    ) -> Diagnosed:
        """Diagnose a recording by the release that it was assigned to. Where that is the candidate, and it can't, the
        serving release answers, and `assigned` says why.

        Raises: as `Diagnoser.diagnose`.
        """
        guard, unprepared = self._guard, None
        if assigned is not None and assigned.to == CANDIDATE:
            why = self._why_not(assigned)
            if why is None:
                try:
                    return await self._by_candidate(assigned, audio, deadline, on_prepared)
                except _Unprepared as error:
                    if error.alike:
                        raise error.cause from None
                    unprepared = error.cause
                    why = f"the candidate could not prepare it ({type(unprepared).__name__})"
                except _FAILURES as error:
                    self._failed(error, guard)
                    why = f"the candidate failed ({type(error).__name__})"
            assigned = replace(assigned, to=SERVING, why=why)
        kept: list[Prepared] = []

        async def keep(prepared: Prepared) -> None:
            kept.append(prepared)
            if on_prepared is not None:
                await on_prepared(prepared)

        diagnosis = await self._serving.diagnose(audio, deadline, keep)
        if unprepared is not None:  # only now it is known that it was not the recording's fault
            self._failed(unprepared, guard)
        if assigned is not None:
            self._metrics.rollout_answers.labels(SERVING).inc()
        return Diagnosed(diagnosis, kept[0], assigned)

    def answered(self, record: CallRecord, found: Diagnosed, audio: AudioFile) -> None:
        """Take up a call after its result was stored, for the other release to say what it makes of it."""
        event, stage = self._event, self.stage
        if event is None or self._candidate is None or record.state is not State.DIAGNOSED:
            return
        assigned = found.assigned
        by_candidate = assigned is not None and assigned.to == CANDIDATE
        shadowed = stage is Stage.SHADOW and not by_candidate and drawn(record.call_id) < event.share
        # A call may end in another step than it began in.
        answered = by_candidate and assigned is not None and assigned.candidate == event.candidate
        if not shadowed and not (stage is Stage.CANARY and answered):
            return
        if shadowed and not self.candidate_available:
            self._failed(InferenceError("away"), self._guard)
            return
        alike = self._serving_preparation() == event.candidate.preprocess_sha256
        self._backlog.add(Answered(record, found.prepared, None if alike else audio, self._number))

    async def refresh(self) -> None:
        """Take up the steps that were stored since the last look. Raises: StoreUnavailable."""
        events = await self._records.rollout_events(self._number, Deadline.after(STORE_S))
        if not events:
            return
        self._number += len(events)
        self._event, self._broken = events[-1], None
        self._guard = Guard(bounds_of(self._settings, self._event))
        self._told = False
        self._backlog.clear()
        _log.info("rollout: %s of %g", self._event.stage.value, self._event.share)

    async def run(self) -> None:
        """Look for steps, store the end of a canary whose bound is broken, compare; until cancelled."""
        comparing = asyncio.create_task(self._backlog.run())
        watching = [asyncio.create_task(self._candidate.scorer.model.watch())] if self._candidate else []
        try:
            while True:
                try:
                    await self.refresh()
                    if self._broken is not None:
                        await self._store_stop(self._broken)
                except StoreUnavailable:
                    pass  # the stores' own gauge says so; what this process has stopped stays stopped
                except Exception:  # noqa: BLE001 - a defect of ours must not end the watch
                    _log.exception("looking at the rollout failed")
                await asyncio.sleep(self._settings.poll_s)
        except asyncio.CancelledError:
            pass
        finally:
            for task in (comparing, *watching):
                task.cancel()
            await asyncio.gather(comparing, *watching, return_exceptions=True)

    async def close(self) -> None:
        """Close the candidate's connections."""
        if self._candidate is not None:
            await self._candidate.scorer.classifier.close()

    def _has_arrived(self, event: RolloutEvent) -> bool:
        """Whether the serving Triton has the candidate: then there is nothing to draw."""
        with contextlib.suppress(InferenceError, NotReady, ModelContractError):
            return release_of(self._scorer.model.contract()) == event.candidate and event.stage is Stage.PROMOTED
        return False

    def _serving_preparation(self) -> str:
        try:
            return self._scorer.model.contract().preprocess_sha256
        except (InferenceError, NotReady, ModelContractError):
            return ""

    def _why_not(self, assigned: Assigned) -> str | None:
        """Return why a call that was drawn for the candidate is not given to it; None where it is."""
        event = self._event
        if event is None or event.candidate != assigned.candidate or self.stage in (Stage.STOPPED, Stage.SHADOW):
            return "the rollout was stopped"
        if not self.candidate_available:
            self._failed(InferenceError("away"), self._guard)
            return "the candidate is away"
        # A canary whose answers nobody compares could be wrong for as long as the front end is busy.
        if event.stage is Stage.CANARY and self._backlog.half_full:
            return "too many answers of the candidate wait to be compared"
        return None

    async def _by_candidate(
        self, assigned: Assigned, audio: AudioFile, deadline: Deadline, on_prepared: OnPrepared | None
    ) -> Diagnosed:
        assert self._candidate is not None  # noqa: S101 - `_why_not` has looked
        guard, release = self._guard, assigned.candidate
        alike = self._serving_preparation() == release.preprocess_sha256
        part = Deadline.after(deadline.remaining_s * _CANDIDATES_PART)
        try:
            prepared = await self._candidate.prepare(audio, release, deadline if alike else part)
        except _UNPREPARED as error:
            raise _Unprepared(error, alike) from error
        if on_prepared is not None:
            await on_prepared(prepared)
        part = Deadline.after(min(self._settings.candidate_timeout_s, deadline.remaining_s * _CANDIDATES_PART))
        diagnosis = await self._candidate.score(prepared, release, part)
        guard.asked(failed=False)
        self._metrics.rollout_answers.labels(CANDIDATE).inc()
        self._metrics.count_diagnosis(diagnosis, len(prepared.spectrograms))
        return Diagnosed(diagnosis, prepared, assigned)

    def _failed(self, error: Exception, guard: Guard) -> None:
        """Count a call that the candidate could not score; stop a canary for too many. guard: of the step in which it
        was asked, which may be over
        """
        unusable = isinstance(error, UnusableScores)
        cause = "unusable" if unusable else "timeout" if isinstance(error, InferenceTimeout | WorkTimeout) else "error"
        self._metrics.rollout_failures.labels(cause).inc()
        guard.asked(failed=True, unusable=unusable)
        self._judge()

    def _judge(self) -> None:
        """Stop a canary whose bound is broken: here at once, for all when it is stored. Of a shadow only say so."""
        if self.stage not in (Stage.SHADOW, Stage.CANARY) or (bound := self._guard.broken()) is None:
            return
        if self.stage is Stage.SHADOW:
            if not self._told:
                _log.error("as a canary the candidate would be stopped: too many %s", bound)
            self._told = True
            return
        self._broken = bound
        self._metrics.rollout_stops.labels(bound).inc()
        _log.error("the canary is stopped: too many %s", bound)

    async def _store_stop(self, bound: str) -> None:
        event = self._event
        assert event is not None  # noqa: S101 - a bound is broken only in a canary
        why = f"too many {bound}: more than rollout.* in the settings allows"
        stop = replace(
            event, at=now(), by=FRONT_END, stage=Stage.STOPPED, share=0.0, why=why, figures=self._guard.figures()
        )
        with contextlib.suppress(StaleRecord):  # a person or another replica was faster
            await self._records.add_rollout_event(stop, self._number, Deadline.after(STORE_S))
        await self.refresh()

    async def _compare(self, call: Answered) -> None:
        """Score an answered call by the other release, count what differs, and store what it said."""
        idle = await self._workers_are_idle()
        event, guard = self._event, self._guard
        # A canary must be judged, also by a busy front end: one comparison in five seconds competes with callers.
        if event is None or call.number != self._number or (event.stage is Stage.SHADOW and not idle):
            self._metrics.rollout_dropped.inc()
            return
        try:
            known = await self._records.read(call.record.call_id, Deadline.after(STORE_S))
        except CallErased:
            return  # nothing of it goes anywhere any more
        except FrontendError:
            self._metrics.rollout_dropped.inc()
            return
        other = await self._other(call, event, guard) if known is not None else None
        if known is None or other is None:
            return
        shadow = event.stage is Stage.SHADOW
        said, answer = other.to_dict(), call.record.diagnosis or {}
        self._count(compare(said, answer) if shadow else compare(answer, said), guard)
        entry = {"at": now(), "diagnosis": said, "role": "shadow" if shadow else SERVING}
        await self._note(known, {**entry, "candidate": asdict(event.candidate)})

    async def _other(self, call: Answered, event: RolloutEvent, guard: Guard) -> Diagnosis | None:
        """Return what the release says of a call that did not answer it; None where it can't, which is counted."""
        assert self._candidate is not None  # noqa: S101 - without one no call waits
        # Work that has begun can't be stopped: whoever gave it up would give the next recording to another worker.
        until = Deadline.after(self._workers.timeout_s + STORE_S)
        prepared, release = call.prepared, event.candidate
        try:
            if event.stage is Stage.SHADOW:
                if call.audio is not None:
                    prepared = await self._candidate.prepare(call.audio, release, until)
                in_time = Deadline.after(self._settings.candidate_timeout_s)
                other = await self._candidate.score(prepared, release, in_time)
                guard.asked(failed=False)
            else:
                if call.audio is not None:
                    prepared = await self._workers.prepare(call.audio, until)
                other, _ = await self._scorer.score(prepared, Deadline.after(self._settings.candidate_timeout_s))
        except (*_FAILURES, AudioError) as error:
            if event.stage is Stage.SHADOW:
                self._failed(error, guard)
            else:
                self._metrics.rollout_dropped.inc()
            return None
        except WorkersClosed:
            return None
        return other

    def _count(self, comparison: Comparison, guard: Guard) -> None:
        """Count a call that both have scored. guard: of the step that it belongs to"""
        guard.compared(comparison)
        self._metrics.count_comparison(comparison.status_flip, comparison.label_flip)
        if comparison.shift(self._settings.score_tolerance):
            self._metrics.rollout_shifts.inc()
        if comparison.slow(self._settings.slow_factor, self._settings.slow_floor_ms):
            self._metrics.rollout_slow.inc()
        self._judge()

    async def _workers_are_idle(self) -> bool:
        """Wait until no caller's recording waits for a worker; False after a while."""
        left = _BUSY_S
        while self._workers.waiting and left > 0.0:
            await asyncio.sleep(IDLE_S)
            left -= IDLE_S
        return left > 0.0

    async def _note(self, known: Versioned, entry: dict[str, object]) -> None:
        """Add an entry to a record's history; what can't be stored is counted and left. known: as it was read last"""
        try:
            for _ in range(TRIES):
                changed = replace(known.record, history=[*known.record.history, entry])
                try:
                    await self._records.replace(changed, known.etag, Deadline.after(STORE_S))
                except StaleRecord:
                    again = await self._records.read(known.record.call_id, Deadline.after(STORE_S))
                    if again is None:
                        return
                    known = again
                else:
                    return
        except CallErased:
            return
        except (RecordTooLarge, FrontendError):
            pass
        self._metrics.rollout_dropped.inc()
