"""The API key of every `/v1` route."""

from __future__ import annotations

import hashlib
import hmac

from fastapi import Request
from fastapi.security import APIKeyHeader

from frontend.configuration.settings import ApiKey
from frontend.domain.errors import Unauthorized

# Declared for the API docs' "Authorize" button; `require_key` does the checking.
api_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The key from `var/api_key` or $API_KEY.")


def key_digests(keys: tuple[ApiKey, ...]) -> list[tuple[str, bytes]]:
    """Return each key's name and digest. All digests have one length, so every comparison takes the same time."""
    return [(key.name, hashlib.sha256(key.key.get_secret_value().encode()).digest()) for key in keys]


async def require_key(request: Request) -> None:
    """The dependency of every `/v1` route; stores the key's name for the request's log line. Raises: Unauthorized."""
    given = request.headers.get("X-API-Key", "")
    digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
    found = None
    for name, known in request.app.state.key_digests:
        if hmac.compare_digest(digest, known):  # no early end: the time must not show how close a key was
            found = name
    if found is None:
        raise Unauthorized("send_key")
    request.state.key_name = found
