"""One line for each reading of a recording and each erasure: which key, which call (by digest), when."""

from __future__ import annotations

import logging

from frontend.domain.records import id_sha256, now

_log = logging.getLogger("tosia.audit")


def audit(action: str, key_name: str, call_id: str) -> None:
    """Write one line. call: the SHA-256 of the id, as in tombstones, so that the lines of a known id can be found."""
    _log.info("%s key=%s call=%s at=%s", action, key_name, id_sha256(call_id), now())
