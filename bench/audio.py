"""The recordings that are sent: one 10 s voice note, and real ones of mixed length as the notes that people would send."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

CHECKOUT = Path(__file__).resolve().parent.parent
NOTE = CHECKOUT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg"  # 10 s, 6 coughs
REAL = CHECKOUT.parent / "shared" / "data" / "cough"
BIT_RATE = 24_000  # WhatsApp's lie between 16 and 32 kbit/s
MOST = 59


def note() -> bytes:
    """An Opus note of 10 s with 6 coughs."""
    return NOTE.read_bytes()


def mixed_notes() -> tuple[list[bytes], str]:
    """Notes of mixed length, and what they are.

    The validation recordings of coughseg, with and without coughs (0.7 to 10 s), encoded as Opus; without the labelled audio
    those of samples/, which are made.
    """
    if not (REAL / "manifest.csv").is_file():
        files = sorted((CHECKOUT / "samples" / "preprocessing").glob("*/raw.*"))
        return [one.read_bytes() for one in files], f"{len(files)} made recordings of samples/ (no labelled audio here)"
    with (REAL / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "val" and "coughseg/" in row["path"]]
    paths = sorted({row["path"] for row in rows})[:MOST]
    notes = [as_note(*soundfile.read(REAL / path, dtype="float32")) for path in paths]
    return notes, f"{len(notes)} recordings of coughseg's validation split as Opus notes"


def short_notes(count: int = 8) -> list[bytes]:
    """One cough each, 1.2 s: for runs whose point is many requests."""
    samples, rate = soundfile.read(NOTE, dtype="float32")
    events = json.loads(NOTE.with_name("events.json").read_text())["coughs"]
    starts = [max(0, round((one["start_s"] - 0.4) * rate)) for one in events][:count]
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
        frame.sample_rate = sample_rate_hz
        for packet in (*stream.encode(frame), *stream.encode(None)):
            output.mux(packet)
    return buffer.getvalue()
