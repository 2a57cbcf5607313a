"""One request to an Azure service, within a deadline, with its errors as ours."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable

MAX_RETRY_AFTER_S = 60
# Timeouts of one attempt; the deadline ends the whole request.
CONNECT_S = 3.0
READ_S = 8.0
_MOVING = (3, 1008)  # sub-statuses of 403: Cosmos is moving the account's writes to another region

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
        pause_s = _retry_after_s(error)
        if _refuses_us(error):
            raise StoreUnavailable(f"{service}_refused", retry_after_s=pause_s) from error
        raise StoreUnavailable(f"{service}_unusable", retry_after_s=pause_s) from error
    except (AzureError, aiohttp.ClientError, OSError) as error:
        _log.warning("%s can't be reached (%s)", service, type(error).__name__)
        raise StoreUnavailable(f"{service}_unreachable") from error


def _refuses_us(error: HttpResponseError) -> bool:
    """Whether a service refuses our identity or key, or there is no token for it."""
    if getattr(error, "sub_status", None) in _MOVING:
        return False
    return isinstance(error, ClientAuthenticationError) or error.status_code in (
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
    )


def requested_pause_s(error: HttpResponseError) -> float | None:
    """Return the pause that the service requests, in seconds; None where it requests none."""
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or getattr(error, "headers", None) or {}
    for name, unit_s in (("x-ms-retry-after-ms", 1e-3), ("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, ""))
        except ValueError:
            continue
        if math.isfinite(seconds):
            return min(MAX_RETRY_AFTER_S, max(0.0, seconds * unit_s))
    return None


def _retry_after_s(error: HttpResponseError) -> int:
    """Return the pause that callers are told, in whole seconds."""
    seconds = requested_pause_s(error)
    return 2 if seconds is None else max(1, math.ceil(seconds))
