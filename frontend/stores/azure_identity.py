"""The identity of this process on Azure, if the settings use it instead of keys, and its tokens.

Both SDKs and azure-identity keep a token until it expires by its own account. A service may refuse it earlier: it was
revoked, or a clock is wrong. `TokenTransport` sees the refusal, asks for a new token past all caches, and sends the
request once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

from azure.core.credentials import AccessToken
from azure.core.credentials_async import AsyncTokenCredential as TokenCredential
from azure.core.exceptions import AzureError
from azure.core.pipeline.transport import AioHttpTransport
from azure.identity.aio import DefaultAzureCredential

__all__ = ["RenewableCredential", "ServiceClock", "TokenCredential", "TokenTransport", "workload_credential"]

RENEW_EVERY_S = 5.0  # a service that refuses every token must not make us ask for one at every request
KEEP_S = 300  # the SDKs replace a token that lives no longer
HANDED_OUT_S = 60  # shorter than KEEP_S, so that the SDKs ask us for each request and keep no token themselves


class RenewableCredential:
    """Satisfies azure-core's AsyncTokenCredential: keeps tokens until they expire, or until one is refused."""

    def __init__(self, make: Callable[[], TokenCredential]) -> None:
        """Keep how a credential is made: a new one has no token in its cache."""
        self._make = make
        self._credential = make()
        self._lock = asyncio.Lock()
        self._tokens: dict[tuple[str, ...], AccessToken] = {}
        self._refused: dict[tuple[str, ...], str] = {}
        self._renewed_at: dict[tuple[str, ...], float] = {}

    async def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **kwargs: Any,
    ) -> AccessToken:
        """Return a token. Raises: azure.core.exceptions.ClientAuthenticationError."""
        token = self._tokens.get(scopes)
        if claims or token is None or token.expires_on - time.time() < KEEP_S:
            async with self._lock:
                token = await self._credential.get_token(
                    *scopes, claims=claims, tenant_id=tenant_id, enable_cae=enable_cae, **kwargs
                )
                self._tokens[scopes] = token
        return AccessToken(token.token, min(token.expires_on, int(time.time()) + HANDED_OUT_S))

    async def renew(self, refused: str) -> str | None:
        """Return a token in place of one that a service has refused; None where there is no other one now."""
        async with self._lock:
            for scopes, before in self._refused.items():
                if before == refused:  # another request has renewed it
                    return self._tokens[scopes].token
            scopes = next((scopes for scopes, token in self._tokens.items() if token.token == refused), ())
            present = time.monotonic()
            if not scopes or present - self._renewed_at.get(scopes, -RENEW_EVERY_S) < RENEW_EVERY_S:
                return None
            self._renewed_at[scopes] = present
            old, self._credential = self._credential, self._make()
            await old.close()
            try:
                renewed = await self._credential.get_token(*scopes)
            except AzureError:
                return None
            if renewed.token == refused:
                return None
            self._tokens[scopes], self._refused[scopes] = renewed, refused
            return renewed.token

    async def close(self) -> None:
        """Release the credential's connections."""
        await self._credential.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
    ) -> None:
        await self.close()


class ServiceClock:
    """The clock of a service, from the `Date` of its answers: our own may be wrong by days, or be set meanwhile."""

    def __init__(self) -> None:
        self._noted: tuple[float, float] | None = None  # the service's time, and ours that can't be set

    def note(self, date: str | None) -> None:
        """Take the time of an answer."""
        with contextlib.suppress(ValueError):  # without one the last one goes on
            self._noted = parsedate_to_datetime(date or "").timestamp(), time.monotonic()

    def time(self) -> float:
        """Return the service's time in seconds since 1970; our own before the first answer."""
        if self._noted is None:
            return time.time()
        at, monotonic = self._noted
        return at + time.monotonic() - monotonic


class TokenTransport(AioHttpTransport):  # type: ignore[misc]
    """Sends a request that was refused with 401 or 403 once more, with a new token."""

    def __init__(self, credential: object, clock: ServiceClock | None = None, **options: Any) -> None:
        """credential: nothing is renewed unless it is a RenewableCredential. options: of AioHttpTransport."""
        super().__init__(**options)
        self._token_source = credential if isinstance(credential, RenewableCredential) else None
        self._service_clock = clock or ServiceClock()

    async def send(self, request: Any, **config: Any) -> Any:
        """Send a request. Raises: as AioHttpTransport."""
        response = await super().send(request, **config)
        self._service_clock.note(response.headers.get("Date"))
        refused = response.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        if not refused or self._token_source is None:
            return response
        sent = request.headers.get("Authorization", "")
        # `Bearer <token>` for Blob Storage, `type=aad&ver=1.0&sig=<token>` for Cosmos.
        token = sent.removeprefix("Bearer ").rpartition("sig=")[2]
        renewed = await self._token_source.renew(token)
        if renewed is None:
            return response
        response.internal_response.close()
        request.headers["Authorization"] = sent.replace(token, renewed)
        return await super().send(request, **config)


def workload_credential() -> RenewableCredential:
    """Return the workload identity of the pod's service account in a cluster; elsewhere the identity that the machine
    is signed in with.
    """
    return RenewableCredential(lambda: DefaultAzureCredential(exclude_interactive_browser_credential=True))
