"""Stored steps of a rollout, read with care: a disk or another program may have changed them."""

from __future__ import annotations

import json
from typing import Any

from frontend.domain.errors import StoreUnavailable
from frontend.domain.rollout import RolloutEvent, event_from_dict
from frontend.stores.protocols import UNREADABLE


def event_of(document: Any) -> RolloutEvent:
    """Return the step in a stored document. Raises: StoreUnavailable where it can't be read: it must not be guessed."""
    try:
        return event_from_dict(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StoreUnavailable(UNREADABLE, retry_after_s=60) from error


def event_from_text(text: object) -> RolloutEvent:
    """Return the step in a stored JSON text. Raises: StoreUnavailable as `event_of`."""
    try:
        document = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError) as error:
        raise StoreUnavailable(UNREADABLE, retry_after_s=60) from error
    return event_of(document)
