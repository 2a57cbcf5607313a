"""Files that are made to cost: little CPU and memory, and then a recording or a leaf of the error tree."""

from __future__ import annotations

import resource
import time

import numpy as np
import pytest

from preprocess.decode import decode
from preprocess.errors import AudioError, AudioTooLong
from tests.preprocess.recordings import LIMITS, by_ffmpeg, by_libsndfile, warble

SIZE = 19 << 20  # of a body of at most 20 MiB
EMPTY_ID3 = b"ID3\3\0\0" + bytes(4)
MPEG_FRAME = b"\xff\xf3\x14\xc0" + bytes(20)  # 24 kHz, mono, 8 kbit/s: the shortest
STEREO_FRAME = b"\xff\xf3\x14\x00" + bytes(20)


def filled(unit: bytes) -> bytes:
    return (unit * (SIZE // len(unit) + 1))[:SIZE]


def mp3() -> bytes:
    return by_ffmpeg(warble(16_000), 16_000, "mp3", "libmp3lame", 32_000)


def wav() -> bytes:
    return by_libsndfile(warble(16_000), 16_000, "WAV", "PCM_16")


def flac_with_false_syncs() -> bytes:
    data = by_libsndfile(warble(16_000), 16_000, "FLAC", "PCM_16")
    frame = data.index(b"\xff\xf8", 42)
    return data + filled(data[frame : frame + 4] + b"\1")


COSTLY = {
    "zeros-and-tags": lambda: filled(EMPTY_ID3 + b"\0"),
    "mp3-zeros-and-tags": lambda: mp3() + filled(EMPTY_ID3 + b"\0"),
    "xing": lambda: mp3() + filled(b"Xing") + mp3(),
    "damage-every-third-frame": lambda: filled(MPEG_FRAME * 3 + b"g"),
    "damage-every-fortieth-frame": lambda: filled(MPEG_FRAME * 40 + b"g"),
    "formats-in-turn": lambda: filled(MPEG_FRAME * 4 + STEREO_FRAME * 4),
    "false-syncs": lambda: mp3() + filled(b"\xff"),
    "false-headers": lambda: mp3() + filled(b"\xff\xfb\x90\0"),
    "amr-signatures": lambda: filled(b"#!AMR\n"),
    "amr-short-parts": lambda: filled(b"#!AMR\n\x7c"),
    "flac-false-syncs": flac_with_false_syncs,
    "chunks-behind": lambda: wav() + filled(b"LIST" + bytes(4)),
    "tags-behind": lambda: wav() + filled(EMPTY_ID3 + b"\0"),
}


@pytest.mark.parametrize("kind", COSTLY)
def test_a_file_that_is_made_to_cost_cpu(kind):
    data = COSTLY[kind]()
    begin = time.process_time()
    try:
        decode(data, LIMITS)
    except AudioError as error:
        assert type(error) is not AudioError
    assert time.process_time() - begin < 4.0  # a fifth of the worker's time; about 1 s on one core


LONG_PARTS = {
    "amr": lambda: b"#!AMR\n" + b"\x7c" * 5990,
    "awb": lambda: b"#!AMR-WB\n" + b"\x7c" * 5990,
    "flac": lambda: by_libsndfile(np.zeros((2, 192_000 * 100), np.float32), 192_000, "FLAC", "PCM_16"),
    "mp3": lambda: by_ffmpeg(np.zeros((1, 24_000 * 100), np.float32), 24_000, "mp3", "libmp3lame", 8000),
    "ogg-flac": lambda: by_ffmpeg(np.zeros((1, 48_000 * 100), np.float32), 48_000, "ogg", "flac"),
    "webm": lambda: by_ffmpeg(np.zeros((1, 48_000 * 100), np.float32), 48_000, "webm", "libopus", 6000),
}


@pytest.mark.parametrize("kind", LONG_PARTS)
def test_parts_are_refused_while_they_are_decoded(kind):
    """Each is within the limit; a hundred of them would take gigabytes before their sum is known."""
    data = LONG_PARTS[kind]() * 8
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(AudioTooLong, match=r"most=120\.0"):
        decode(data, LIMITS)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700_000  # KiB


def test_more_parts_than_are_decoded():
    part = b"#!AMR\n" + b"\x7c" * 2
    assert not decode(part * 1000, LIMITS).truncated
    assert decode(part * 1001, LIMITS).truncated
