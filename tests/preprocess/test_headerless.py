"""Recordings without a header: decoded as what they are said to be, and refused if they can't be that."""

from __future__ import annotations

import io
import tracemalloc
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from preprocess.decode import DecodeLimits, decode
from preprocess.decoders.headerless import _is_plausible
from preprocess.errors import AudioTooLong, EmptyAudio, UnsupportedMedia
from preprocess.formats.headerless import HEADERLESS, headerless, headerless_by_name
from runtime.config import load_limits

LIMITS = load_limits()[1].decode
SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "preprocessing"
RECORDINGS = sorted(SAMPLES.glob("*/raw.*"))
# White noise, and a tenth of a second: nothing tells there that a word is right, so it is refused.
UNTOLD = ("noise", "too_short")


def heard(path: Path) -> tuple[NDArray[np.float32], int]:
    """Mono samples and their rate."""
    recording = decode(path.read_bytes(), LIMITS)
    return recording.samples.mean(axis=0), recording.sample_rate_hz


def written(samples: NDArray[np.float32], rate: int, word: str) -> bytes:
    """As an exchange writes it."""
    low = np.clip(soxr.resample(samples, rate, 16_000 if word == "g722" else 8_000), -1.0, 1.0)
    if word == "g722":
        return _g722(low)
    buffer = io.BytesIO()
    kinds = {"ulaw": "ULAW", "alaw": "ALAW", "sln": "PCM_16", "gsm": "GSM610"}
    soundfile.write(buffer, low, 8_000, format="RAW", subtype=kinds[word], endian="LITTLE" if word == "sln" else None)
    return buffer.getvalue()


def _g722(samples: NDArray[np.float32]) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="g722") as file:
        stream = file.add_stream("g722", rate=16_000)
        stream.layout = "mono"
        frame = av.AudioFrame.from_ndarray((samples * 32767.0).astype("<i2")[None], format="s16", layout="mono")
        frame.sample_rate = 16_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)
    return out.getvalue()


def verdict(data: bytes, word: str) -> str:
    """`heard`, or the key of what is said against it."""
    try:
        decode(data, LIMITS, headerless(word))
    except UnsupportedMedia as error:
        return error.key
    return "heard"


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.parent.name)
def test_the_right_word_is_heard_and_every_wrong_one_refused(path: Path) -> None:
    """The samples are recordings with coughs, music, speech, silence."""
    samples, rate = heard(path)
    is_silent = float(np.abs(samples).max()) < 1e-3
    for true, said in product(HEADERLESS, HEADERLESS):
        found = verdict(written(samples, rate, true), said)
        if path.parent.name in UNTOLD and true != "gsm":
            assert found == "format_is_other" or said == "g722", (true, said)
        elif true == said:
            assert found == "heard", (true, said)
        elif not is_silent:
            assert found == "format_is_other", (true, said)


def test_the_same_samples_as_with_a_header() -> None:
    samples, rate = heard(SAMPLES / "benchmark_1" / "raw.ogg")
    for word, (container, subtype) in {
        "ulaw": ("AU", "ULAW"),
        "alaw": ("AU", "ALAW"),
        "sln": ("WAV", "PCM_16"),
    }.items():
        buffer = io.BytesIO()
        soundfile.write(buffer, np.clip(soxr.resample(samples, rate, 8_000), -1.0, 1.0), 8_000, format=container,
                        subtype=subtype)  # fmt: skip
        plain = decode(written(samples, rate, word), LIMITS, headerless(word))
        dressed = decode(buffer.getvalue(), LIMITS)
        assert np.array_equal(plain.samples, dressed.samples)
        assert (plain.codec, plain.sample_rate_hz, plain.truncated) == (dressed.codec, 8_000, False)


def test_gsm_and_g722() -> None:
    samples, rate = heard(SAMPLES / "benchmark_1" / "raw.ogg")
    for word, codec, wanted_rate in (("gsm", "gsm610", 8_000), ("g722", "g722", 16_000)):
        found = decode(written(samples, rate, word), LIMITS, headerless(word))
        assert (found.codec, found.sample_rate_hz, found.truncated) == (codec, wanted_rate, False)
        assert found.duration_s == pytest.approx(len(samples) / rate, abs=0.05)
    cut = decode(written(samples, rate, "gsm")[:-5], LIMITS, headerless("gsm"))
    assert cut.truncated


@pytest.mark.parametrize("word", HEADERLESS)
def test_a_file_with_a_header_needs_no_word(word: str) -> None:
    for path in (SAMPLES / "benchmark_1" / "raw.ogg", *RECORDINGS[:3]):
        assert verdict(path.read_bytes(), word) == "format_has_header"


@pytest.mark.parametrize("word", HEADERLESS)
def test_what_is_no_sound_is_not_heard_as_noise(word: str) -> None:
    noise = np.random.default_rng(1).integers(0, 256, 40_000, dtype=np.uint8).tobytes()
    text = b"This is a text about nothing. " * 1000
    assert verdict(text, word) == "format_is_other"
    if word != "g722":  # which has no structure at all: noise is what it may hold
        assert verdict(noise, word) == "format_is_other"


@pytest.mark.parametrize("word", HEADERLESS)
def test_bounds(word: str) -> None:
    with pytest.raises(EmptyAudio):
        decode(b"", LIMITS, headerless(word))
    samples, rate = heard(SAMPLES / "benchmark_1" / "raw.ogg")
    data = written(samples, rate, word)
    with pytest.raises(AudioTooLong):
        decode(data, DecodeLimits(0.5, 4_000, 48_000, 1), headerless(word))


@pytest.mark.parametrize("word", ["ulaw", "alaw", "sln"])
def test_silence_is_silence(word: str) -> None:
    data = written(np.zeros(16_000, np.float32), 8_000, word)
    assert float(np.abs(decode(data, LIMITS, headerless(word)).samples).max()) < 1e-3


def test_names() -> None:
    assert headerless(" ULAW ") == headerless("mu") == HEADERLESS["ulaw"]
    for name, word in {"a.ulaw": "ulaw", "a.b.GSM": "gsm", "calls/a/x.sln": "sln", "a.g722": "g722"}.items():
        assert headerless_by_name(name) == HEADERLESS[word]
    for name in ("a.wav", "a", "ulaw", "a.ulaw.wav"):
        assert headerless_by_name(name) is None
    with pytest.raises(UnsupportedMedia) as raised:
        headerless("mp3")
    assert raised.value.key == "format_word_unknown"


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.parent.name)
def test_samples_in_the_other_byte_order_are_refused(path: Path) -> None:
    """Also without their first byte, as where a header was cut off wrongly."""
    samples, rate = heard(path)
    if float(np.abs(samples).max()) < 1e-3:
        return  # as silent in either
    data = written(samples, rate, "sln")
    assert verdict(np.frombuffer(data, "<i2").byteswap().tobytes(), "sln") == "format_is_other"
    assert verdict(data[1:], "sln") == "format_is_other"


def test_an_impulse_between_two_frames_is_judged() -> None:
    """Without its first byte such a frame would be silent, which is no other byte order."""
    samples = np.zeros(2_048, "<i2")
    samples[256::512] = 0xFF
    assert verdict(samples.tobytes(), "sln") in ("heard", "format_is_other")


@pytest.mark.parametrize("word", ["ulaw", "alaw", "sln", "g722"])
def test_a_recording_of_any_length_takes_little_memory_to_judge(word: str) -> None:
    """A worker's memory is bounded, and the longest body has 20 MiB."""
    samples, rate = heard(SAMPLES / "benchmark_1" / "raw.ogg")
    data = written(samples, rate, word)
    data = (data * (20_971_520 // len(data) + 1))[:20_971_520]
    tracemalloc.start()
    try:
        assert _is_plausible(data, word)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20  # bytes; half a gigabyte where all of it was looked at
    others = {"ulaw", "alaw", "sln", "g722"} - {word}
    assert not any(_is_plausible(data, other) for other in others)
