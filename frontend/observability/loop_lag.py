"""Measures the delay of the event loop: code that blocks it delays every request."""

from __future__ import annotations

import asyncio

from prometheus_client import Histogram

EVERY_S = 0.025


async def watch_lag(lag: Histogram) -> None:
    """Observe until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY_S
        await asyncio.sleep(EVERY_S)
        late_s = max(0.0, loop.time() - due)
        while late_s >= 0.0:  # a long stall counts once for each missed measurement
            lag.observe(late_s)
            late_s -= EVERY_S
