"""The stores that the settings name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frontend.configuration.settings import Settings
from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore
from frontend.stores.protocols import REFUSED, AudioStore, RecordStore
from frontend.stores.sqlite_file import DAMAGED
from frontend.stores.troubles import Trouble, Troubles

if TYPE_CHECKING:
    from frontend.stores.azure_identity import TokenCredential


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of audio and records.

    credential: both use it for Azure; it is closed after them
    troubles: what both have found to be wrong
    """

    audio: AudioStore
    records: RecordStore
    credential: TokenCredential | None = field(default=None, repr=False)
    troubles: Troubles = field(default_factory=Troubles)

    async def look(self, deadline: Deadline) -> tuple[Trouble, ...]:
        """Ask both stores, and return what is wrong with them now."""
        asked: dict[AudioStore | RecordStore, tuple[Trouble, Trouble]] = {
            self.records: (Trouble.RECORD_STORE_AWAY, Trouble.RECORD_STORE_REFUSES_US),
            self.audio: (Trouble.AUDIO_STORE_AWAY, Trouble.AUDIO_STORE_REFUSES_US),
        }
        answers = await asyncio.gather(*(self._ping(store, deadline) for store in asked))
        for (away, refuses), error in zip(asked.values(), answers, strict=True):
            found = None
            if error is not None and error.key != DAMAGED:  # which is noted where it is found
                found = refuses if error.key in REFUSED else away
            for trouble in (away, refuses):
                if trouble is found:
                    self.troubles.begin(trouble)
                else:
                    self.troubles.end(trouble)
        return self.troubles.present

    @staticmethod
    async def _ping(store: AudioStore | RecordStore, deadline: Deadline) -> StoreUnavailable | None:
        try:
            await store.ping(deadline)
        except StoreUnavailable as error:
            return error
        return None

    async def close(self) -> None:
        """Release the stores' resources."""
        await asyncio.gather(self.audio.close(), self.records.close())
        if self.credential is not None:
            await self.credential.close()


def open_stores(settings: Settings, retention_days: int) -> Stores:
    """Open the settings' stores; Azure is connected later, at the first call.

    Raises: StoreUnavailable where an embedded store can't be opened.
    """
    troubles = Troubles()
    if settings.azure is None:
        records = SqliteRecordStore(settings.var / "calls.sqlite", retention_days, troubles)
        return Stores(FolderAudioStore(settings.var / "audio", troubles), records, troubles=troubles)
    # These imports take half a second, so they run only if needed.
    from frontend.stores.azure_audio import BlobAudioStore  # noqa: PLC0415
    from frontend.stores.azure_identity import workload_credential  # noqa: PLC0415
    from frontend.stores.azure_records import CosmosRecordStore  # noqa: PLC0415

    credential = workload_credential() if settings.azure.needs_identity else None
    audio = BlobAudioStore(settings.azure, credential)
    records_in_azure = CosmosRecordStore(settings.azure, credential, retention_days, troubles)
    return Stores(audio, records_in_azure, credential, troubles)
