"""`python -m laptop run|demo`; exits 0, 1 when something failed, 2 when something has to change first."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from laptop.demo import demo
from laptop.errors import LaptopError, SetupError
from laptop.run import run
from local_triton import ConfigurationError, TritonError

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m laptop", description="The whole system on this machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("run", help="serve until Ctrl-C")
    serve.add_argument("--port", type=_port, default=8080, help="of the API (default: 8080)")
    serve.add_argument("--metrics-port", type=_port, default=9090, help="of /metrics (default: 9090)")
    serve.add_argument(
        "--candidate", metavar="FOLDER", default="", help="a release for a second Triton beside the first"
    )
    commands.add_parser("demo", help="diagnose one sample and stop")
    options = parser.parse_args(arguments)
    os.umask(0o077)  # only this user may read files under var/
    for number in _ENDING:
        signal.signal(number, _end)
    try:
        if options.command == "run":
            run(options.port, options.metrics_port, options.candidate)
        else:
            demo()
    except KeyboardInterrupt:
        return 0
    except (LaptopError, TritonError, OSError) as error:
        print(f"tosia: {error}", file=sys.stderr)
        return 2 if isinstance(error, SetupError | ConfigurationError) else 1
    return 0


def _end(*_: object) -> None:
    """Stop the running processes in order at the first signal; later signals must not interrupt that."""
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port: give a number from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
