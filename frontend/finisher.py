"""Take up calls that were accepted and not finished: after a restart, and when inference comes back."""

from __future__ import annotations

import asyncio
import logging

from frontend.calls import Calls
from frontend.errors import StoreUnavailable
from frontend.records import seconds_since
from frontend.serving_model import ServingModel
from frontend.stores.protocols import RecordStore

SWEEP_S = 1.0
MAX_BACKOFF_S = 60.0
AT_ONCE = 8  # of a backlog; requests keep the rest of the workers

_log = logging.getLogger("tosia.finisher")


async def finish_received(calls: Calls, records: RecordStore, model: ServingModel) -> None:
    """Sweep until cancelled. A call that failed is tried again after 1, 2, 4 ... 60 s."""
    while True:
        try:
            if model.available:
                await _sweep(calls, records)
        except StoreUnavailable:
            _log.warning("the record store is away")
        except Exception:  # noqa: BLE001 - a defect of ours must not end the loop that keeps "nothing is lost"
            _log.exception("a sweep failed")
        await asyncio.sleep(SWEEP_S)


async def _sweep(calls: Calls, records: RecordStore) -> None:
    tasks = []
    for known in await records.received(limit=100):
        backoff_s = min(2.0 ** min(known.record.attempts, 6), MAX_BACKOFF_S)
        if seconds_since(known.record.updated_at) >= backoff_s:
            tasks.append(calls.start(known))
        if len(tasks) >= AT_ONCE:
            break
    if tasks:
        await asyncio.wait(tasks)
