"""Runs Triton on loopback until Ctrl-C or SIGTERM: `python -m local_triton`.

Prints one line with its addresses when every model is ready. Exits 0, or 2 when the machine or the command line has to
change first, or 1 when Triton refused a model or ended by itself.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from local_triton.environment import CHECKOUT
from local_triton.errors import ConfigurationError, ServerFailedError, TritonError
from local_triton.server import TritonServer

WATCH_S = 0.5


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    options = parse(arguments)
    # From here on both ways of being stopped look the same, during the start as well.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with TritonServer(
            options.model_repository,
            log=options.log,
            http_port=options.http_port,
            grpc_port=options.grpc_port,
            metrics_port=options.metrics_port,
        ) as triton:
            print(f"Triton: gRPC {triton.grpc_url}, HTTP {triton.http_url}, metrics {triton.metrics_url}", flush=True)
            while (code := triton.poll()) is None:
                time.sleep(WATCH_S)
            raise ServerFailedError(f"Triton ended by itself ({code}): {triton.why_it_ended()} (log: {triton.log}).")
    except KeyboardInterrupt:
        return 0
    except (TritonError, OSError) as error:
        print(f"local_triton: {error}", file=sys.stderr)
        return 2 if isinstance(error, ConfigurationError) else 1


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line; a wrong one exits 2."""
    parser = argparse.ArgumentParser(
        prog="python -m local_triton", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--model-repository", type=Path, default=CHECKOUT / "model_repository", metavar="DIR")
    for purpose, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        parser.add_argument(
            f"--{purpose}-port", type=port_number, default=port, metavar="PORT", help=f"default: {port}"
        )
    parser.add_argument("--log", type=Path, default=CHECKOUT / "var" / "triton.log", metavar="FILE")
    return parser.parse_args(arguments)


def port_number(text: str) -> int:
    """A port that can be listened on."""
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port from 1 to 65535")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
