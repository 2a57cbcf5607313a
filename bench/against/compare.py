"""Rounds of one build after the other -> rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.against.builds import Build
from bench.against.environments import AgainstError
from bench.against.running import RunningTriton, cpu_s, front_end, own_cpu_s, triton
from bench.load.generator import Generator
from bench.load.served import CONNECTIONS
from bench.report.rows import Row, Target, median_row, ratios, worst_row

WARM_UP_S = 3.0
SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of one build. Of CPU: ms a recording that was answered with its result.

    candidate_ms: CPU of Triton for one spectrogram, so that a dearer network is seen as such
    """

    front_end_ms: float
    all_ms: float
    main_ms: float
    candidate_ms: float
    per_s: float
    worker_mb: float
    start_s: float
    without_result: int


def compare(
    this: Build, other: Build, recordings: Sequence[bytes], what: str, rounds: int, targets: Mapping[str, Target]
) -> list[Row]:
    """what: the recordings are; targets: by the rows' names. Raises: AgainstError, GeneratorError."""
    builds = (this, other)
    found: dict[str, list[Measured]] = {build.name: [] for build in builds}
    with ExitStack() as stack:
        generator = stack.enter_context(Generator(recordings))
        servers = {build.name: stack.enter_context(triton(build)) for build in builds}
        for build in builds:  # Python compiles what is new to it
            with front_end(build, servers[build.name]):
                pass
        for number in range(rounds):
            for build in builds if number % 2 == 0 else builds[::-1]:
                found[build.name].append(_round(build, servers[build.name], generator, number))
    return rows(found[this.name], found[other.name], what, targets)


def _round(build: Build, server: RunningTriton, generator: Generator, number: int) -> Measured:
    with front_end(build, server) as service:
        generator.closed(service.port, WARM_UP_S, CONNECTIONS, number)
        before = cpu_s(service.process), cpu_s(server.process), own_cpu_s(service.process), server.candidates()
        load = generator.closed(service.port, SECONDS, CONNECTIONS, number)
        after = cpu_s(service.process), cpu_s(server.process), own_cpu_s(service.process), server.candidates()
        front_end_s, triton_s, main_s, candidates = (b - a for a, b in zip(before, after, strict=True))
        done = load.accepted.count
        if not done or not candidates:
            raise AgainstError(f"The front end of {build.name} diagnosed nothing: {load.statuses}.")
        return Measured(
            front_end_ms=front_end_s / done * 1e3,
            all_ms=(front_end_s + triton_s) / done * 1e3,
            main_ms=main_s / done * 1e3,
            candidate_ms=triton_s / candidates * 1e3,
            per_s=load.accepted_per_s,
            worker_mb=service.worker_memory_mb(),
            start_s=service.start_s,
            without_result=load.refused.count + load.other.count + load.lost,
        )


def rows(this: Sequence[Measured], other: Sequence[Measured], what: str, targets: Mapping[str, Target]) -> list[Row]:
    """The ratios of the same round, then what they are made of."""
    figures = (
        ("front_end_cpu", "front_end_ms", "ms", "the front end's processes, a recording"),
        ("cpu", "all_ms", "ms", "Triton's as well"),
        ("throughput", "per_s", "recordings/s", f"{what}; {CONNECTIONS} connections in a closed loop"),
        ("main_process_cpu", "main_ms", "ms", "the front end's main process, a recording"),
        ("triton_cpu_a_candidate", "candidate_ms", "ms", "a release with a dearer network is seen here"),
        ("worker_memory", "worker_mb", "MB", "the largest, resident, shared pages included"),
        ("start_to_ready", "start_s", "s", "Triton up"),
    )
    result = []
    for name, field, unit, note in figures:
        ours, theirs = ([float(getattr(item, field)) for item in side] for side in (this, other))
        row = f"against_{name}_ratio"
        result.append(median_row(row, ratios(ours, theirs), "", targets.get(row), note))
        for side, values in (("this", ours), ("other", theirs)):
            row = f"against_{name}_{side}"
            result.append(median_row(row, values, unit, targets.get(row)))
    for side, measured in (("this", this), ("other", other)):
        lost = [float(item.without_result) for item in measured]
        row = f"against_without_result_{side}"
        result.append(worst_row(row, lost, "requests", targets.get(row), "refused, 202, or lost"))
    return result
