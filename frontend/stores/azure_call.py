"""One request to an Azure service, within a deadline, with its errors as ours."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from azure.core.exceptions import AzureError, HttpResponseError

from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable

MAX_RETRY_AFTER_S = 60
# Timeouts of one attempt; the deadline ends the whole request.
CONNECT_S = 3.0
READ_S = 8.0

_log = logging.getLogger("tosia.stores")


@asynccontextmanager
async def azure_call(service: str, deadline: Deadline) -> AsyncIterator[None]:
    """Raise StoreUnavailable for errors that the caller has not caught inside. The SDK's messages may contain
    addresses, so they stay in the cause.
    """
    try:
        async with deadline.for_store():
            yield
    except HttpResponseError as error:
        _log.warning("%s answered %s", service, error.status_code or "what can't be read")
        raise StoreUnavailable(f"{service}_unusable", retry_after_s=_retry_after_s(error)) from error
    except (AzureError, aiohttp.ClientError, OSError) as error:
        _log.warning("%s can't be reached (%s)", service, type(error).__name__)
        raise StoreUnavailable(f"{service}_unreachable") from error


def _retry_after_s(error: HttpResponseError) -> int:
    """Return the pause that the service requests, in whole seconds."""
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or getattr(error, "headers", None) or {}
    for name, unit_s in (("x-ms-retry-after-ms", 1e-3), ("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        return min(MAX_RETRY_AFTER_S, max(1, math.ceil(seconds * unit_s)))
    return 2
