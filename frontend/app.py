"""Where the server is wired (backfill.py wires its own command); nothing is opened at import."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI

from frontend.admission import Admission, AdmissionGate
from frontend.attempts import Attempts
from frontend.authenticate import Authenticator
from frontend.calls import Calls
from frontend.diagnoser import Diagnoser
from frontend.finisher import Finisher
from frontend.loop_lag import watch_lag
from frontend.metrics import Metrics
from frontend.openapi import api
from frontend.problems import add_problem_handlers
from frontend.request_log import RequestLog
from frontend.serving_model import ServingModel
from frontend.settings import Settings
from frontend.stores.opening import Stores, open_stores
from frontend.sweeper import Sweeper
from frontend.unread_body import UnreadBody
from frontend.workers import Parameters, Workers
from runtime.classify import AsyncClassifier
from runtime.config import MODEL_REPOSITORY, load_config, load_limits
from runtime.contract import ModelContract, read_released_contract
from runtime.errors import ModelContractError
from runtime.triton_classifier import AsyncTritonClassifier
from runtime.version import SOFTWARE_VERSION


def create_app(
    settings: Settings, *, worker_count: int, classifier: AsyncClassifier | None = None, stores: Stores | None = None
) -> FastAPI:
    """The application.

    classifier: by default Triton at the settings' address. The application closes it.
    stores: for tests and other implementations; by default those that the settings name, opened here, so that a store
    that can't be opened ends the start like any other wrong setting. The application closes them.
    Raises: ConfigError, StoreUnavailable; ModelContractError where Triton may sleep and our release is not one to serve.
    """
    params = load_config()
    quality_limits, limits = load_limits()
    metrics = Metrics()
    opened = stores or open_stores(settings, limits.retention_days)

    def check(contract: ModelContract) -> None:
        check_contract(contract, params, settings)

    expected = _released(check) if settings.triton_may_sleep else None

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        asked = classifier or AsyncTritonClassifier(settings.triton_url)
        model = ServingModel(asked, check, expected=expected)
        workers = Workers(worker_count, params, limits, metrics)
        diagnoser = Diagnoser(workers, asked, model, quality_limits, limits, metrics)
        attempts = Attempts(opened.audio, opened.records, diagnoser, limits, metrics)
        calls = Calls(opened.audio, opened.records, attempts, limits, metrics)
        finisher = Finisher(attempts, opened.records, model, limits, metrics, at_once=2 * worker_count)
        admission = Admission(limits, metrics, lambda: attempts.running, workers.wait_s, worker_count)
        metrics.in_work.set_function(lambda: admission.in_work)
        metrics.body_bytes.set_function(lambda: admission.body_bytes)
        metrics.waiting.set_function(lambda: workers.waiting)
        metrics.degraded.labels("inference").set_function(lambda: not model.available)
        metrics.build.labels(SOFTWARE_VERSION).set(1)
        app.state.calls, app.state.workers, app.state.serving_model = calls, workers, model
        app.state.admission, app.state.stores = admission, opened
        await asyncio.gather(workers.start(), model.look())
        gc.collect()
        gc.freeze()  # what is here now stays: collections need not look at it again and again
        background = [
            asyncio.create_task(model.watch()),
            asyncio.create_task(finisher.run()),
            asyncio.create_task(Sweeper(opened.audio, opened.records).run(metrics.swept)),
            asyncio.create_task(watch_lag(metrics.loop_lag)),
        ]
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await attempts.close()
            await workers.close()
            await asked.close()
            await opened.close()

    app = api(lifespan)
    app.state.authenticator = Authenticator(settings.api_keys)
    app.state.limits = limits
    app.state.metrics = metrics
    app.state.draining = False
    add_problem_handlers(app)
    app.add_middleware(AdmissionGate, max_body_bytes=limits.max_body_bytes)
    app.add_middleware(RequestLog, metrics=metrics)
    app.add_middleware(UnreadBody)
    return app


def _released(check: Callable[[ModelContract], None]) -> ModelContract:
    contract = read_released_contract(MODEL_REPOSITORY)
    check(contract)
    return contract


def check_contract(contract: ModelContract, params: Parameters, settings: Settings) -> None:
    """Raises: ModelContractError where the model is not to be served with these parameters, or from these stores."""
    contract.check_parameters(*params)
    if settings.azure is not None and not contract.model.validated and not settings.allow_unvalidated:
        raise ModelContractError(
            "The model that Triton serves is not validated: serve a validated one, or set ALLOW_UNVALIDATED=1 to serve it from "
            "the Azure stores all the same."
        )
