"""Probes. Liveness asks nobody else: an outage of Triton must not restart every front end."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import JSONResponse

from frontend.api.answering_head import Router
from frontend.api.services_of import services_of
from frontend.domain.deadline import Deadline
from frontend.domain.errors import NotReady
from frontend.openapi import operations
from frontend.stores.troubles import HARMLESS_TO_OTHERS, NOT_READY

PING_S = 2.0

router = Router()


@router.get("/healthz", **operations.HEALTHZ)
async def healthz(request: Request) -> JSONResponse:
    """This process is alive, and its workers end what they begin."""
    if services_of(request).stuck:
        raise NotReady("work_stuck")
    return JSONResponse({"status": "alive"})


@router.get("/readyz", **operations.READYZ)
async def readyz(request: Request) -> JSONResponse:
    """503 until the model's parameters were seen and agree, while draining, and while the stores take nothing and won't
    by themselves; says what is degraded, and why.
    """
    if request.app.state.draining:
        raise NotReady("shutting_down")
    services = services_of(request)
    services.model.known()
    inference = "ok" if services.model.available else "degraded"
    causes = await services.stores.look(Deadline.after(PING_S))
    stores = "ok" if HARMLESS_TO_OTHERS.issuperset(causes) else "degraded"
    services.metrics.degraded.labels("stores").set(stores == "degraded")
    if not NOT_READY.isdisjoint(causes):
        raise NotReady("stores_not_usable", causes=", ".join(causes))
    return JSONResponse({"status": "ready", "inference": inference, "stores": stores, "causes": list(causes)})
