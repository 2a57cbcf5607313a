"""`python -m bench.traces`: what spans cost a recording, on and off in turns. About 4 minutes.

A collector that takes all and reads nothing is in this process; only the front end's CPU is counted.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.against.builds import Build
from bench.against.running import RunningTriton, cpu_s, front_end, triton
from bench.load.audio import mixed_notes
from bench.load.generator import Generator
from bench.load.served import CONNECTIONS
from laptop.service import CHECKOUT

WARM_UP_S = 2.0
SECONDS = 4.0
SHARES = {"off": None, "on, 10 % sampled": "0.1", "on, all sampled": "1.0"}


class _Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a batch of spans; http.server calls this."""
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@contextmanager
def _collector() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _cpu_ms(build: Build, server: RunningTriton, generator: Generator, variables: dict[str, str], number: int) -> float:
    """CPU of the front end's processes, ms a recording that was answered with its result."""
    with front_end(build, server, variables) as service:
        generator.closed(service.port, WARM_UP_S, CONNECTIONS, number)
        before = cpu_s(service.process)
        load = generator.closed(service.port, SECONDS, CONNECTIONS, number)
        return (cpu_s(service.process) - before) / load.accepted.count * 1e3


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.traces", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args(arguments)
    build = Build("this", CHECKOUT, Path(sys.prefix), CHECKOUT / ".venv-triton")
    notes, what = mixed_notes()
    found: dict[str, list[float]] = {name: [] for name in SHARES}
    with _collector() as endpoint, triton(build) as server, Generator(notes) as generator:
        for number in range(options.rounds):
            for name, share in sorted(SHARES.items(), reverse=number % 2 == 1):
                variables = {} if share is None else {
                    "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                    "OTEL_TRACES_SAMPLER": "traceidratio",
                    "OTEL_TRACES_SAMPLER_ARG": share,
                }  # fmt: skip
                found[name].append(_cpu_ms(build, server, generator, variables, number))
    print(f"{what}; {CONNECTIONS} connections in a closed loop, {options.rounds} rounds of {SECONDS:.0f} s")
    print("| | CPU, ms a recording | to off (least to most) |\n| --- | --- | --- |")
    for name, values in found.items():
        ratios = [value / off for value, off in zip(values, found["off"], strict=True)]
        spread = f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        print(f"| {name} | {statistics.median(values):.2f} | {spread} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
