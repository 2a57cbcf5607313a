"""Probes. Liveness asks nobody: an outage of Triton must not restart every front end."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from frontend import operations
from frontend.deadline import Deadline
from frontend.errors import NotReady, StoreUnavailable

PING_S = 2.0

router = APIRouter()


@router.get("/healthz", **operations.HEALTHZ)
async def healthz() -> JSONResponse:
    """This process is alive."""
    return JSONResponse({"status": "alive"})


@router.get("/readyz", **operations.READYZ)
async def readyz(request: Request) -> JSONResponse:
    """503 until the model's parameters were seen and agree, and while draining (server.py); says what is degraded."""
    state = request.app.state
    if state.draining:
        raise NotReady("The service is shutting down: ask another replica.")
    state.serving_model.known()
    inference = "ok" if state.serving_model.available else "degraded"
    deadline = Deadline.after(PING_S)
    try:
        await asyncio.gather(state.stores.records.ping(deadline), state.stores.audio.ping(deadline))
        stores = "ok"
    except StoreUnavailable:
        stores = "degraded"
    state.metrics.degraded.labels("stores").set(stores == "degraded")
    return JSONResponse({"status": "ready", "inference": inference, "stores": stores})
