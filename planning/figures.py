"""Measured figures: planning/machines/NAME.json, written by `make plan-figures`, and docs/gpu.json for the GPU.

Nothing is derived in the files: what the simulation takes follows here from the rounds as they were measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean, median
from typing import Any

from planning.errors import BadQuestion
from planning.service_times import Batch, Recording, ServiceTimes, line
from runtime.config import ROOT

FOLDER = ROOT / "planning" / "machines"
GPU_REPORT = ROOT / "docs" / "gpu.json"
# What a round of `make plan-figures` measures; of CPU: ms a recording.
ROUND_FIELDS = (
    "worker_ms",
    "main_ms",
    "triton_ms",
    "other_ms",
    "per_s",
    "alone_worker_ms",
    "alone_main_ms",
    "alone_triton_ms",
    "alone_answer_ms",
    "refusal_ms",
)
RECORDING_FIELDS = ("seconds", "bytes", "candidates", "worker_ms")
_GPU_SERVER, _GPU_COUGHS, _GPU_BUSY_CLIENTS = "as deployed", 5, 8


def machines(folder: Path = FOLDER) -> list[str]:
    """Return the names of the machines with figures, the newest first."""
    dates = {path.stem: str(_read(path)["machine"]["date"]) for path in sorted(folder.glob("*.json"))}
    return sorted(dates, key=lambda name: dates[name], reverse=True)


def figures_of(name: str | None, folder: Path = FOLDER) -> dict[str, Any]:
    """Return a machine's figures; None: the newest ones. Raises: BadQuestion, naming the machines that are there."""
    known = machines(folder)
    if not known:
        raise BadQuestion("There are no figures of any machine: `make plan-figures` measures this one.")
    if name is not None and name not in known:
        raise BadQuestion(f"There are no figures of a machine {name!r}: there are some of {', '.join(known)}.")
    return _read(folder / f"{name or known[0]}.json")


def checked(figures: Any) -> dict[str, Any]:
    """Return figures that have every field. Raises: BadQuestion, naming the first that is missing or no number."""
    try:
        for fields, items in ((ROUND_FIELDS, figures["rounds"]), (RECORDING_FIELDS, figures["recordings"])):
            if not items:
                raise BadQuestion("The figures hold no rounds or no recordings.")
            for item in items:
                for field in fields:
                    if not _is_amount(item[field]):
                        raise BadQuestion(f"The figures hold {item[field]!r} as {field}.")
        for candidates, rounds in figures["batch_ms"].items():
            if not candidates.isdecimal() or not rounds or not all(map(_is_amount, rounds)):
                raise BadQuestion(f"The figures hold {rounds!r} as a batch of {candidates}.")
        for field in ("name", "date", "processor", "cores"):
            figures["machine"][field]
        if not _is_amount(figures["record_bytes"]) or not _is_amount(figures["max_batch"]):
            raise BadQuestion("The figures hold no number as record_bytes or max_batch.")
    except (KeyError, TypeError, AttributeError) as error:
        raise BadQuestion(f"The figures lack {error}: `make plan-figures` measures them again.") from error
    return dict(figures)


def service_times(figures: Mapping[str, Any], *, with_others: bool = False) -> ServiceTimes:
    """Derive the simulation's input from what was measured.

    with_others: other programs go on taking what they took in the median round, as in `make plan-check`; else what a
        call costs beside our processes is that of the round in which it was least, since programs of others add to it
    """
    rounds = figures["rounds"]
    mid = {field: median(item[field] for item in rounds) for field in ROUND_FIELDS}
    loaded = mid["worker_ms"] + mid["main_ms"] + mid["triton_ms"]
    alone = mid["alone_worker_ms"] + mid["alone_main_ms"] + mid["alone_triton_ms"]
    alone_speed = max(1.0, loaded / alone)
    # What a call costs the kernel, the disk and the machine below beside our processes: as if each were slower.
    other_ms = mid["other_ms"] if with_others else min(item["other_ms"] for item in rounds)
    slower = 1.0 + other_ms / loaded
    # Each recording's CPU was taken in a process by itself: its share of the mean is kept.
    by_itself = fmean(item["worker_ms"] for item in figures["recordings"])
    recordings = tuple(
        Recording(
            item["seconds"],
            item["bytes"],
            item["candidates"],
            item["worker_ms"] / by_itself * mid["worker_ms"] * slower / 1e3,
        )
        for item in figures["recordings"]
    )
    sizes = sorted(map(int, figures["batch_ms"]))
    fixed_ms, candidate_ms = line([float(size) for size in sizes], [median(figures["batch_ms"][str(n)]) for n in sizes])
    most = int(figures["max_batch"])
    per_ms = alone_speed * slower / 1e3
    cpu = Batch(max(0.0, fixed_ms) * per_ms, candidate_ms * per_ms, most)
    return ServiceTimes(
        recordings=recordings,
        main_s=mid["main_ms"] * slower / 1e3,
        refusal_s=mid["refusal_ms"] * slower / 1e3,
        wait_s=max(0.0, mid["alone_answer_ms"] - alone * slower) / 1e3,
        alone_speed=alone_speed,
        cpu=cpu,
        gpu=gpu_batch(json.loads(GPU_REPORT.read_text(encoding="utf-8")), most),
        record_size=figures["record_bytes"],
    )


def gpu_batch(report: Mapping[str, Any], most: int) -> Batch:
    """Return the line through docs/gpu.json's executions that follow each other: mean batch / (coughs a second)."""
    levels = [
        level
        for level in report["release_8"]["levels"]
        if level["server"] == _GPU_SERVER
        and level["coughs_a_request"] == _GPU_COUGHS
        and level["concurrency"] >= _GPU_BUSY_CLIENTS
    ]
    batches = [float(level["average_batch"]) for level in levels]
    fixed_s, candidate_s = line(batches, [level["average_batch"] / level["throughput"] for level in levels])
    return Batch(fixed_s, candidate_s, most)


def _is_amount(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value < 1e12


def _read(path: Path) -> dict[str, Any]:
    return checked(json.loads(path.read_text(encoding="utf-8")))
