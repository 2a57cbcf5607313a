"""`python -m bench.triton.perf_analyzer [--url host:port]`:

NVIDIA's perf_analyzer with real spectrograms against a Triton.

With an address it prints the table of that server. Without one it starts the Triton of this machine on
model_repository/, and says as well what dynamic batching is worth.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from shutil import copytree
from typing import Any

import tritonclient.grpc as triton
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb
from tritonclient.utils import InferenceServerException

from bench.report.rows import ROUNDS, Row, median_row
from bench.report.targets import target_of
from bench.triton.perf_binary import MissingToolError, PerfBinary, PerfToolError, perf_binary
from local_triton import ConfigurationError, TritonError, TritonServer
from runtime.config import MODEL_REPOSITORY, ROOT
from runtime.contract import MODEL_NAME

SPECTROGRAMS = ROOT / "k8s" / "manifests" / "perf-analyzer" / "spectrograms.json"  # written by input_data.py
CONCURRENCIES = (1, 2, 4, 8, 16, 32, 64)
WINDOW_MS = 1000
CROWD = 32  # clients with one cough each, for what dynamic batching is worth

# The tool measures until three windows in a row differ by less than this percentage. We want three and no more,
# whatever they show: a benchmark that repeats itself until it looks steady takes minutes, and hides what is not steady.
_WINDOWS, _ANY_SPREAD = 3, 1_000_000


@dataclass(frozen=True, slots=True)
class Level:
    """What `concurrency` clients got that each send one cough after another.

    throughput: coughs/s; p50_us to p99_us: latency at the client; queue_us and compute_..._us: means of a request in
        Triton
    average_batch: coughs in one execution of the network
    """

    concurrency: int
    throughput: float
    p50_us: float
    p90_us: float
    p95_us: float
    p99_us: float
    queue_us: float
    compute_input_us: float
    compute_infer_us: float
    compute_output_us: float
    average_batch: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(
    url: str,
    concurrencies: Sequence[int] = CONCURRENCIES,
    *,
    input_data: Path = SPECTROGRAMS,
    window_ms: int = WINDOW_MS,
) -> list[Level]:
    """One level after the other, each about four windows long (the tool runs itself in before its three).

    url: host:port of gRPC; the averages are those of one server, so not of a name behind which several answer
    Raises: PerfToolError, TritonError, InferenceServerException.
    """
    with perf_binary() as binary:
        return [_level(binary, url, clients, input_data, window_ms) for clients in concurrencies]


def read_report(text: str) -> dict[str, float]:
    """The fields of a Level, without `average_batch`, of the CSV that the tool writes with `--verbose-csv` for one
    level.

    Raises: PerfToolError where a column is missing.
    """
    rows = list(csv.DictReader(text.splitlines()))
    try:
        return {field: float(rows[0][column]) for field, column in _COLUMNS.items()}
    except (IndexError, KeyError, ValueError, TypeError) as error:
        raise PerfToolError(
            "perf_analyzer wrote a report that is not understood: use the version that is locked."
        ) from error


_COLUMNS = {
    "throughput": "Inferences/Second",
    "p50_us": "p50 latency",
    "p90_us": "p90 latency",
    "p95_us": "p95 latency",
    "p99_us": "p99 latency",
    "queue_us": "Server Queue",
    "compute_input_us": "Server Compute Input",
    "compute_infer_us": "Server Compute Infer",
    "compute_output_us": "Server Compute Output",
}


def markdown(levels: Sequence[Level]) -> str:
    """A table for people: latencies in ms, what Triton does in µs."""
    lines = [
        "| clients | coughs/s | p50 ms | p90 ms | p95 ms | p99 ms | queue µs | infer µs | input µs | output µs "
        "| batch |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for level in levels:
        latencies = [f"{value / 1000:.1f}" for value in (level.p50_us, level.p90_us, level.p95_us, level.p99_us)]
        stages = (level.queue_us, level.compute_infer_us, level.compute_input_us, level.compute_output_us)
        cells = [f"{level.concurrency}", f"{level.throughput:.0f}", *latencies, *(f"{value:.0f}" for value in stages)]
        lines.append(f"| {' | '.join(cells)} | {level.average_batch:.1f} |")
    return "\n".join(lines)


def dynamic_batching(rounds: int = ROUNDS, *, window_ms: int = WINDOW_MS) -> list[Row]:
    """What Triton's dynamic batching is worth to 32 clients with one cough each: the model as it is against one
    without.

    Both servers are up all the time, and loaded in turn: an idle one takes no CPU time worth naming, while starting one
    takes seconds of every core, and each start would be another process to compare. Raises: as `measure`.
    """
    with tempfile.TemporaryDirectory(prefix="tosia-bench-") as folder, ExitStack() as running:
        without = changed_repository(MODEL_REPOSITORY, Path(folder) / "without", drop_dynamic_batching)
        binary = running.enter_context(perf_binary())
        servers = [
            running.enter_context(TritonServer(repository, log=Path(folder) / f"{number}.log"))
            for number, repository in enumerate((MODEL_REPOSITORY, without))
        ]
        for server in servers:  # the first load of a process pays for its memory
            _level(binary, server.grpc_url, CROWD, SPECTROGRAMS, window_ms)
        batched, single = zip(
            *(
                [_level(binary, item.grpc_url, CROWD, SPECTROGRAMS, window_ms) for item in servers]
                for _ in range(rounds)
            ),
            strict=True,
        )
    return batching_rows(batched, single)


def batching_rows(batched: Sequence[Level], single: Sequence[Level]) -> list[Row]:
    """Rounds with and without dynamic batching -> the two figures."""
    ratios = [item.throughput / other.throughput for item, other in zip(batched, single, strict=True)]
    speeds = ", ".join(
        f"{item.throughput:.0f}/{other.throughput:.0f}" for item, other in zip(batched, single, strict=True)
    )
    note = f"{CROWD} clients, one cough a request; coughs/s with and without: {speeds}"
    return [
        median_row("triton_dynamic_batching_ratio", ratios, "", target_of("triton_dynamic_batching_ratio"), note),
        median_row(
            "triton_average_batch",
            [item.average_batch for item in batched],
            "coughs",
            target_of("triton_average_batch"),
            f"{CROWD} clients, one cough a request; nv_inference_count / nv_inference_exec_count",
        ),
    ]


def changed_repository(repository: Path, into: Path, change: Callable[[pb.ModelConfig], object]) -> Path:
    """A copy of a model repository, whose config is changed in place by `change`. into: must not exist yet."""
    copytree(repository, into)
    file = into / MODEL_NAME / "config.pbtxt"
    config = text_format.Parse(file.read_text(encoding="utf-8"), pb.ModelConfig())
    change(config)
    file.write_text(text_format.MessageToString(config), encoding="utf-8")
    return into


def drop_dynamic_batching(config: pb.ModelConfig) -> None:
    """Each request is then executed alone, in the order of arrival."""
    config.ClearField("dynamic_batching")


def _level(binary: PerfBinary, url: str, clients: int, input_data: Path, window_ms: int) -> Level:
    with tempfile.TemporaryDirectory(prefix="tosia-perf-") as folder:
        report = Path(folder) / "report.csv"
        command = [
            *(
                str(binary.program),
                "-m",
                MODEL_NAME,
                "-i",
                "grpc",
                "-u",
                url,
                "-b",
                "1",
                "--input-data",
                str(input_data),
            ),
            # A thread for each core that serves many clients; a synchronous run would start one for each client.
            *("--async", "--max-threads", str(len(os.sched_getaffinity(0))), "--concurrency-range", str(clients)),
            *("-p", str(window_ms), "-r", str(_WINDOWS), "-s", str(_ANY_SPREAD), "-f", str(report), "--verbose-csv"),
        ]
        before = _executions(url)
        failure = _run(command, binary.environ, timeout_s=60 + 10 * window_ms / 1000)
        after = _executions(url)
        if not report.is_file():  # it exits 0 after some failures, so the report decides
            raise PerfToolError(f"perf_analyzer failed at {clients} clients: {failure}")
        coughs, executions = after[0] - before[0], after[1] - before[1]
        return Level(clients, **read_report(report.read_text()), average_batch=coughs / max(executions, 1))


def _run(command: Sequence[str], environ: Mapping[str, str], timeout_s: float) -> str:
    """The last line that the program printed."""
    try:
        done = subprocess.run(
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end in {timeout_s:.0f} s"
    lines = [line for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return lines[-1] if lines else f"it said nothing, exit code {done.returncode}"


def _executions(url: str) -> tuple[int, int]:
    """nv_inference_count and nv_inference_exec_count of the model so far, over all its versions."""
    with triton.InferenceServerClient(url) as client:
        versions = client.get_inference_statistics(MODEL_NAME).model_stats
    return sum(version.inference_count for version in versions), sum(version.execution_count for version in versions)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench.triton.perf_analyzer", description=str(__doc__).split("\n\n")[1]
    )
    parser.add_argument("--url", help="host:port of a Triton's gRPC (default: one is started here)")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"with and without batching (default: {ROUNDS})")
    options = parser.parse_args(arguments)
    try:
        if options.url:
            print(markdown(measure(options.url)))
            return 0
        with (
            tempfile.TemporaryDirectory(prefix="tosia-bench-") as folder,
            TritonServer(MODEL_REPOSITORY, log=Path(folder) / "triton.log") as server,
        ):
            print(markdown(measure(server.grpc_url)), flush=True)
        for row in dynamic_batching(options.rounds):
            print(f"{row.name} {row.value:.2f} {row.unit} ({row.target.op} {row.target.limit:g}); {row.note}")
    except (PerfToolError, TritonError, InferenceServerException) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2 if isinstance(error, MissingToolError | ConfigurationError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
