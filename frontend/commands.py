"""What the command line asks for: serve, check, or score again; and the exit code."""

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
from frontend.http_protocol import BoundedHead
from frontend.logs import set_up_logs
from frontend.server import DrainingServer
from frontend.settings import Settings, SettingsError, read_settings
from runtime.errors import RuntimeFailure

GRACE_S = 12  # requests in work may take this long at the end: a little more than their deadline


def run(options: argparse.Namespace, create: Callable[..., FastAPI] | None) -> int:
    """create: instead of `create_app`."""
    set_up_logs()
    try:
        if options.check:
            from frontend.check import check  # noqa: PLC0415 - the Azure SDK, which a server need not have

            return asyncio.run(check(os.environ, options.workers))
        settings = read_settings(os.environ)
        if options.command == "backfill":
            from frontend.backfill import backfill  # noqa: PLC0415

            return asyncio.run(backfill(settings, options.since, options.limit, options.workers))
        return _serve(options, settings, create or create_app)
    except (SettingsError, RuntimeFailure, ServiceError) as error:
        print(f"frontend: {error}", file=sys.stderr)
        # What a server can't open when it starts is a wrong setting; what a command can't reach may be back in a moment.
        return 1 if isinstance(error, ServiceError) and options.command else 2
    except BrokenPipeError:
        # Whoever read what is printed has gone; what is left of it would be written again at the end, and fail with a trace.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("frontend: stopped; the same command goes on from here.", file=sys.stderr)
        return 1


def _serve(options: argparse.Namespace, settings: Settings, create: Callable[..., FastAPI]) -> int:
    if options.port == options.metrics_port:
        raise SettingsError(f"--port and --metrics-port are both {options.port}: choose another for one of them")
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
        proxy_headers=False,  # nothing here asks who the caller is
        ws="none",
        loop="uvloop",
        http=BoundedHead,
        timeout_graceful_shutdown=GRACE_S,
        # Longer than whoever is in front of us keeps idle connections (nginx: 60 s), or a request meets one that we just closed.
        timeout_keep_alive=75,
    )
    server = DrainingServer(
        config, drain_s=options.drain_seconds, on_drain=lambda: setattr(app.state, "draining", True)
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn ends in good order and then raises the signal again: that must not end us with a trace or without a code.
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _listen(host: str, port: int, option: str) -> socket.socket:
    """Raises: SettingsError where the port is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"{host}:{port} can't be listened on ({error.strerror}): choose another {option}"
        ) from error
    return listener
