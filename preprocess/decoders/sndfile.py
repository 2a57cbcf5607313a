"""Stage 1, decode with libsndfile (soundfile): Vorbis, FLAC, and what lies in WAV, W64, AIFF, AU and CAF."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

from preprocess.decoders.pieces import DecodeLimits, Piece

_BLOCK_FRAMES = 1 << 18  # a 10 s note at 16 kHz in one read
_UNKNOWN_FRAMES = 1 << 62  # libsndfile's SF_COUNT_MAX lies beyond
# One codec has one name, whichever library and container it comes from.
_CODEC_NAMES = {
    "MPEG_LAYER_III": "mp3", "MPEG_LAYER_II": "mp2", "ALAC_16": "alac", "ALAC_20": "alac", "ALAC_24": "alac",
    "ALAC_32": "alac",
}  # fmt: skip


def decode_with_libsndfile(data: bytes, limits: DecodeLimits, *, declares_frames: bool = False) -> Piece | None:
    """Decode a file; None where libsndfile does not know the codec or the length, so that FFmpeg may try.

    FLAC and WAV files that were written to a pipe have no length; libsndfile then reports errors or nothing.
    declares_frames: the header's number of frames is the encoder's, so fewer decoded means truncated
    Raises: AudioTooLong, TooManyChannels, UnsupportedSampleRate.
    """
    try:
        file = _Forward(_Buffer(data))
    except soundfile.LibsndfileError:
        return None
    with file:
        limits.check(file.channels, file.samplerate)
        declared, rate = file.frames, file.samplerate
        if not 0 < declared < _UNKNOWN_FRAMES:
            return None
        limits.check_count(declared, rate)
        samples, broke_off = _read_blocks(file, declared)
        codec = "flac" if file.format == "FLAC" else _CODEC_NAMES.get(file.subtype, file.subtype.lower())
        # Of libsndfile's decoders mpg123 alone chooses code by processor, and only for two channels.
        exact = not (file.subtype.startswith("MPEG_") and file.channels > 1)
    if not samples.shape[1]:
        return None
    missing = samples.shape[1] < declared and (broke_off or declares_frames)
    return Piece(samples, rate, rate, codec, exact, missing)


class _Forward(soundfile.SoundFile):  # type: ignore[misc]  # soundfile has no types
    """Reads forward only: soundfile sets the position after each read, and Opus then decodes again."""

    def seekable(self) -> bool:
        return False


class _Buffer(io.BytesIO):
    """Damaged headers make libsndfile seek before the start, where BytesIO raises and soundfile prints a stack
    trace.
    """

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        return super().seek(max(offset, 0) if whence == io.SEEK_SET else offset, whence)


def _read_blocks(file: soundfile.SoundFile, wanted: int) -> tuple[NDArray[np.float32], bool]:
    """Read up to `wanted` frames, [shape=(channels, n)]; return them and whether decoding ended with an error.

    It uses its own buffer, because soundfile's `read` drops the frames before an error.
    """
    frames = np.empty((wanted, file.channels), dtype=np.float32)  # unused pages need no memory
    decoded, broke_off = 0, False
    while decoded < wanted and not broke_off:
        rest = frames[decoded : decoded + _BLOCK_FRAMES]
        try:
            read = len(file.read(out=rest))
        except soundfile.LibsndfileError:
            broke_off = True
            read = min(max(0, _position(file) - decoded), len(rest))
        decoded += read
        if read < len(rest):
            break
    return np.ascontiguousarray(frames[:decoded].T), broke_off


def _position(file: soundfile.SoundFile) -> int:
    """Return the frames decoded so far; 0 or -1 where libsndfile does not know (GSM 6.10, or a wrong header)."""
    try:
        return int(file.tell())
    except soundfile.LibsndfileError:
        return 0
