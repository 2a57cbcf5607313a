"""Remove audio without a record, and calls that are older than the retention period."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from prometheus_client import Counter

from frontend.calls.stored_audio import OUR_NAME
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallErased, StoreUnavailable
from frontend.observability.audit import audit
from frontend.stores.protocols import UNREADABLE, AudioStore, Blob, RecordStore

OVERLAP = timedelta(seconds=60.0)  # the storage service has its own clock, in whole seconds
PAGE_S = 60.0
CALL_S = 10.0
# With more orphans than this, COSMO_CONTAINER is probably wrong: nothing is removed.
SUSPICIOUS_SHARE, SUSPICIOUS_COUNT = 0.5, 20

_log = logging.getLogger("tosia.sweeper")


@dataclass(frozen=True, slots=True)
class Swept:
    """Counts of a sweep's removals."""

    orphans: int
    expired: int


class Sweeper:
    """Removes orphans and expired calls; remembers its position, so that it checks each blob once."""

    def __init__(
        self,
        audio: AudioStore,
        records: RecordStore,
        orphan_age_s: float,
        *,
        every_s: float = 0.0,
        rest_factor: float = 0.0,
    ) -> None:
        """Keep the settings. orphan_age_s: audio without a record is removed when it is older, and was seen here for
        as long.

        every_s, rest_factor: `run` pauses every_s seconds, or rest_factor times the sweep's duration if that is longer
        """
        self._every_s, self._rest_factor = every_s, rest_factor
        self._audio = audio
        self._records = records
        self._orphan_age = timedelta(seconds=orphan_age_s)
        lookback_s = audio.lookback_s
        self._from = None if lookback_s is None else datetime.now(UTC) - timedelta(seconds=lookback_s)
        # Orphans, and when each was first seen, on the loop's clock. The wall clock may be wrong by days: audio whose
        # request is still at work must not be taken for an old orphan.
        self._seen: dict[Blob, float] = {}
        self._away = False

    async def run(self, removed: Counter) -> None:
        """Sweep repeatedly until cancelled; removed: counts the removals, by `what`."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            try:
                swept = await self.sweep()
                removed.labels("orphans").inc(swept.orphans)
                removed.labels("expired").inc(swept.expired)
                if swept != Swept(0, 0):
                    _log.info("swept %d recordings without a record and %d expired calls", swept.orphans, swept.expired)
                self._away = False
            except StoreUnavailable:
                if not self._away:
                    _log.warning("a sweep was given up: a store is away")
                self._away = True
            except Exception:  # noqa: BLE001 - a defect of ours must not end the loop
                _log.exception("a sweep failed")
            await asyncio.sleep(max(self._every_s, self._rest_factor * (loop.time() - started)))

    async def sweep(self) -> Swept:
        """Sweep once. Raises: StoreUnavailable."""
        # A damaged index may not find a record that is there, and its audio would be taken for an orphan.
        await self._records.maintain(Deadline.after(PAGE_S))
        return Swept(expired=await self._remove_expired(), orphans=await self._remove_orphans())

    async def _remove_expired(self) -> int:
        count = 0
        while due := await self._records.expired(100, Deadline.after(CALL_S)):
            for call_id in due:
                # Audio first: after an interruption the record is found again.
                await self._audio.erase(call_id, Deadline.after(CALL_S))
                await self._records.forget(call_id, Deadline.after(CALL_S))
                audit("expire", "retention", call_id)
                count += 1
        return count

    async def _remove_orphans(self) -> int:
        until = datetime.now(UTC) - self._orphan_age
        if self._from is not None and self._from > until + OVERLAP:  # the clock was ahead, and is right again
            self._from = until - timedelta(seconds=self._audio.lookback_s or 0.0)
        looked_at, orphans = 0, []
        async for blob in self._audio.blobs(PAGE_S):
            if blob.written_at <= until and (self._from is None or blob.written_at > self._from):
                looked_at += 1
                if await self._is_orphan(blob):
                    orphans.append(blob)
        if len(orphans) > max(SUSPICIOUS_COUNT, SUSPICIOUS_SHARE * looked_at):
            _log.error(
                "%d of %d recordings have no record, which is no accident: nothing is removed; check that audio and "
                "records "
                "belong together",
                *(len(orphans), looked_at),
            )
            return 0
        present = asyncio.get_running_loop().time()
        self._seen |= {blob: self._seen.get(blob, present) for blob in orphans}
        removed = 0
        for blob in [blob for blob, at in self._seen.items() if present - at >= self._orphan_age.total_seconds()]:
            if await self._is_orphan(blob):  # its record may have come meanwhile
                removed += await self._audio.remove(blob, Deadline.after(CALL_S))
            del self._seen[blob]
        if self._from is not None:
            self._from = until - OVERLAP
        return removed

    async def _is_orphan(self, blob: Blob) -> bool:
        found = OUR_NAME.fullmatch(blob.name)
        if found is None:
            return False  # somebody else's: it may wait for the intake for longer than a request takes
        call_id = found[1]
        try:
            known = await self._records.read(call_id, Deadline.after(CALL_S))
        except CallErased:
            return True
        except StoreUnavailable as error:
            if error.key != UNREADABLE:
                raise
            return False  # a record that can't be read is still a record
        return known is None or known.record.audio.name != blob.name
