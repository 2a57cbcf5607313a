"""Probes. Liveness asks nobody else: an outage of Triton must not restart every front end."""

from __future__ import annotations

import asyncio

from fastapi import Request
from fastapi.responses import JSONResponse

from frontend.api.answering_head import Router
from frontend.api.services_of import services_of
from frontend.domain.deadline import Deadline
from frontend.domain.errors import NotReady, StoreUnavailable
from frontend.openapi import operations

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
    """503 until the model's parameters were seen and agree, and while draining; says what is degraded."""
    if request.app.state.draining:
        raise NotReady("shutting_down")
    services = services_of(request)
    services.model.known()
    inference = "ok" if services.model.available else "degraded"
    deadline = Deadline.after(PING_S)
    try:
        await asyncio.gather(services.stores.records.ping(deadline), services.stores.audio.ping(deadline))
        stores = "ok"
    except StoreUnavailable:
        stores = "degraded"
    services.metrics.degraded.labels("stores").set(stores == "degraded")
    return JSONResponse({"status": "ready", "inference": inference, "stores": stores})
