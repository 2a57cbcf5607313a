"""The recordings that are sent: one 10 s voice note, and real ones of mixed length as the notes that people
would send.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

CHECKOUT = Path(__file__).resolve().parents[2]
NOTE = CHECKOUT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg"  # 10 s, 6 coughs
REAL = CHECKOUT.parent / "shared" / "data" / "cough"
BIT_RATE = 24_000  # WhatsApp's lie between 16 and 32 kbit/s
MOST = 59


def note() -> bytes:
    """An Opus note of 10 s with 6 coughs."""
    return NOTE.read_bytes()


def mixed_notes() -> tuple[list[bytes], str]:
    """Notes of mixed length, and what they are: the recordings of `real`, one half as notes from 16 kHz, one from 48
    kHz.

    Phones write both, and they cost a decoder differently: from 16 kHz Opus codes speech with SILK, from 48 kHz with
    CELT as well.
    """
    recordings, what = real()
    notes = [
        as_note(samples, rate)
        if number % 2
        else as_note(np.clip(soxr.resample(samples, rate, 48_000), -1.0, 1.0), 48_000)
        for number, (samples, rate) in enumerate(recordings)
    ]
    return notes, f"{what} as Opus notes at 24 kbit/s, half of them from 16 kHz and half resampled to 48 kHz before"


def sets() -> dict[str, list[bytes]]:
    """The same recordings, all in one form each: notes from 16 kHz, notes from 48 kHz, and telephone calls (µ-law WAV,
    8 kHz).
    """
    recordings, _ = real()
    at_48_khz = [np.clip(soxr.resample(samples, rate, 48_000), -1.0, 1.0) for samples, rate in recordings]
    return {
        "16_khz_notes": [as_note(samples, rate) for samples, rate in recordings],
        "48_khz_notes": [as_note(samples, 48_000) for samples in at_48_khz],
        "telephone": [as_call(np.clip(soxr.resample(samples, rate, 8_000), -1.0, 1.0)) for samples, rate in recordings],
    }


def real() -> tuple[list[tuple[NDArray[np.float32], int]], str]:
    """The validation recordings of coughseg, with and without coughs (0.7 to 10 s), mono at 16 kHz, and what they are.

    Without the labelled audio those of samples/, which are made.
    """
    if not (REAL / "manifest.csv").is_file():
        files = sorted((CHECKOUT / "samples" / "preprocessing").glob("*/raw.*"))
        found = [soundfile.read(item, dtype="float32", always_2d=True) for item in files]
        made = [(soxr.resample(samples[:, 0], rate, 16_000), 16_000) for samples, rate in found]
        return made, f"{len(files)} made recordings of samples/ (no labelled audio here)"
    with (REAL / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val" and "coughseg/" in row["path"]]
    paths = sorted({row["path"] for row in rows})[:MOST]
    return [
        soundfile.read(REAL / path, dtype="float32") for path in paths
    ], f"{len(paths)} recordings of coughseg's validation split"


def as_call(samples: NDArray[np.float32]) -> bytes:
    """samples: float32 [shape=(n,)], mono at 8 kHz -> WAV with µ-law, as telephone systems record."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 8_000, format="WAV", subtype="ULAW")
    return buffer.getvalue()


def short_notes(count: int = 8) -> list[bytes]:
    """One cough each, 1.2 s: for runs whose point is many requests."""
    samples, rate = soundfile.read(NOTE, dtype="float32")
    events = json.loads(NOTE.with_name("events.json").read_text())["coughs"]
    starts = [max(0, round((event["start_s"] - 0.4) * rate)) for event in events][:count]
    return [as_note(samples[start : start + round(1.2 * rate)], rate) for start in starts]


def as_note(samples: NDArray[np.float32], sample_rate_hz: int, bit_rate: int = BIT_RATE) -> bytes:
    """samples: float32 [shape=(n,)], mono, at a rate that Opus takes -> OGG Opus."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="ogg") as output:
        stream = output.add_stream("libopus", rate=sample_rate_hz, layout="mono", options={"application": "voip"})
        assert isinstance(stream, av.AudioStream)  # noqa: S101 - for the type checker: the codec is audio
        stream.bit_rate = bit_rate
        integers = np.rint(np.clip(samples, -1.0, 1.0) * 32767.0).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(integers, format="s16", layout="mono")
        frame.sample_rate, frame.pts = sample_rate_hz, 0  # without it the granules begin at the pre-skip
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return buffer.getvalue()
