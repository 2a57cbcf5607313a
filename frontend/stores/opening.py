"""The stores that the settings name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from frontend.configuration.settings import Settings
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore
from frontend.stores.protocols import AudioStore, RecordStore

if TYPE_CHECKING:
    from frontend.stores.azure_identity import TokenCredential


@dataclass(frozen=True, slots=True)
class Stores:
    """The stores of audio and records. credential: both use it for Azure; it is closed after them."""

    audio: AudioStore
    records: RecordStore
    credential: TokenCredential | None = field(default=None, repr=False)

    async def close(self) -> None:
        """Release the stores' resources."""
        await asyncio.gather(self.audio.close(), self.records.close())
        if self.credential is not None:
            await self.credential.close()


def open_stores(settings: Settings, retention_days: int) -> Stores:
    """Open the settings' stores; Azure is connected later, at the first call.

    Raises: StoreUnavailable where an embedded store can't be opened.
    """
    if settings.azure is None:
        records = SqliteRecordStore(settings.var / "calls.sqlite", retention_days)
        return Stores(FolderAudioStore(settings.var / "audio"), records)
    # These imports take half a second, so they run only if needed.
    from frontend.stores.azure_audio import BlobAudioStore  # noqa: PLC0415
    from frontend.stores.azure_identity import workload_credential  # noqa: PLC0415
    from frontend.stores.azure_records import CosmosRecordStore  # noqa: PLC0415

    credential = workload_credential() if settings.azure.needs_identity else None
    audio = BlobAudioStore(settings.azure, credential)
    return Stores(audio, CosmosRecordStore(settings.azure, credential, retention_days), credential)
