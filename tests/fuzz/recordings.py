"""The undamaged files that fuzzing begins with, made on the spot: one for each way in which a phone, a browser or a
program writes sound.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tests.conftest import SAMPLES
from tests.preprocess.recordings import by_ffmpeg, by_libsndfile, warble

_S = 1.5

_MAKERS: dict[str, Callable[[], bytes]] = {
    "ogg-opus": lambda: by_libsndfile(warble(48_000, _S), 48_000, "OGG", "OPUS"),
    "ogg-vorbis": lambda: by_libsndfile(warble(16_000, _S), 16_000, "OGG", "VORBIS"),
    "ogg-flac": lambda: by_ffmpeg(warble(16_000, _S), 16_000, "ogg", "flac"),
    "ogg-cough": (SAMPLES / "benchmark_1" / "raw.ogg").read_bytes,
    "wav": lambda: by_libsndfile(warble(16_000, _S, channels=2), 16_000, "WAV", "PCM_16"),
    "wav-cough": (SAMPLES / "call" / "raw.wav").read_bytes,
    "wav-float": lambda: by_libsndfile(warble(16_000, _S), 16_000, "WAV", "FLOAT"),
    "wav-ulaw": lambda: by_libsndfile(warble(8000, _S), 8000, "WAV", "ULAW"),
    "wav-gsm": lambda: by_libsndfile(warble(8000, _S), 8000, "WAV", "GSM610"),
    "wav-adpcm": lambda: by_libsndfile(warble(16_000, _S), 16_000, "WAV", "IMA_ADPCM"),
    "rf64": lambda: by_libsndfile(warble(16_000, _S), 16_000, "RF64", "PCM_16"),
    "w64": lambda: by_libsndfile(warble(16_000, _S), 16_000, "W64", "PCM_16"),
    "flac": lambda: by_libsndfile(warble(16_000, _S), 16_000, "FLAC", "PCM_16"),
    "aiff": lambda: by_libsndfile(warble(16_000, _S), 16_000, "AIFF", "PCM_16"),
    "caf": lambda: by_libsndfile(warble(16_000, _S), 16_000, "CAF", "PCM_16"),
    "caf-alac": lambda: by_libsndfile(warble(16_000, _S), 16_000, "CAF", "ALAC_16"),
    "au": lambda: by_libsndfile(warble(16_000, _S), 16_000, "AU", "PCM_16"),
    "mp3": lambda: by_libsndfile(warble(16_000, _S), 16_000, "MP3", "MPEG_LAYER_III"),
    "mp3-id3": lambda: by_ffmpeg(warble(44_100, _S, channels=2), 44_100, "mp3", "libmp3lame", 64_000),
    "webm": lambda: by_ffmpeg(warble(48_000, _S), 48_000, "webm", "libopus", 32_000),
    "m4a": lambda: by_ffmpeg(warble(16_000, _S), 16_000, "mp4", "aac", movflags="faststart"),
    "mp4-fragments": lambda: by_ffmpeg(
        warble(16_000, _S), 16_000, "mp4", "aac", movflags="frag_every_frame+empty_moov"
    ),
    "3gp": lambda: by_ffmpeg(warble(8000, _S), 8000, "3gp", "libopencore_amrnb", 12_200),
    "adts": lambda: by_ffmpeg(warble(16_000, _S, channels=2), 16_000, "adts", "aac"),
    "amr": lambda: by_ffmpeg(warble(8000, _S), 8000, "amr", "libopencore_amrnb", 12_200),
    "asf": lambda: by_ffmpeg(warble(16_000, _S), 16_000, "asf", "wmav2", 32_000),
}
NAMES = tuple(_MAKERS)


@cache
def recording(name: str) -> bytes:
    return _MAKERS[name]()
