"""Page tokens: the sort key from which a listing continues, encoded for callers."""

from __future__ import annotations

import base64
import binascii

from frontend.domain.errors import InvalidRequest
from frontend.domain.records import is_sort_key


def page_token(sort_key: str | None) -> str | None:
    """Return the value of `next`; None at the end of the listing."""
    return base64.urlsafe_b64encode(sort_key.encode()).decode() if sort_key is not None else None


def sort_key_of(token: str | None) -> str | None:
    """Invert `page_token`; None for a missing or an empty token. Raises: InvalidRequest."""
    if not token:
        return None
    try:
        sort_key = base64.b64decode(token.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        sort_key = ""
    if not is_sort_key(sort_key):
        raise InvalidRequest("page_token_unknown")
    return sort_key
