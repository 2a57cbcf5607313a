"""What the baselines of the benchmark share, without the libraries that only the benchmark's environment has."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.baselines.ours import our_diagnose
from bench.baselines.storing import Storing, make_stores
from bench.baselines.usual_code import (
    Coughs,
    find_coughs,
    spectrogram_image,
    spectrogram_levels,
    stacked_levels,
    usual_onnx_diagnose,
)
from frontend.domain.deadline import Deadline
from frontend.domain.errors import CallConflict, InvalidCallId
from frontend.domain.records import CallRecord, State
from frontend.stores.embedded_audio import FolderAudioStore
from frontend.stores.embedded_records import SqliteRecordStore
from preprocess.color import colorize, quantise
from preprocess.mel import mel_spectrograms
from runtime.config import load_config, load_limits
from runtime.errors import EmptyAudio, UndecodableAudio
from runtime.prepare import prepare

# What librosa imports for formats that soundfile does not know (audioread), it imports at the first call.
pytestmark = pytest.mark.filterwarnings("ignore:'(aifc|audioop|sunau)' is deprecated:DeprecationWarning")

COUNT_TOLERANCE = 1  # coughs, of six: librosa knows neither our hysteresis nor our valleys
OVERLAP_S = 0.2  # the shortest cough of the recording lasts 0.36 s

DIAGNOSIS: dict[str, Any] = {"status": "ok", "segments": []}


@pytest.mark.system
def test_usual_code_finds_the_coughs_that_ours_finds(benchmark: bytes) -> None:
    _, limits = load_limits()
    ours = prepare(benchmark, *load_config(), limits.decode).channels[0].segments_s
    coughs = find_coughs(benchmark)
    theirs = [(start / 8000, end / 8000) for start, end in coughs.spans]
    assert abs(len(theirs) - len(ours)) <= COUNT_TOLERANCE
    matched = [a for a in ours if any(min(a[1], b[1]) - max(a[0], b[0]) >= OVERLAP_S for b in theirs)]
    assert len(matched) >= len(ours) - COUNT_TOLERANCE
    assert coughs.duration_s == pytest.approx(10.0, abs=0.01)


def test_usual_code_makes_what_the_model_takes(benchmark: bytes) -> None:
    coughs = find_coughs(benchmark)
    levels = stacked_levels(coughs)
    assert levels.dtype == np.uint8
    assert levels.shape == (len(coughs.spans), 64, 96)
    assert stacked_levels(Coughs(0.0, (), ())).shape == (0, 64, 96)


def test_usual_spectrogram_is_the_one_that_the_model_was_trained_with(benchmark: bytes) -> None:
    _, mel_spec, color_spec = load_config()
    clip = find_coughs(benchmark).clips[0]
    padded = np.zeros((1, mel_spec.clip_samples), dtype=np.float32)
    padded[0, : len(clip)] = clip[: mel_spec.clip_samples]
    expected = quantise(mel_spectrograms(padded, mel_spec), color_spec)[0]
    levels = spectrogram_levels(clip)
    assert np.abs(levels.astype(int) - expected.astype(int)).max() <= 1
    assert np.array_equal(np.rint(spectrogram_image(levels) * 255.0), colorize(levels, color_spec))


def test_usual_code_and_ours_come_to_the_same_result(benchmark: bytes) -> None:
    ours, theirs = our_diagnose()(benchmark), usual_onnx_diagnose()(benchmark)
    assert theirs["status"] == ours["status"] == "ok"
    assert theirs["result"]["label"] == ours["result"]["label"]
    assert theirs["segments"][0].keys() == ours["segments"][0].keys() - {"spectrogram_crc32"}


def test_usual_code_refuses_what_it_cannot_decode() -> None:
    with pytest.raises(UndecodableAudio):
        find_coughs(b"no audio at all")


def test_a_recording_is_kept_with_its_diagnosis(storing: Storing, tmp_path: Path) -> None:
    answer = storing.diagnosed(None, b"recording", "audio/ogg", lambda _: DIAGNOSIS)
    assert answer["state"] == "diagnosed"
    assert answer["diagnosis"] == DIAGNOSIS
    (record,) = kept(tmp_path)
    assert record.call_id == answer["call_id"]
    assert (record.state, record.attempts, record.due_at) == (State.DIAGNOSED, 1, None)
    assert record.diagnosis == DIAGNOSIS
    assert record.audio.content_type == "audio/ogg"
    audio = FolderAudioStore(tmp_path / "audio")
    assert asyncio.run(read_audio(audio, record.audio.name)) == b"recording"


def test_the_call_is_leased_while_it_is_diagnosed(storing: Storing, tmp_path: Path) -> None:
    seen: list[CallRecord] = []

    def look(_: bytes) -> dict[str, Any]:
        seen.extend(kept(tmp_path))
        return DIAGNOSIS

    storing.diagnosed("call-1", b"recording", None, look)
    assert [item.state for item in seen] == [State.RECEIVED]
    assert seen[0].owner is not None
    assert seen[0].due_at is not None


def test_a_call_that_is_known_is_not_diagnosed_again(storing: Storing, tmp_path: Path) -> None:
    first = storing.diagnosed("call-1", b"recording", None, lambda _: DIAGNOSIS)
    assert storing.diagnosed("call-1", b"recording", None, never) == first
    with pytest.raises(CallConflict):
        storing.diagnosed("call-1", b"another", None, never)
    with pytest.raises(InvalidCallId):
        storing.diagnosed("../call", b"recording", None, never)
    assert len(kept(tmp_path)) == 1


def test_a_recording_that_cannot_be_diagnosed_is_kept_as_failed(storing: Storing, tmp_path: Path) -> None:
    def refuse(_: bytes) -> dict[str, Any]:
        raise EmptyAudio("The file is empty: send the recording's bytes.")

    with pytest.raises(EmptyAudio):
        storing.diagnosed("call-1", b"", None, refuse)
    (record,) = kept(tmp_path)
    assert record.state is State.FAILED
    assert record.failure is not None
    assert (record.failure.code, record.failure.retryable) == ("empty_audio", False)


def test_several_share_one_folder(tmp_path: Path) -> None:
    make_stores(tmp_path)
    workers = [Storing(tmp_path), Storing(tmp_path)]
    for number in range(6):
        workers[number % 2].diagnosed(f"call-{number}", b"recording %d" % number, None, lambda _: DIAGNOSIS)
    for worker in workers:
        worker.close()
    assert {item.call_id for item in kept(tmp_path)} == {f"call-{number}" for number in range(6)}


@pytest.fixture
def storing(tmp_path: Path) -> Iterator[Storing]:
    opened = Storing(tmp_path)
    yield opened
    opened.close()


def kept(var: Path) -> list[CallRecord]:
    """Every record, read with a store of its own."""

    async def read() -> list[CallRecord]:
        records = SqliteRecordStore(var / "calls.sqlite", retention_days=30)
        page = await records.page(100, None, None, None, Deadline.after(5.0))
        await records.close()
        return page.items

    return asyncio.run(read())


async def read_audio(store: FolderAudioStore, name: str) -> bytes | None:
    return await store.read(name, Deadline.after(5.0))


def never(_: bytes) -> dict[str, Any]:
    raise AssertionError("it was diagnosed again")
