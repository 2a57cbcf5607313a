"""Whatever a decoder does costs one request: by stand-ins of ours in real workers."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from frontend.domain.deadline import Deadline
from frontend.inference import wire
from frontend.inference.processes import Loss
from frontend.inference.wire import Answer, Kind
from frontend.inference.worker_tasks import Task
from frontend.inference.workers import WorkerDefect, Workers, WorkTimeout
from frontend.observability.metrics import Metrics
from runtime.config import ROOT, load_config, load_limits, parameters_sha256
from runtime.errors import AudioError, UndecodableAudio
from runtime.prepare import AudioFile, Prepared, prepare_file
from tests.frontend.inference import stand_ins
from tests.frontend.inference.stand_ins import Shipped
from tests.preprocess.recordings import by_ffmpeg, warble
from tests.processors.recordings import make_recordings

PARAMETERS, LIMITS = load_config(), load_limits()[1]
NOTE = AudioFile.of((ROOT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes())
PATIENCE_S = 60.0


@asynccontextmanager
async def running(count: int = 1, **limits: Any) -> AsyncIterator[tuple[Workers, Metrics]]:
    metrics = Metrics()
    workers = Workers(count, PARAMETERS, replace(LIMITS, **limits), metrics)
    try:
        await workers.start()
        yield workers, metrics
    finally:
        await workers.close()


async def run(workers: Workers, function: Callable[..., Any], *arguments: Any) -> Answer:
    """Run a stand-in where a recording is decoded."""
    task = Task(Shipped(function), b"", arguments)  # type: ignore[arg-type]
    _, answer = await workers._run(workers._decoding, task, Deadline.after(PATIENCE_S), workers._parameters)
    return answer


def restarts(metrics: Metrics, cause: str) -> float:
    return float(metrics.worker_restarts.labels(cause)._value.get())


def same(one: Prepared, other: Prepared) -> bool:
    """Equal but for how long it took."""
    facts = [
        {name: value for name, value in vars_of(item).items() if name not in ("timings_ms", "spectrograms")}
        for item in (one, other)
    ]
    return facts[0] == facts[1] and np.array_equal(one.spectrograms, other.spectrograms)


def vars_of(prepared: Prepared) -> dict[str, Any]:
    return {field.name: getattr(prepared, field.name) for field in fields(prepared)}


def check(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(150.0):
            await test()

    asyncio.run(bounded())


def test_nothing_is_opened_started_or_changed_in_the_cage(tmp_path: Path) -> None:
    async def test() -> None:
        async with running() as (workers, _):
            assert (await run(workers, stand_ins.try_everything, str(tmp_path))).facts == b""
            assert same(await workers.prepare(NOTE, Deadline.after(PATIENCE_S)), prepared(NOTE))

    check(test)


def test_nothing_is_open_in_the_cage_but_the_workers_own_socket() -> None:
    """A worker that is led astray would write lines into our log, or hold pipes of multiprocessing's open."""
    nothing = Path(os.devnull).stat().st_rdev

    async def test() -> None:
        async with running() as (workers, _):
            found = json.loads((await run(workers, stand_ins.descriptors)).facts)
            assert found == [[stat.S_IFCHR, nothing]] * 3 + [[stat.S_IFSOCK, 0]]

    check(test)


def test_the_stand_ins_do_what_they_say_outside_of_the_cage(tmp_path: Path) -> None:
    """Or the test above could not fail."""
    # In a new process: a fork of this one, which has threads, may find a lock held for ever.
    lines = (
        "import os, signal, sys",
        "from tests.frontend.inference import stand_ins",
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)",
        "os.execv = lambda *_: None",
        "went, _ = stand_ins.try_everything(b'', None, sys.argv[1])",
        "open(sys.argv[1] + '/went', 'wb').write(went)",
        "os._exit(0)",
    )
    command = [sys.executable, "-c", "\n".join(lines), str(tmp_path)]
    # It asks its parent for things, which is this process; none of them changes it.
    subprocess.run(command, cwd=ROOT, check=True, timeout=PATIENCE_S)
    went = (tmp_path / "went").read_text().split("\n")
    expected = {"open", "write", "socket", "pipe", "fork", "program", "spawn", "kill", "remove", "memory file"}
    expected |= {"queued signal", "queued signal to a thread", "limits of others", "priority of others", "session"}
    expected |= {"processors of others", "shared memory", "shared messages", "shared semaphores", "thread"}
    assert expected <= set(went)


def test_memory_beyond_the_limit_is_refused_and_costs_one_recording() -> None:
    async def test() -> None:
        async with running() as (workers, metrics):
            await run(workers, stand_ins.allocate, LIMITS.worker_memory_bytes // 2)
            with pytest.raises(UndecodableAudio, match="decoder_too_large"):
                await run(workers, stand_ins.allocate, LIMITS.worker_memory_bytes + 2**28)
            assert same(await workers.prepare(NOTE, Deadline.after(PATIENCE_S)), prepared(NOTE))
            assert restarts(metrics, "memory") == 1

    check(test)


def test_the_largest_recordings_within_the_limits_pass() -> None:
    async def test() -> None:
        async with running() as (workers, _):
            for data in (largest_flac(), largest_wav(), by_ffmpeg(warble(96_000, 119.5, 2), 96_000, "mp4", "aac")):
                audio = AudioFile.of(data)
                found = await workers.prepare(audio, Deadline.after(PATIENCE_S))
                assert found.duration_s > 100.0 or len(data) > 19e6
                assert found.n_channels == 2

    check(test)


def largest_flac() -> bytes:
    """119 s of two channels at 192 kHz, with bursts of noise that differ."""
    rate_hz = LIMITS.max_sample_rate_hz
    samples = np.zeros((119 * rate_hz, 2), np.float32)
    bursts = np.random.default_rng(0)
    for start in range(0, len(samples), rate_hz // 2):
        samples[start : start + rate_hz // 16] = bursts.integers(-40, 40, (rate_hz // 16, 2)) / 128.0
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="FLAC", subtype="PCM_S8")
    assert len(buffer.getvalue()) < LIMITS.max_body_bytes
    return buffer.getvalue()


def largest_wav() -> bytes:
    """As many bytes as a body may have, of doubles."""
    rng = np.random.default_rng(0)
    samples = 0.1 * rng.standard_normal((LIMITS.max_body_bytes // 16 - 10_000, 2))
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, 192_000, format="WAV", subtype="DOUBLE")
    return buffer.getvalue()


def test_a_worker_keeps_freed_memory_for_the_next_recording() -> None:
    """The kernel clears no new pages for it: four arrays of 4 MiB would need 4,096."""

    async def test() -> None:
        async with running() as (workers, _):
            answer = await run(workers, stand_ins.pages_for_arrays)
            assert int(answer.data) < 100

    check(test)


def test_processor_time_beyond_the_limit_ends_the_worker_and_is_not_tried_again() -> None:
    async def test() -> None:
        async with running(worker_cpu_s=0.5) as (workers, metrics):
            for _ in range(2):
                with pytest.raises(UndecodableAudio, match="decoder_too_slow"):
                    await run(workers, stand_ins.spin)
            assert same(await workers.prepare(NOTE, Deadline.after(PATIENCE_S)), prepared(NOTE))
            assert (restarts(metrics, "cpu"), restarts(metrics, "died")) == (2, 0)

    check(test)


def test_processor_time_is_counted_for_each_recording_alone() -> None:
    async def test() -> None:
        async with running(worker_cpu_s=1.0) as (workers, metrics):
            for _ in range(150):  # some seconds in all
                await workers.prepare(NOTE, Deadline.after(PATIENCE_S))
            assert restarts(metrics, "cpu") == 0

    check(test)


def test_a_worker_that_waits_for_ever_is_ended() -> None:
    async def test() -> None:
        async with running(worker_timeout_s=0.3) as (workers, metrics):
            with pytest.raises(WorkTimeout):
                await run(workers, stand_ins.sleep, 600.0)
            assert same(await workers.prepare(NOTE, Deadline.after(PATIENCE_S)), prepared(NOTE))
            assert restarts(metrics, "timeout") == 1

    check(test)


def test_a_decoder_that_aborts_twice_is_the_recordings_fault() -> None:
    async def test() -> None:
        async with running() as (workers, metrics):
            with pytest.raises(UndecodableAudio, match="decoder_died"):
                await run(workers, stand_ins.abort)
            assert restarts(metrics, "died") == 2
            assert same(await workers.prepare(NOTE, Deadline.after(PATIENCE_S)), prepared(NOTE))

    check(test)


def test_the_task_behind_one_that_dies_goes_to_another_worker() -> None:
    async def test() -> None:
        async with running() as (workers, _):
            both = [run(workers, stand_ins.abort), workers.prepare(NOTE, Deadline.after(PATIENCE_S))]
            died, found = await asyncio.gather(*both, return_exceptions=True)
            assert isinstance(died, UndecodableAudio)
            assert isinstance(found, Prepared)

    check(test)


def test_a_defect_of_ours_is_told_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        async with running() as (workers, metrics):
            with pytest.raises(WorkerDefect):
                await run(workers, stand_ins.raise_defect)
            assert same(await workers.prepare(NOTE, Deadline.after(PATIENCE_S)), prepared(NOTE))
            assert all(restarts(metrics, loss.value) == 0 for loss in Loss)

    check(test)
    assert "RuntimeError" in caplog.text
    assert "stand_ins.py" in caplog.text
    assert "secret" not in caplog.text


LIES = {
    "another kind": wire.MESSAGE.pack(200, 0, 0),
    "a huge answer": wire.MESSAGE.pack(Kind.DONE, 0, 1 << 50),
    "more data than any answer has": wire.MESSAGE.pack(Kind.DONE, 0, wire.most_data_bytes(LIMITS.max_duration_s) + 1),
    "two answers": 2 * wire.MESSAGE.pack(Kind.DONE, 0, 0),
    "an answer behind the end of the memory": wire.MESSAGE.pack(Kind.SHORT, 0, 0) + wire.MESSAGE.pack(Kind.DONE, 0, 0),
    "huge facts": wire.MESSAGE.pack(Kind.DONE, (1 << 32) - 1, 0),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_worker_that_lies_is_ended(lie: str) -> None:
    async def test() -> None:
        async with running() as (workers, metrics):
            with pytest.raises(UndecodableAudio, match="decoder_died"):
                await run(workers, stand_ins.say, LIES[lie], False)
            assert restarts(metrics, "died") == 2
            assert same(await workers.prepare(NOTE, Deadline.after(PATIENCE_S)), prepared(NOTE))

    check(test)


def test_a_worker_answers_for_no_recording_but_its_own() -> None:
    """It writes the answer to the next one, too, before that has come."""

    async def test() -> None:
        async with running() as (workers, _):
            forged = wire.of_prepared(replace(prepared(NOTE), codec="forged"))
            answers = wire.MESSAGE.pack(Kind.DONE, 0, 0)
            answers += wire.MESSAGE.pack(Kind.DONE, *map(len, forged)) + b"".join(forged)
            led_astray = run(workers, stand_ins.answer_twice, answers)
            after_it = workers.prepare(NOTE, Deadline.after(PATIENCE_S))
            ended, found = await asyncio.gather(led_astray, after_it, return_exceptions=True)
            assert isinstance(ended, UndecodableAudio)
            assert isinstance(found, Prepared)
            assert same(found, prepared(NOTE))

    check(test)


@pytest.mark.parametrize("length", [1, wire.MESSAGE.size - 1, wire.MESSAGE.size, wire.MESSAGE.size + 3])
def test_a_worker_that_dies_in_the_middle_of_its_answer(length: int) -> None:
    part = (wire.MESSAGE.pack(Kind.DONE, 10, 10) + bytes(20))[:length]

    async def test() -> None:
        async with running() as (workers, metrics):
            with pytest.raises(UndecodableAudio, match="decoder_died"):
                await run(workers, stand_ins.say, part, True)
            assert restarts(metrics, "died") == 2
            assert same(await workers.prepare(NOTE, Deadline.after(PATIENCE_S)), prepared(NOTE))

    check(test)


@pytest.mark.parametrize("facts", [b"", b"{}", b"\x80\x05N.", b'{"codec": 1}', b"[" * 100_000])
def test_facts_that_are_none_are_not_believed(facts: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of them is executed either: they are only read as JSON of known types."""
    monkeypatch.setattr("frontend.inference.worker_tasks.prepare", Shipped(stand_ins.answer))

    async def test() -> None:
        async with running() as (workers, metrics):
            audio = AudioFile(b"x", facts, b"")  # type: ignore[arg-type]  # the stand-in's arguments
            with pytest.raises(UndecodableAudio, match="decoder_died"):
                await workers.prepare(audio, Deadline.after(PATIENCE_S))
            for _ in range(100):
                if restarts(metrics, "died"):
                    break
                await asyncio.sleep(0.05)
            assert restarts(metrics, "died") == 1

    check(test)


def facts_with(**changes: object) -> bytes:
    facts, _ = wire.of_prepared(prepared(NOTE))
    return json.dumps({**json.loads(facts), **changes}).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"duration_s": float("nan")}, {"pauses_s": float("inf")}, {"timings_ms": {"decode": float("-inf")}},
        {"timings_ms": {"decode": -1.0}}, {"timings_ms": {"a label": 1.0}},
        {"codec": "x" * 1000}, {"codec": "\ud800"}, {"n_channels": "one"}, {"truncated": None}, {"channels": []},
        {"audio_sha256": "0" * 64}, {"preprocess_sha256": "0" * 64},
    ],
)  # fmt: skip
def test_facts_that_no_worker_of_ours_sends_are_not_believed(changes: dict[str, object]) -> None:
    """A record with such numbers could not be read again, and another digest is of another recording."""
    _, spectrograms = wire.of_prepared(prepared(NOTE))
    digests = NOTE.sha256, parameters_sha256(*PARAMETERS)
    assert same(wire.to_prepared(Answer(Kind.DONE, facts_with(), spectrograms), *digests, PARAMETERS), prepared(NOTE))
    with pytest.raises(wire.BadAnswer):
        wire.to_prepared(Answer(Kind.DONE, facts_with(**changes), spectrograms), *digests, PARAMETERS)


NO_ERRORS = [
    b"", b"[]", b'["internal_error", "x", {}]', b'["empty_audio", "x", {"a": [1]}]', b'["undecodable_audio", "x", {}]',
    b'["undecodable_audio", "decoder_died", {"key": 1}]',
    b'["audio_too_long", "recording_too_long", {"most": "x"}]',
]  # fmt: skip


@pytest.mark.parametrize("facts", NO_ERRORS)
def test_an_error_that_is_none_is_not_believed(facts: bytes) -> None:
    with pytest.raises(wire.BadAnswer):
        wire.to_refusal(Answer(Kind.REFUSED, facts))


def test_errors_of_recordings_come_back_as_they_were() -> None:
    async def test() -> None:
        async with running(max_duration_s=1.0) as (workers, _):
            for data in (NOTE.data, NOTE.data[:300], b"fLaC" + bytes(100)):
                audio = AudioFile.of(data)
                with pytest.raises(AudioError) as here:
                    prepare_file(audio, PARAMETERS, replace(LIMITS, max_duration_s=1.0).decode)
                with pytest.raises(AudioError) as there:
                    await workers.prepare(audio, Deadline.after(PATIENCE_S))
                assert type(here.value) is type(there.value)
                assert (here.value.key, here.value.values) == (there.value.key, there.value.values)

    check(test)


@pytest.mark.shared
def test_every_format_is_heard_in_the_cage_as_outside(tmp_path: Path) -> None:
    """Nothing that a decoder needs is opened or imported only when it is needed."""
    make_recordings(tmp_path / "recordings", 8)

    async def test() -> None:
        async with running(2) as (workers, metrics):
            for path in sorted((tmp_path / "recordings").iterdir()):
                audio = AudioFile.of(path.read_bytes())
                found = await workers.prepare(audio, Deadline.after(PATIENCE_S))
                assert same(found, prepared(audio)), path.name
            assert all(restarts(metrics, loss.value) == 0 for loss in Loss)

    check(test)


def prepared(audio: AudioFile) -> Prepared:
    return prepare_file(audio, PARAMETERS, LIMITS.decode)


def test_kills_at_random_times_cost_no_recording() -> None:
    """20 kills while eight recordings are always on their way; `make soak` does 300 and prints how long each cost."""
    dice = random.Random(1)

    async def test() -> None:
        async with running(2) as (workers, metrics):
            expected, kills = prepared(NOTE), 0
            done = asyncio.Event()

            async def send() -> None:
                while not done.is_set():
                    try:
                        found = await workers.prepare(NOTE, Deadline.after(PATIENCE_S))
                    except UndecodableAudio:  # killed twice
                        continue
                    assert same(found, expected)

            senders = [asyncio.create_task(send()) for _ in range(8)]
            while kills < 20:
                await asyncio.sleep(dice.uniform(0.0, 0.05))
                alive = list(workers._decoding._workers)
                if alive and (process := dice.choice(alive)._process) is not None:
                    process.kill()
                    kills += 1
            done.set()
            await asyncio.gather(*senders)
            for _ in range(400):
                if len(workers._decoding._workers) == 2:
                    break
                await asyncio.sleep(0.05)
            assert len(workers._decoding._workers) == 2
            assert same(await workers.prepare(NOTE, Deadline.after(PATIENCE_S)), expected)
            assert restarts(metrics, "died") >= 10  # one may be hit twice

    check(test)


def test_work_that_never_ends_is_seen() -> None:
    async def test() -> None:
        async with running() as (workers, _):
            assert workers.stuck_s == 0.0
            await workers.prepare(NOTE, Deadline.after(PATIENCE_S))
            assert workers.stuck_s == 0.0
            (worker,) = workers._decoding._workers
            assert worker._process is not None
            os.kill(worker._process.pid, signal.SIGSTOP)  # type: ignore[arg-type]
            with pytest.raises(Exception, match="deadline"):
                await workers.prepare(NOTE, Deadline.after(0.2))
            assert workers.stuck_s > 0.1  # although nobody waits for it any more
            os.kill(worker._process.pid, signal.SIGCONT)  # type: ignore[arg-type]
            await workers.prepare(NOTE, Deadline.after(PATIENCE_S))
            assert workers.stuck_s == 0.0

    check(test)
