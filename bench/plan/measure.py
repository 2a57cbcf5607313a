"""What a recording costs each part of the service on this machine: the figures of `planning`."""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.against.running import cpu_s, own_cpu_s
from bench.load.audio import mixed_notes
from bench.load.generator import Generator, GeneratorError, Load
from bench.load.served import CONNECTIONS, Running
from bench.report.machine import machine
from laptop.service import Service
from runtime.config import MODEL_REPOSITORY, load_config, load_limits
from runtime.prepare import prepare
from runtime.triton_classifier import TritonClassifier

FULL_S = 6.0  # every connection busy
ALONE_S = 4.0  # one connection
REFUSED_S = 4.0
REFUSED_TIMES = 5.0  # the capacity: most are refused then
WARM_UP_S = 3.0
IDLE_S = 3.0
BATCHES = (1, 2, 4, 8, 16, 32, 64)
BATCH_S = 0.5  # at least, of each size: CPU time is counted in ticks of 10 ms
REPEATS = 3


def measure(
    service: Service, ours: Running, generator: Generator, notes: Sequence[bytes], rounds: int
) -> dict[str, Any]:
    """Return figures as planning/machines/*.json hold them. Raises: GeneratorError."""
    front_end, triton = _leaders(ours)
    generator.closed(ours.port, WARM_UP_S, CONNECTIONS)
    recordings, spectrograms = _by_recording(notes)
    found = [_round(generator, ours.port, front_end, triton, number) for number in range(rounds)]
    here = machine()
    return {
        "machine": {"name": machine_name(here), **here},
        "what": f"{mixed_notes()[1]}; {CONNECTIONS} connections in a closed loop, then 1, then "
        f"{REFUSED_TIMES:g} times the capacity; CPU in ms a recording",
        "rounds": found,
        "batch_ms": _batches(service, triton, spectrograms, rounds),
        "max_batch": _max_batch(),
        "record_bytes": _record_bytes(service.var),
        "recordings": recordings,
    }


def machine_name(here: dict[str, Any]) -> str:
    """Return what `MACHINE=` takes: processor and cores, as `intel-xeon-2-cores`."""
    text = re.sub(r"\((r|tm)\)|processor|cpu|@.*", " ", str(here["processor"]).lower())
    return "-".join([*re.findall(r"[a-z0-9]+", text), str(here["cores"]), "cores"])


def busy_s(stat: Path = Path("/proc/stat")) -> float:
    """Return the CPU time of all processes so far, with what the machine below took (steal)."""
    user, nice, system, _, _, irq, softirq, steal = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def cores_in_use(seconds: float = IDLE_S) -> float:
    """Return how many cores other programs use, while this one sleeps."""
    before, started = busy_s(), time.monotonic()
    time.sleep(seconds)
    return (busy_s() - before) / (time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class Used:
    """CPU s meanwhile: of workers, of the main process, of Triton, and of all that is neither these nor the load"""

    workers: float
    main: float
    triton: float
    other: float


def _round(generator: Generator, port: int, front_end: int, triton: int, number: int) -> dict[str, float]:
    full, used = _loaded(lambda: generator.closed(port, FULL_S, CONNECTIONS, number), front_end, triton)
    alone, used_alone = _loaded(lambda: generator.closed(port, ALONE_S, 1, number), front_end, triton)
    if not full.accepted.count or not alone.accepted.count:
        raise GeneratorError(f"The front end diagnosed nothing: {full.statuses}.")
    full_ms, alone_ms = (1e3 / load.accepted.count for load in (full, alone))
    over_per_s = REFUSED_TIMES * full.accepted_per_s
    over, used_over = _loaded(lambda: generator.open(port, REFUSED_S, over_per_s, number), front_end, triton)
    refused_s = used_over.main - over.accepted.count * used.main / full.accepted.count
    return {
        "worker_ms": used.workers * full_ms,
        "main_ms": used.main * full_ms,
        "triton_ms": used.triton * full_ms,
        "other_ms": max(0.0, used.other * full_ms),
        "per_s": full.accepted_per_s,
        "alone_worker_ms": used_alone.workers * alone_ms,
        "alone_main_ms": used_alone.main * alone_ms,
        "alone_triton_ms": used_alone.triton * alone_ms,
        "alone_answer_ms": alone.seconds * alone_ms,
        "refusal_ms": max(0.0, refused_s * 1e3 / max(1, over.refused.count)),
    }


def _loaded(send: Callable[[], Load], front_end: int, triton: int) -> tuple[Load, Used]:
    """Return what came of a load, and what was used meanwhile."""

    def so_far() -> tuple[float, float, float, float]:
        return cpu_s(front_end), own_cpu_s(front_end), cpu_s(triton), busy_s()

    before = so_far()
    load = send()
    front_end_s, main_s, triton_s, all_s = (now - then for then, now in zip(before, so_far(), strict=True))
    return load, Used(front_end_s - main_s, main_s, triton_s, all_s - front_end_s - triton_s - load.cpu_s)


def _by_recording(notes: Sequence[bytes]) -> tuple[list[dict[str, float]], NDArray[np.uint8]]:
    """Return each recording's figures, its CPU taken in this process, and spectrograms of one full batch."""
    parameters, limits = load_config(), load_limits()[1].decode
    found: list[dict[str, float]] = []
    spectrograms: list[NDArray[np.uint8]] = []
    for note in notes:
        prepared = prepare(note, *parameters, limits)
        started = time.process_time()
        for _ in range(REPEATS):
            prepare(note, *parameters, limits)
        worker_s = (time.process_time() - started) / REPEATS
        found.append(
            {
                "seconds": round(prepared.duration_s, 3),
                "bytes": len(note),
                "candidates": len(prepared.spectrograms),
                "worker_ms": round(worker_s * 1e3, 3),
            }
        )
        spectrograms.append(prepared.spectrograms)
    every = np.concatenate(spectrograms)
    return found, np.resize(every, (max(BATCHES), *every.shape[1:]))


def _batches(service: Service, triton: int, spectrograms: NDArray[np.uint8], rounds: int) -> dict[str, list[float]]:
    """Return Triton's CPU ms for a request of so many candidates, one request after the other."""
    found: dict[str, list[float]] = {str(size): [] for size in BATCHES}
    with TritonClassifier(service.triton_url) as classifier:
        for _ in range(rounds):
            for size in BATCHES:
                before, requests, started = cpu_s(triton), 0, time.monotonic()
                while time.monotonic() - started < BATCH_S:
                    classifier.classify(spectrograms[:size])
                    requests += 1
                found[str(size)].append((cpu_s(triton) - before) / requests * 1e3)
    return found


def _max_batch() -> int:
    text = (MODEL_REPOSITORY / "cough_cnn" / "config.pbtxt").read_text()
    return int(re.findall(r"^max_batch_size: (\d+)", text, re.M)[0])


def _record_bytes(var: Path) -> float:
    """Return the mean size of the finished records' documents."""
    with closing(sqlite3.connect(f"file:{var / 'calls.sqlite'}?mode=ro", uri=True)) as connection:
        sizes = connection.execute("SELECT length(CAST(document AS BLOB)) FROM calls WHERE state = 'diagnosed'")
        return fmean(size for (size,) in sizes)


def _leaders(ours: Running) -> tuple[int, int]:
    """Return the process ids of the front end and of Triton."""
    by_front_end = {"frontend" in _command(pid).split(): pid for pid in ours.processes}
    return by_front_end[True], by_front_end[False]


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
