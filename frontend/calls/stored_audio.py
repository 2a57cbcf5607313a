"""A call's stored audio in pieces: no answer needs all of it in memory, and no altered byte is ever sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator

from frontend.calls.audio_digest import sha256_of, updated
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallNotFound, StoreUnavailable
from frontend.domain.records import StoredAudio
from frontend.stores.protocols import AudioStore
from runtime.prepare import HEADERLESS, AudioFile, Container, headerless

PIECE_BYTES = 512 * 1024
# As `Calls.submit` names audio, and what a folder holds of it while it is written.
OUR_NAME = re.compile(r"calls/([^/]+)/([0-9a-f]{64}|\.[^/]+\.part)")


def file_of(data: bytes, stored: StoredAudio) -> AudioFile:
    """Return a call's audio for diagnosis. data: verified. Raises: UnsupportedMedia for a format of a later version."""
    return AudioFile(data, stored.sha256, container_of(stored))


def container_of(stored: StoredAudio) -> Container | None:
    """Return what somebody has said that the audio is; None where the file says it. Raises: as `file_of`."""
    return headerless(stored.format) if stored.format is not None else None


def format_of(file: AudioFile) -> str | None:
    """Invert `container_of`."""
    return file.container.name if file.container is not None and file.container.name in HEADERLESS else None


class PiecewiseAudio:
    """Reads audio twice: first for its digest and for those of its pieces, then to send it.

    A piece is sent only if it still has the digest of the first reading.
    """

    def __init__(self, store: AudioStore, audio: StoredAudio) -> None:
        self._store = store
        self._audio = audio
        self._digests: list[str] = []
        self._only_piece: bytes | None = None  # most voice notes are one piece, and read once

    async def verify(self, deadline: Deadline) -> None:
        """Compare the audio with the digest in its record. Raises: CallNotFound, StoreUnavailable."""
        whole = hashlib.sha256()
        for start in range(0, self._audio.bytes, PIECE_BYTES):
            piece = await self._piece(start, deadline)
            if piece is None:
                raise CallNotFound("audio_no_longer_stored")
            if self._audio.bytes <= PIECE_BYTES:
                self._only_piece = piece
            await updated(whole, piece)
            self._digests.append(await sha256_of(piece))
        if whole.hexdigest() != self._audio.sha256:
            raise StoreUnavailable("stored_audio_altered")

    async def span(self, first: int, end: int, piece_s: float) -> AsyncIterator[bytes]:
        """Yield the bytes from `first` up to `end`, after `verify`. piece_s: the time for each piece

        Raises: StoreUnavailable, also where the audio was altered or erased since it was verified.
        """
        for number in range(first // PIECE_BYTES, -(-end // PIECE_BYTES)):
            start = number * PIECE_BYTES
            piece = self._only_piece or await self._piece(start, Deadline.after(piece_s))
            if piece is None or await sha256_of(piece) != self._digests[number]:
                raise StoreUnavailable("stored_audio_altered")
            yield piece[max(0, first - start) : end - start]

    async def _piece(self, start: int, deadline: Deadline) -> bytes | None:
        end = min(start + PIECE_BYTES, self._audio.bytes)
        return await self._store.read_piece(self._audio.name, start, end, deadline)
