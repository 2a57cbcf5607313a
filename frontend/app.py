"""The application: middlewares in front of routes, routes in front of services. Importing it opens nothing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.types import Lifespan

from frontend.api import call_routes, console_routes, health_routes
from frontend.api.answering_head import add_head
from frontend.api.direct_route import DirectRoute
from frontend.api.exception_handlers import add_problem_handlers
from frontend.configuration.known_keys import key_digests
from frontend.configuration.settings import Settings
from frontend.middleware.admission_gate import AdmissionGate
from frontend.middleware.request_context import RequestContext
from frontend.middleware.unread_body import UnreadBody
from frontend.openapi.document import described_api
from frontend.services import Services, open_foundation
from frontend.stores.opening import Stores
from runtime.classify import AsyncClassifier


def create_app(
    settings: Settings, *, worker_count: int, classifier: AsyncClassifier | None = None, stores: Stores | None = None
) -> FastAPI:
    """Create the application.

    classifier: by default Triton at the settings' address. The application closes it.
    stores: for tests and other implementations; by default the stores in the settings are opened here. A store that
    can't be opened then ends the start like any other wrong setting. The application closes the stores.
    Raises: ConfigError, StoreUnavailable; ModelContractError where Triton may be scaled to zero and our release can't
    be served.
    """
    foundation = open_foundation(settings, stores)
    expected = foundation.expected_contract()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = Services(foundation, worker_count=worker_count, classifier=classifier, expected=expected)
        services.show_in_metrics()
        app.state.services = services
        await services.start()
        gc.collect()
        gc.freeze()  # these objects stay: the garbage collector can skip them
        background = services.run_in_background()
        try:
            yield
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await services.close()

    app = described_routes(lifespan)
    app.state.key_digests = key_digests(settings.api_keys)
    app.state.metrics = foundation.metrics
    app.state.draining = False
    add_problem_handlers(app)
    # The middleware added last sees a request first.
    app.add_middleware(AdmissionGate, max_body_bytes=foundation.limits.max_body_bytes)
    app.add_middleware(RequestContext, metrics=foundation.metrics, tracing=foundation.tracing)
    app.add_middleware(UnreadBody)
    return app


def described_routes(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return an application with the routes and their description, but without services."""
    app = described_api(lifespan)
    add_head(app.routes)
    app.routes.insert(0, DirectRoute("/v1/diagnoses", call_routes.post_diagnosis))
    for routes in (health_routes, call_routes, console_routes):
        app.include_router(routes.router)
    return app
