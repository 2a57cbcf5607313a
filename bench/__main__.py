"""`python -m bench`: every figure, a table on stdout, build/bench.json, charts, and docs/performance.md made of them.

Exits 0 when everything was measured, whether the targets are met or not; 1 when something could not be; 2 for what is
missing here.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tritonclient.utils import InferenceServerException

from bench.load.generator import BUILD, GeneratorError
from bench.load.served import PeerError, our_service
from bench.page import page, table
from bench.report.charts import draw_charts
from bench.report.machine import differs, machine
from bench.report.rows import ROUNDS, Row
from bench.report.targets import target_of
from bench.rest import preparation, steadiness, throughput, wire
from bench.stores.listing import listing
from bench.triton import perf_analyzer
from bench.triton.perf_binary import MissingToolError, PerfToolError, perf_binary
from laptop.errors import LaptopError
from local_triton import TritonError, TritonServer
from runtime.config import MODEL_REPOSITORY, ROOT

REPORT = BUILD / "bench.json"
PAGE = ROOT / "docs" / "performance.md"
COMMITTED = ROOT / "docs" / "performance.json"
STEADY_ROUNDS = 3  # at most, of figures whose rounds agree within a tenth
PARTS = {  # and how the names of their rows begin
    "preparation": ("preparation_", "stage_", "wire_", "start_"),
    "stores": ("listing_",),
    "triton": ("triton_",),
    "rest": ("rest_", "bare_", "overload_", "event_loop_", "worker_", "memory_"),
}


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"interleaved rounds (default: {ROUNDS})")
    parser.add_argument("--only", choices=PARTS, help="a part again: its rows replace those in docs/performance.json")
    options = parser.parse_args(arguments)
    started = time.monotonic()
    report: dict[str, Any] = {"machine": machine(), "rows": [], "levels": []}
    if options.only is not None:
        known = json.loads(COMMITTED.read_text())
        if changed := differs(known["machine"], report["machine"]):
            print(
                f"bench: docs/performance.json was measured with another {', '.join(changed)}: measure all.",
                file=sys.stderr,
            )
            return 2
        report = _without(options.only, known)
    measured: dict[str, Callable[[dict[str, Any], int], None]] = {
        "preparation": _preparation,
        "stores": _stores,
        "triton": _triton,
        "rest": _rest,
    }
    failed: Exception | None = None
    wanted = [part for part in PARTS if options.only in (None, part)]
    # So that what was started is stopped, too, when this is ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        if "triton" in wanted:
            with perf_binary():  # what it lacks is said before minutes have passed
                pass
        for part in wanted:
            measured[part](report, options.rounds)
    except MissingToolError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (GeneratorError, PeerError, PerfToolError, TritonError, LaptopError, InferenceServerException) as error:
        print(f"bench: {error}", file=sys.stderr)
        failed = error
    minutes = round((time.monotonic() - started) / 60, 1)
    report["machine"][f"minutes of {options.only}, measured apart" if options.only else "minutes"] = minutes
    if options.only is None:
        _add(report, [Row("bench_minutes", minutes, "min", target_of("bench_minutes"))])
    BUILD.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    draw_charts(report, BUILD)
    print(table(report))
    if failed is not None:
        return 1
    shutil.copy(REPORT, COMMITTED)
    PAGE.write_text(page(report), encoding="utf-8")
    return 0


def _without(part: str, report: dict[str, Any]) -> dict[str, Any]:
    """A report that lacks what a part measures. A ratio never spans parts, so each is still taken within one run."""
    return {
        "machine": report["machine"],
        "rows": [row for row in report["rows"] if not row["name"].startswith(PARTS[part])],
        "levels": [] if part == "triton" else report["levels"],
    }


def _preparation(report: dict[str, Any], rounds: int) -> None:
    _add(report, preparation.preparation(rounds))
    with _triton_alone() as server:
        _add(report, preparation.stages(server.grpc_url, rounds))
        _add(report, wire.wire(server.grpc_url))
        _add(report, steadiness.start(server.grpc_url, rounds))


def _stores(report: dict[str, Any], rounds: int) -> None:
    _add(report, listing(min(rounds, STEADY_ROUNDS)))


def _triton(report: dict[str, Any], rounds: int) -> None:
    with _triton_alone() as server:
        report["levels"] = [item.to_dict() for item in perf_analyzer.measure(server.grpc_url)]
    _add(report, perf_analyzer.dynamic_batching(min(rounds, STEADY_ROUNDS)))


def _rest(report: dict[str, Any], rounds: int) -> None:
    with our_service() as (service, ours):
        _add(report, throughput.throughput(ours, rounds))
        _add(report, steadiness.loads(ours, steadiness.metrics_url(service), rounds))
        _add(report, steadiness.memory(ours))


def _add(report: dict[str, Any], rows: list[Row]) -> None:
    for row in rows:
        report["rows"].append(row.to_dict())
        value = "-" if row.value is None else f"{row.value:.4g}"
        print(
            f"{row.name} {value} {row.unit} {'' if row.met is None else 'met' if row.met else 'NOT MET'}",
            file=sys.stderr,
            flush=True,
        )


def _triton_alone() -> TritonServer:
    return TritonServer(MODEL_REPOSITORY, log=Path(tempfile.mkdtemp(prefix="tosia-bench-")) / "triton.log")


if __name__ == "__main__":
    sys.exit(main())
