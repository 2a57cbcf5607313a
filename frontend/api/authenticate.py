"""The API key of every `/v1` route."""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request
from fastapi.security import APIKeyHeader

from frontend.configuration.settings import ApiKey
from frontend.domain.errors import Unauthorized

# Declared for the API docs' "Authorize" button; `Authenticator` does the checking.
api_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The key from `var/api_key` or $API_KEY.")


class Authenticator:
    """Checks API keys by their digests. All digests have one length, so every comparison takes the same time."""

    def __init__(self, keys: tuple[ApiKey, ...]) -> None:
        self._digests = [(key.name, hashlib.sha256(key.key.get_secret_value().encode()).digest()) for key in keys]

    def key_name(self, given: str | None) -> str:
        """Return the name of the given key. Raises: Unauthorized."""
        found = None
        digest = hashlib.sha256((given or "").encode("utf-8", "surrogateescape")).digest()
        for name, known in self._digests:
            if hmac.compare_digest(digest, known):  # no early end: the time must not show how close a key was
                found = name
        if found is None:
            raise Unauthorized("send_key")
        return found


async def require_key(request: Request) -> None:
    """The dependency of every `/v1` route; stores the key's name for the request's log line. Raises: Unauthorized."""
    authenticator: Authenticator = request.app.state.authenticator
    request.state.key_name = authenticator.key_name(request.headers.get("X-API-Key"))
