"""The moment after which an answer is useless.

A request's deadline is passed to every call that is made for the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from frontend.domain.errors import StoreUnavailable


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment. at: on the event loop's clock, in seconds."""

    at: float

    @staticmethod
    def after(seconds: float) -> Deadline:
        """Return the deadline `seconds` from now; must be called inside the event loop."""
        return Deadline(asyncio.get_running_loop().time() + seconds)

    @property
    def remaining_s(self) -> float:
        """Return the seconds until the deadline; 0.0 after it."""
        return max(0.0, self.at - asyncio.get_running_loop().time())

    @property
    def passed(self) -> bool:
        return self.remaining_s <= 0.0

    @asynccontextmanager
    async def for_store(self) -> AsyncIterator[None]:
        """Cancel the calls inside at the deadline. Raises: StoreUnavailable, also where it had passed before."""
        try:
            async with asyncio.timeout_at(self.at):
                if self.passed:
                    raise TimeoutError
                yield
        except TimeoutError as error:
            raise StoreUnavailable("store_too_slow") from error
