"""Whose API key a request has."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from frontend.configuration.settings import ApiKey

KeyDigests = Sequence[tuple[str, bytes]]


def key_digests(keys: tuple[ApiKey, ...]) -> KeyDigests:
    """Return each key's name and digest. All digests have one length, so every comparison takes the same time."""
    return [(key.name, hashlib.sha256(key.key.get_secret_value().encode()).digest()) for key in keys]


def key_name_of(given: str, known: KeyDigests) -> str | None:
    """Return the name of the key in a header, or None where no key is like that."""
    digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
    found = None
    for name, known_digest in known:
        if hmac.compare_digest(digest, known_digest):  # no early end: the time must not show how close a key was
            found = name
    return found
