"""What is known to be wrong with the stores: told once in the log, shown by `/readyz` and the metrics while it lasts.

The codes are part of the API. None of them contains an address, an id, or text from a service.
"""

from __future__ import annotations

import logging
from enum import StrEnum

from frontend.domain.records import id_sha256

MAX_NAMED = 1000  # so many unreadable records are told apart; with more the count stays there

_log = logging.getLogger("tosia.stores")


class Trouble(StrEnum):
    """A code in `causes` of `/readyz`, and the label of `tosia_store_trouble`."""

    RECORD_STORE_AWAY = "record_store_away"
    RECORD_STORE_REFUSES_US = "record_store_refuses_us"
    RECORD_STORE_DAMAGED = "record_store_damaged"
    RECORD_STORE_FULL = "record_store_full"
    RECORDS_UNREADABLE = "records_unreadable"
    ERASED_NOT_OVERWRITTEN = "erased_not_overwritten"
    CLOCK_AHEAD = "clock_ahead"
    AUDIO_STORE_AWAY = "audio_store_away"
    AUDIO_STORE_REFUSES_US = "audio_store_refuses_us"
    AUDIO_STORE_FULL = "audio_store_full"


# Nothing can be accepted, and nothing that was accepted gets better by more requests: `/readyz` answers 503.
NOT_READY = frozenset({Trouble.RECORD_STORE_DAMAGED, Trouble.RECORD_STORE_REFUSES_US, Trouble.AUDIO_STORE_REFUSES_US})
# The stores serve every other call.
HARMLESS_TO_OTHERS = frozenset({Trouble.RECORDS_UNREADABLE, Trouble.ERASED_NOT_OVERWRITTEN, Trouble.CLOCK_AHEAD})

_WORDS = {
    Trouble.RECORD_STORE_AWAY: "the record store can't be used",
    Trouble.RECORD_STORE_REFUSES_US: "the record store refuses our identity or key",
    Trouble.RECORD_STORE_DAMAGED: "the record store's file is damaged: nothing is written to it any more; "
    "docs/failures.md says what to do",
    Trouble.RECORD_STORE_FULL: "the record store's disk is full: calls are refused until there is room",
    Trouble.ERASED_NOT_OVERWRITTEN: "what was erased is still in the record store's files, because another process "
    "uses them or the disk is full; this is tried again until it is gone",
    Trouble.CLOCK_AHEAD: "the clock is more than a day ahead of the last time that the record store saw: nothing "
    "expires until `python -m frontend clock --accept` says that the clock is right",
    Trouble.AUDIO_STORE_AWAY: "the audio store can't be used",
    Trouble.AUDIO_STORE_REFUSES_US: "the audio store refuses our identity or key",
    Trouble.AUDIO_STORE_FULL: "the audio store's disk is full: calls are refused until there is room",
}


class Troubles:
    """What is wrong now. Threads of the stores may call it."""

    def __init__(self) -> None:
        self._present: set[Trouble] = set()
        self._unreadable: set[str] = set()
        self._unanswerable: set[str] = set()

    @property
    def present(self) -> tuple[Trouble, ...]:
        """Return what is wrong, in the order of `Trouble`."""
        found = self._present | ({Trouble.RECORDS_UNREADABLE} if self.unreadable_records else set())
        return tuple(trouble for trouble in Trouble if trouble in found)

    @property
    def unreadable_records(self) -> int:
        """Return how many stored records were found that can't be read."""
        return len(self._unreadable) + len(self._unanswerable)

    def begin(self, trouble: Trouble) -> None:
        """Note that something is wrong; the log tells it when it begins."""
        if trouble not in self._present:
            self._present.add(trouble)
            _log.error("%s", _WORDS[trouble], extra={"fields": {"trouble": trouble.value}})

    def end(self, trouble: Trouble) -> None:
        """Note that it is over."""
        if trouble in self._present:
            self._present.discard(trouble)
            _log.warning("over: %s", trouble.value, extra={"fields": {"trouble": trouble.value}})

    def unreadable(self, call_id: object) -> None:
        """Note a record that can't be read; call_id: as it is stored, of any type."""
        self._add(self._unreadable, call_id)

    def unanswerable(self, call_id: str) -> None:
        """Note a record that the store can read, but whose diagnosis lacks what every diagnosis has."""
        self._add(self._unanswerable, call_id)

    def readable(self, call_id: str) -> None:
        """Note that the store has read a record."""
        if self._unreadable:  # a digest for each record read would be wasted otherwise
            self._unreadable.discard(id_sha256(call_id))

    def gone(self, call_id: str) -> None:
        """Note that a record was erased."""
        self.readable(call_id)
        if self._unanswerable:
            self._unanswerable.discard(id_sha256(call_id))

    @staticmethod
    def _add(found: set[str], call_id: object) -> None:
        digest = id_sha256(call_id if isinstance(call_id, str) and call_id.isascii() else repr(call_id))
        if digest not in found and len(found) < MAX_NAMED:
            found.add(digest)
            _log.error("a stored record can't be read and is left as it is", extra={"fields": {"call": digest}})
