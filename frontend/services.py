"""Wires the front end's parts, for the application, `--check` and `backfill`; no other module does this."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from frontend.adapters.callbacks.sender import Callbacks
from frontend.calls.attempts import Attempts
from frontend.calls.call_service import Calls
from frontend.calls.outbox import NoOutbox
from frontend.calls.reconciler import Reconciler
from frontend.calls.retention_sweeper import Sweeper
from frontend.configuration.settings import Settings
from frontend.domain.errors import NotReady, StoreUnavailable
from frontend.domain.rollout import Stage
from frontend.inference.admission import Admission
from frontend.inference.diagnoser import Diagnoser
from frontend.inference.scoring import Scorer
from frontend.inference.serving_model import ServingModel
from frontend.inference.workers import Workers
from frontend.observability.line_meter import LineMeter
from frontend.observability.loop_lag import watch_lag
from frontend.observability.metrics import Metrics
from frontend.observability.tracing import OFF, Tracing
from frontend.rollout.candidate import Candidate, worker_parameters
from frontend.rollout.guard import BOUNDS
from frontend.rollout.rollout import Rollout
from frontend.stores.opening import Stores, open_stores
from frontend.stores.troubles import Trouble
from runtime.classify import AsyncClassifier
from runtime.config import MODEL_REPOSITORY, Limits, Parameters, QualityLimits, load_config
from runtime.contract import ModelContract, read_released_contract
from runtime.errors import InferenceError, ModelContractError
from runtime.triton_classifier import AsyncTritonClassifier
from runtime.version import SOFTWARE_VERSION

_log = logging.getLogger("tosia.services")


@dataclass(frozen=True, slots=True)
class Foundation:
    """The base of all other parts: settings, the model's parameters, metrics and open stores."""

    settings: Settings
    parameters: Parameters
    metrics: Metrics
    stores: Stores
    tracing: Tracing

    @property
    def quality_limits(self) -> QualityLimits:
        return self.settings.tuning.quality

    @property
    def limits(self) -> Limits:
        return self.settings.tuning.limits

    def check_contract(self, contract: ModelContract) -> None:
        """Check a contract. Raises: ModelContractError where these parameters or stores do not allow the model."""
        contract.check_parameters(*self.parameters)
        self._check_validated(contract)

    def check_candidate(self, contract: ModelContract) -> None:
        """Check a candidate's contract, which may have parameters of its own. Raises: ModelContractError."""
        worker_parameters(contract, self.limits)
        self._check_validated(contract)

    def _check_validated(self, contract: ModelContract) -> None:
        settings = self.settings
        if settings.azure is not None and not contract.model.validated and not settings.allow_unvalidated:
            raise ModelContractError("model_not_validated")

    def expected_contract(self) -> ModelContract | None:
        """Return the checked contract of our own release if Triton may sleep, else None. Raises: ModelContractError."""
        if not self.settings.triton_may_sleep:
            return None
        contract = read_released_contract(MODEL_REPOSITORY)
        self.check_contract(contract)
        return contract


def open_foundation(settings: Settings, stores: Stores | None = None) -> Foundation:
    """Open the base parts. stores: by default the settings' stores, opened here.

    Raises: ConfigError, StoreUnavailable.
    """
    parameters = load_config()
    opened = stores or open_stores(settings, settings.tuning.limits.retention_days)
    metrics = Metrics()
    return Foundation(settings, parameters, metrics, opened, tracing_of(settings, metrics))


def tracing_of(settings: Settings, metrics: Metrics) -> Tracing:
    """Return what begins traces; where they are off, the SDK is not even imported."""
    if settings.traces is None:
        return OFF
    from frontend.observability.span_export import open_tracing  # noqa: PLC0415

    return open_tracing(settings.traces, metrics)


def candidate_of(base: Foundation, workers: Workers) -> Candidate | None:
    """Return the candidate at the settings' address; None where there is none."""
    url, limits = base.settings.candidate_triton_url, base.limits
    if not url:
        return None
    classifier = AsyncTritonClassifier(url)
    # One that is too slow for calls must not be asked again and again.
    trial_s = base.settings.tuning.rollout.candidate_timeout_s
    model = ServingModel(classifier, base.check_candidate, name="the candidate's inference", trial_s=trial_s)
    return Candidate(Scorer(classifier, model, base.quality_limits, limits.min_coughs), workers, limits)


class Services:
    """The running parts; must be made inside the event loop."""

    def __init__(
        self,
        foundation: Foundation,
        *,
        worker_count: int,
        classifier: AsyncClassifier | None = None,
        expected: ModelContract | None = None,
    ) -> None:
        """Wire the parts. classifier: by default Triton at the settings' address. expected: see
        `Foundation.expected_contract`.
        """
        base, limits, metrics = foundation, foundation.limits, foundation.metrics
        audio, records = base.stores.audio, base.stores.records
        self.stores, self.limits, self.metrics, self.tracing = base.stores, limits, metrics, base.tracing
        self.classifier = classifier or AsyncTritonClassifier(base.settings.triton_url)
        self.model = ServingModel(self.classifier, base.check_contract, expected=expected)
        self.workers = Workers(worker_count, base.parameters, limits, metrics)
        scorer = Scorer(self.classifier, self.model, base.quality_limits, limits.min_coughs)
        self.diagnoser = Diagnoser(self.workers, scorer, metrics)
        self.candidate = candidate_of(base, self.workers)
        rollout = base.settings.tuning.rollout
        self.rollout = Rollout(self.diagnoser, scorer, self.candidate, self.workers, records, rollout, metrics)
        settings = base.settings
        self.callbacks = (
            Callbacks(
                settings.receivers,
                records,
                settings.tuning.callbacks,
                metrics,
                allow_inside=settings.callbacks_allow_private,
            )
            if settings.receivers
            else None
        )
        names = [key.name for key in settings.api_keys]
        if settings.intake is not None and settings.intake.key_name is not None:
            names.append(settings.intake.key_name)
        self.line = LineMeter(metrics, names, self._known_contracts)
        outbox = self.callbacks or NoOutbox()
        self.attempts = Attempts(
            audio, records, self.diagnoser, self.rollout, limits, metrics, self.line, outbox, base.tracing
        )
        self.calls = Calls(audio, records, self.attempts, limits, metrics)
        service = base.settings.tuning.service
        self._stuck_after_s = service.stuck_after_s
        self.reconciler = Reconciler(
            self.attempts,
            records,
            self.model,
            limits,
            metrics,
            at_once=2 * worker_count,
            every_s=service.reconcile_every_s,
        )
        self.sweeper = Sweeper(
            audio,
            records,
            orphan_age_s=service.orphan_age_s,
            every_s=service.sweep_every_s,
            rest_factor=service.sweep_rest_factor,
        )
        self.admission = Admission(limits, metrics, self.attempts.running, self.workers.wait_s, worker_count)

    async def start(self) -> None:
        """Start the workers and check the models once; return when that is done."""
        looks = [self._look_at(self.candidate), self._look_at_rollout()] if self.candidate else []
        await asyncio.gather(self.workers.start(), self.model.look(), *looks)
        self.line.look()

    @property
    def stuck(self) -> bool:
        """Whether work waits for the workers and none has ended for too long: a restart may help."""
        return self.workers.stuck_s > self._stuck_after_s

    def show_in_metrics(self) -> None:
        """Connect the gauges to the present amounts of work."""
        metrics = self.metrics
        metrics.in_work.set_function(lambda: self.admission.in_work)
        metrics.body_bytes.set_function(lambda: self.admission.body_bytes)
        metrics.waiting.set_function(lambda: self.workers.waiting)
        metrics.degraded.labels("inference").set_function(lambda: not self.model.available)
        troubles = self.stores.troubles
        metrics.unreadable.set_function(lambda: troubles.unreadable_records)
        for trouble in Trouble:
            present = partial(lambda trouble: trouble in troubles.present, trouble)
            metrics.store_trouble.labels(trouble.value).set_function(present)
        for stage in Stage:
            at = partial(lambda stage: self.rollout.stage is stage, stage)
            metrics.rollout_stage.labels(stage.value).set_function(at)
        for bound in BOUNDS:
            breaks = partial(lambda bound: self.rollout.broken == bound, bound)
            metrics.rollout_broken.labels(bound).set_function(breaks)
        metrics.rollout_candidate.set_function(lambda: self.rollout.candidate_available)
        metrics.rollout_backlog.set_function(lambda: self.rollout.backlog)
        metrics.build.labels(SOFTWARE_VERSION).set(1)

    def run_in_background(self) -> list[asyncio.Task[None]]:
        """Watch the model, finish unfinished calls, remove expired calls; until cancelled."""
        loops = [
            self.model.watch(),
            self.reconciler.run(),
            self.sweeper.run(self.metrics.swept),
            watch_lag(self.metrics.loop_lag),
        ]
        if self.candidate is not None:
            loops.append(self.rollout.run())
        if self.callbacks is not None:
            loops.append(self.callbacks.run())
        return [asyncio.create_task(loop) for loop in loops]

    def _known_contracts(self) -> Iterator[ModelContract]:
        """Yield what the serving Triton and the candidate's have said that they serve."""
        models = [self.model, *([self.candidate.scorer.model] if self.candidate else [])]
        for model in models:
            with contextlib.suppress(NotReady, ModelContractError, InferenceError):
                yield model.contract()

    async def _look_at(self, candidate: Candidate) -> None:
        try:
            await candidate.scorer.model.look()
        except Exception:  # noqa: BLE001 - whatever its contract holds must not keep the serving release from callers
            _log.exception("looking at the candidate failed")

    async def _look_at_rollout(self) -> None:
        """Take up a rollout that is on; where the store is away, `Rollout.run` does so later."""
        with contextlib.suppress(StoreUnavailable):
            await self.rollout.refresh()

    async def close(self) -> None:
        """Close all parts; attempts first, because they need all other parts."""
        await self.attempts.close()
        await self.workers.close()
        await self.classifier.close()
        await self.rollout.close()
        if self.callbacks is not None:
            await self.callbacks.close()
        await self.stores.close()
        await self.tracing.close()
