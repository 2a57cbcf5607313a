"""`python -m frontend callbacks`: messages to receivers that wait or were given up, listed; the latter sent again."""

from __future__ import annotations

import argparse

from frontend.adapters.callbacks.dead import Chosen, listed, send_again
from frontend.configuration.settings import Settings
from frontend.domain.records import NoticeState
from frontend.stores.opening import open_stores


async def callbacks(options: argparse.Namespace, settings: Settings) -> int:
    """Run the command and return its exit code. Raises: StoreUnavailable."""
    stores = open_stores(settings, settings.tuning.limits.retention_days)
    chosen = Chosen(options.key, options.call)
    try:
        if options.send_again:
            print(f"{await send_again(stores.records, chosen)} messages are sent again.")
            return 0
        count = 0
        state = NoticeState.OWED if options.list_owed else NoticeState.DEAD
        async for line in listed(stores.records, state, chosen):
            print(line)
            count += 1
        print(f"{count} messages {'are owed' if options.list_owed else 'were given up'}.")
        return 0
    finally:
        await stores.close()
