"""The API key of every `/v1` route."""

from __future__ import annotations

from fastapi import Request
from fastapi.security import APIKeyHeader

from frontend.configuration.known_keys import key_name_of
from frontend.domain.errors import Unauthorized

# Declared for the API docs' "Authorize" button; `require_key` does the checking.
api_key_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="The key from `var/api_key` or $API_KEY.")


async def require_key(request: Request) -> None:
    """The dependency of every `/v1` route; stores the key's name for the request's log line. Raises: Unauthorized."""
    if "key_name" in request.scope["state"]:  # `AdmissionGate` has looked already
        return
    found = key_name_of(request.headers.get("X-API-Key", ""), request.app.state.key_digests)
    if found is None:
        raise Unauthorized("send_key")
    request.state.key_name = found
