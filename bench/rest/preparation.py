"""CPU of the front end's preparation against that of decoding alone, and what each stage of a recording costs."""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import scipy.fft
import soundfile

from bench.load.audio import as_note, note
from bench.report.rows import Row, interleaved, median_row, ratios
from bench.report.targets import target_of
from frontend.domain.deadline import Deadline
from frontend.domain.records import CallRecord, State, StoredAudio, from_now, new_call_id, now
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore
from preprocess.color import quantise
from preprocess.decode import decode
from preprocess.level import levels as measure_levels
from preprocess.mel import cut, mel_spectrograms
from preprocess.quality import measure_quality, segment_means
from preprocess.resample import resample
from preprocess.segment import segment
from preprocess.tones import find_hum, find_tones
from runtime.conclude import conclude
from runtime.config import load_config, load_limits
from runtime.onnx_classifier import OnnxClassifier
from runtime.prepare import prepare
from runtime.triton_classifier import TritonClassifier

REPEATS = 20
PARAMS = load_config()
QUALITY, LIMITS = load_limits()


def cpu_ms(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """CPU of this process and its threads for one call, mean of so many after one that warms up."""
    work()
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats * 1000.0


def preparation(rounds: int) -> list[Row]:
    """The ratio for the sample note, and for notes as messengers encode them: what a decoder costs depends on the mode
    of Opus.
    """
    rows = []
    samples, rate = soundfile.read(io.BytesIO(note()), dtype="float32")
    at_16_khz = resample(samples[None], rate, 16_000)[0]
    for name, data, what in (
        ("preparation_cpu_ratio", note(), "10 s, 6 coughs, Opus at 28 kbit/s from 48 kHz; from 16 kHz see the reports"),
        ("preparation_cpu_ratio_16_khz", as_note(at_16_khz, 16_000), "the same from 16 kHz at 24 kbit/s, a report"),
        ("preparation_cpu_ratio_16_khz_16_kbit", as_note(at_16_khz, 16_000, 16_000), "and at 16 kbit/s, a report"),
    ):
        assert len(prepare(data, *PARAMS, LIMITS.decode).spectrograms) == 6  # noqa: S101 - what the target is about
        found = interleaved(
            rounds,
            {
                "prepare": partial(cpu_ms, partial(prepare, data, *PARAMS, LIMITS.decode)),
                "decode": lambda data=data: cpu_ms(lambda: soundfile.read(io.BytesIO(data))),  # type: ignore[misc]
            },
        )
        both = "; ".join(f"{key} {min(values):.1f} to {max(values):.1f} ms" for key, values in found.items())
        rows.append(
            median_row(name, ratios(found["prepare"], found["decode"]), "", target_of(name), f"{what}; CPU of {both}")
        )
    return rows


def stages(triton_url: str, rounds: int) -> list[Row]:
    """CPU milliseconds of each stage per second of audio, for the sample note, next to two limits: decoding and FFT
    alone.
    """
    data = note()
    segmentation, mel_spec, color_spec = PARAMS
    rate = mel_spec.sample_rate_hz
    recording = decode(data, LIMITS.decode)
    low = resample(recording.samples, recording.sample_rate_hz, rate)[0]
    levels = measure_levels(low, rate, segmentation)
    found = segment(levels.level, len(low), rate, segmentation)
    clips = cut(low, found, mel_spec)
    decibels = mel_spectrograms(clips, mel_spec)
    prepared = prepare(data, *PARAMS, LIMITS.decode)
    frames = np.lib.stride_tricks.sliding_window_view(clips, mel_spec.n_fft, axis=1)[:, :: mel_spec.hop_length]
    in_process = OnnxClassifier()
    with TritonClassifier(triton_url) as triton, tempfile.TemporaryDirectory() as folder:
        triton.classify(prepared.spectrograms)
        record = _Recorder(Path(folder), in_process)
        work: dict[str, Callable[[], object]] = {
            "limit_decode": lambda: soundfile.read(io.BytesIO(data)),
            "decode": lambda: decode(data, LIMITS.decode),
            "resample": lambda: resample(recording.samples, recording.sample_rate_hz, rate),
            "segment": lambda: segment(measure_levels(low, rate, segmentation).level, len(low), rate, segmentation),
            "quality": lambda: (
                measure_quality(recording.samples[0], recording.sample_rate_hz, levels, rate, found, segmentation),
                segment_means(levels.level, rate, found, segmentation),
                segment_means(levels.rms, rate, found, segmentation),
                find_tones(levels, segmentation, find_hum(low, rate, levels)),
            ),
            "limit_fft": lambda: scipy.fft.rfft(frames, axis=-1),
            "mel": lambda: mel_spectrograms(cut(low, found, mel_spec), mel_spec),
            "color": lambda: quantise(decibels, color_spec),
            "serialise": lambda: triton.classify(prepared.spectrograms),
            "infer": lambda: in_process.classify(prepared.spectrograms),
            "record": record,
        }

        def per_second(stage: Callable[[], object]) -> float:
            return cpu_ms(stage) / recording.duration_s

        figures = interleaved(
            rounds,
            {name: partial(per_second, stage) for name, stage in work.items()},
        )
        record.close()
    notes = {
        "limit_decode": "soundfile.read of the same bytes",
        "limit_fft": "scipy.fft.rfft of the coughs' frames alone",
        "serialise": "all that a gRPC request costs its sender: protobuf, HTTP/2, waiting",
        "infer": "ONNX Runtime in process, one thread",
        "record": "conclude, audio file, record created and replaced, with their syncs, and the answer's JSON",
    }
    return [median_row(f"stage_{name}", figures[name], "ms/s", note=notes.get(name, "")) for name in work]


class _Recorder:
    """What the front end does with a recording besides preparing and asking: conclude, store, answer."""

    def __init__(self, folder: Path, classifier: OnnxClassifier) -> None:
        self._loop = asyncio.new_event_loop()
        self._audio = FolderAudioStore(folder / "audio")
        self._records = SqliteRecordStore(folder / "records.sqlite", LIMITS.retention_days)
        self._prepared = prepare(note(), *PARAMS, LIMITS.decode)
        self._contract = classifier.contract()
        self._scores = classifier.classify(self._prepared.spectrograms)

    def __call__(self) -> None:
        self._loop.run_until_complete(self._record())

    async def _record(self) -> None:
        deadline = Deadline.after(10.0)
        call_id, data = new_call_id(), note()
        stored = StoredAudio(
            f"calls/{call_id}/{self._prepared.audio_sha256}", self._prepared.audio_sha256, len(data), "audio/ogg"
        )
        await self._audio.write(stored.name, data, deadline)
        record = CallRecord(call_id, State.RECEIVED, now(), now(), 1, None, stored, None, due_at=from_now(10.0))
        known = await self._records.create(record, deadline)
        diagnosis = conclude(self._prepared, self._scores, self._contract, QUALITY, LIMITS.min_coughs, 0.0).to_dict()
        ended = replace(record, state=State.DIAGNOSED, diagnosis=diagnosis, due_at=None, updated_at=now())
        json.dumps((await self._records.replace(ended, known.etag, deadline)).record.to_answer())

    def close(self) -> None:
        self._loop.run_until_complete(self._records.close())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
