"""`python -m frontend`: serve until SIGTERM or Ctrl-C.

`--check`: what can be reached, and as whom. `backfill`: score stored calls again with the release that serves now.

Exits 0; 1 when some of the work failed; 2 with one line that names all that is missing or wrong in the environment or config.yml.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable

import prometheus_client
import uvicorn
from fastapi import FastAPI

from frontend.app import create_app
from frontend.errors import ServiceError
from frontend.logs import set_up_logs
from frontend.server import DrainingServer
from frontend.settings import Settings, SettingsError, read_settings
from runtime.errors import RuntimeFailure

GRACE_S = 12  # requests in work may take this long at the end: a little more than their deadline


def main(arguments: list[str] | None = None, create: Callable[..., FastAPI] = create_app) -> int:
    """create: `create_app`, or one that gives it other stores or another classifier."""
    options = _parse(arguments)
    os.umask(0o077)  # recordings and records are nobody else's
    set_up_logs()
    try:
        settings = read_settings(os.environ)
        if options.check:
            from frontend.check import check  # noqa: PLC0415 - only where it is asked for

            return asyncio.run(check(settings))
        if options.command == "backfill":
            from frontend.backfill import backfill  # noqa: PLC0415

            return asyncio.run(backfill(settings, options.since, options.limit, options.workers))
        return _serve(options, settings, create)
    except (SettingsError, RuntimeFailure, ServiceError) as error:
        print(f"frontend: {error}", file=sys.stderr)
        # What a server can't open when it starts is a wrong setting; what a command can't reach may be back in a moment.
        return 1 if isinstance(error, ServiceError) and options.command else 2
    except KeyboardInterrupt:
        print("frontend: stopped; the same command goes on from here.", file=sys.stderr)
        return 1


def _serve(options: argparse.Namespace, settings: Settings, create: Callable[..., FastAPI]) -> int:
    app = create(settings, worker_count=options.workers)
    listener = _listen(options.host, options.port, "--port")
    _listen(options.host, options.metrics_port, "--metrics-port").close()
    prometheus_client.start_http_server(options.metrics_port, options.host, app.state.metrics.registry)
    # log_config: uvicorn's own would print traces with their messages (logs.py).
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = DrainingServer(
        config, drain_s=options.drain_seconds, on_drain=lambda: setattr(app.state, "draining", True)
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn ends in good order and then raises the signal again: that must not end us with a trace or without a code.
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m frontend", description="Serve the Tos.IA REST API.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=_port, default=8080, help="TCP port of the API (default: 8080)")
    parser.add_argument("--metrics-port", type=_port, default=9090, help="TCP port of /metrics (default: 9090)")
    parser.add_argument(
        "--workers",
        type=_count,
        default=len(os.sched_getaffinity(0)),
        help="processes for decoding (default: one a core)",
    )
    parser.add_argument(
        "--drain-seconds",
        type=float,
        default=0.0,
        help="how long to go on answering after SIGTERM, with /readyz at 503 (default: 0; on Kubernetes 10)",
    )
    parser.add_argument("--check", action="store_true", help="print what can be reached, and as whom, and end")
    commands = parser.add_subparsers(dest="command", metavar="[backfill]")
    again = commands.add_parser("backfill", help="score stored calls again with the release that serves now")
    again.add_argument(
        "--since",
        required=True,
        help="RFC 3339 date or time (UTC unless it says otherwise): calls received from then on",
    )
    again.add_argument("--limit", type=_count, default=None, help="how many calls at most (default: all)")
    return parser.parse_args(arguments)


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port: give a number from 1 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


def _listen(host: str, port: int, option: str) -> socket.socket:
    """Raises: SettingsError where the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{host}:{port} can't be listened on ({error.strerror}): choose another {option}."
        ) from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
