"""`python -m frontend clock`: show whether calls expire by this machine's clock; `--accept` says that it is right.

The record store remembers the last time that it saw. Where the clock is more than a day ahead of it, the service was
off for so long or the clock is wrong; which of the two only a person can tell. Until then nothing expires.
"""

from __future__ import annotations

from frontend.configuration.settings import Settings
from frontend.domain.deadline import Deadline
from frontend.domain.records import now
from frontend.stores.opening import open_stores
from frontend.stores.sqlite_moments import CLOCK_TRUST

PATIENCE_S = 10.0
HOUR_S = 3600.0


async def clock(settings: Settings, *, accept: bool) -> int:
    """Run the command and return its exit code: 1 while nothing expires. Raises: StoreUnavailable."""
    if settings.azure is not None:
        print("Calls in Azure expire by Cosmos DB's own clock: there is nothing to accept.")
        return 0
    stores = open_stores(settings, settings.tuning.limits.retention_days)
    try:
        if accept:
            await stores.records.accept_clock(Deadline.after(PATIENCE_S))
            print(f"{now()} is accepted as right: calls expire again at the next sweep.")
            return 0
        ahead_s = await stores.records.clock_ahead_s(Deadline.after(PATIENCE_S))
    finally:
        await stores.close()
    if ahead_s <= CLOCK_TRUST.total_seconds():
        print(f"The clock says {now()}, and calls expire by it.")
        return 0
    print(
        f"The clock says {now()}, which is {ahead_s / HOUR_S:.0f} hours after the last time that the record store saw: "
        "nothing expires. If the clock is right, say so with --accept."
    )
    return 1
