"""REST throughput against a bare loop of the same work, and against what else one could pick."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TypeVar

from bench.load.audio import mixed_notes, sets
from bench.load.generator import Generator, Load
from bench.load.served import API_KEY, CONNECTIONS, Running, baseline
from bench.report.rows import Row, median_row, ratios
from bench.report.targets import target_of
from laptop.service import CHECKOUT

Answer = TypeVar("Answer")

SECONDS = 5.0
WARM_UP_S = 3.0
SETTLE_S = 2.5  # after a stop every service finds that its own clocks have jumped, and asks again for what was late

# A name and the path that answers 200 when it is ready; not read from the modules, which import what only they have.
BASELINES = {
    "usual": "/health",
    "litserve_ours": "/health",
    "litserve_librosa": "/health",
    "bentoml_ours": "/readyz",
    "bentoml_librosa": "/readyz",
}


def bare(seconds: float) -> float:
    """Recordings/s of a process a core that decodes, prepares, runs the network and concludes: no server, no
    storage.
    """
    command = [sys.executable, "-m", "bench.rest.bare_loop", str(seconds)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    loops = [
        subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in os.sched_getaffinity(0)
    ]
    return sum(float(loop.communicate()[0]) for loop in loops)


def throughput(ours: Running, rounds: int) -> list[Row]:
    """Raises: PeerError, GeneratorError."""
    mixed, what = mixed_notes()
    figures: dict[str, list[Load]] = {name: [] for name in ("rest", *BASELINES)}
    bare_mixed: list[float] = []
    with ExitStack() as stack:
        generator = stack.enter_context(Generator(mixed, API_KEY))
        running = [ours]
        for name, ready_path in BASELINES.items():
            running.append(stack.enter_context(baseline(name, ready_path)))
        for item in running:
            _alone(item, running, partial(generator.closed, item.port, WARM_UP_S, CONNECTIONS))
        for number in range(rounds):
            for item in running:
                run = partial(generator.closed, item.port, SECONDS, CONNECTIONS, number)
                figures[item.name].append(_alone(item, running, run))
            bare_mixed.append(_alone(None, running, lambda: bare(SECONDS)))
        forms = _by_form(running)
    rest = [_rate(item) for item in figures["rest"]]
    rows = [
        median_row("rest_throughput", rest, "recordings/s", note=f"{what}; {CONNECTIONS} connections in a closed loop"),
        median_row("bare_throughput", bare_mixed, "recordings/s", note="the same recordings, one process a core"),
        _ratio("rest_to_bare_throughput", rest, bare_mixed, what),
    ]
    for name in BASELINES:
        theirs = figures[name]
        rates = [_rate(their) for their in theirs]
        bad = f"without a result {sum(map(_bad, theirs))}, here {sum(map(_bad, figures['rest']))}"
        said = f"{name}: {min(rates):.1f} to {max(rates):.1f} recordings/s; {bad}"
        rows.append(_ratio(f"rest_to_{name}_throughput", rest, rates, said))
        p99 = ratios([item.accepted.p99 for item in figures["rest"]], [their.accepted.p99 for their in theirs])
        rows.append(median_row(f"rest_to_{name}_p99", p99, "", target_of(f"rest_to_{name}_p99"), "in the same runs"))
    return rows + forms


def _bad(load: Load) -> int:
    return load.refused.count + load.other.count + load.lost


def _rate(load: Load) -> float:
    """Recordings/s; NaN where more than one in a hundred got no result: failures are neither fast nor slow."""
    return load.accepted_per_s if _bad(load) <= 0.01 * load.accepted.count else math.nan


def _by_form(running: Sequence[Running]) -> list[Row]:
    """The same recordings in one form after the other, one round each: where the figures of the mixture come from.

    Without the baselines that share our preparation: what a form costs is the same there.
    """
    rows = []
    others = [name for name in BASELINES if not name.endswith("_ours")]
    for form, recordings in sets().items():
        rates: dict[str, float] = {}
        with Generator(recordings, API_KEY) as generator:
            for item in running:
                if item.name.endswith("_ours"):
                    continue
                run = partial(generator.closed, item.port, SECONDS, CONNECTIONS)
                rates[item.name] = _rate(_alone(item, running, run))
        rows.append(median_row(f"rest_throughput_{form}", [rates["rest"]], "recordings/s"))
        for name in others:
            rows.append(
                _ratio(f"rest_to_{name}_throughput_{form}", [rates["rest"]], [rates[name]], "one round, a report")
            )
    return rows


def _ratio(name: str, of: Sequence[float], to: Sequence[float], note: str) -> Row:
    return median_row(name, ratios(of, to), "", target_of(name), note)


def _alone(one: Running | None, running: Sequence[Running], work: Callable[[], Answer]) -> Answer:
    """The work, while every service but the one that it is about stands still."""
    with ExitStack() as stack:
        for other in running:
            if other is not one:
                stack.enter_context(other.stopped())
        if one is not None:
            time.sleep(SETTLE_S)
        return work()
