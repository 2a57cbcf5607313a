"""Serve with uvicorn until SIGTERM or Ctrl-C; metrics have a separate port."""

from __future__ import annotations

import argparse
import signal
import socket
from collections.abc import Callable

import prometheus_client
import uvicorn
from fastapi import FastAPI

from frontend.cli.bounded_connection import SEND_BUFFER_BYTES, bounded_connections
from frontend.cli.draining_server import DrainingServer
from frontend.configuration.settings import Settings, SettingsError


def serve(options: argparse.Namespace, settings: Settings, create: Callable[..., FastAPI]) -> int:
    """Serve, and return the exit code. Raises: SettingsError where a port can't be opened; all that `create` raises."""
    if options.port == options.metrics_port:
        raise SettingsError(f"--port and --metrics-port are both {options.port}: choose another for one of them")
    tuning = settings.tuning
    app = create(settings, worker_count=tuning.worker_count)
    listener = _listen(options.host, options.port, "--port")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)  # connections inherit it
    _listen(options.host, options.metrics_port, "--metrics-port").close()
    prometheus_client.start_http_server(options.metrics_port, options.host, app.state.metrics.registry)
    # log_config: uvicorn's default prints traces with their messages (observability/json_logs.py).
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # the caller's address is not used
        ws="none",
        loop="uvloop",
        http=bounded_connections(tuning.limits.request_deadline_s, app.state.metrics),
        timeout_graceful_shutdown=tuning.end_s,
        # Longer than the proxy keeps idle connections (nginx: 60 s); otherwise a request may use a connection that we
        # have just closed.
        timeout_keep_alive=tuning.service.keep_alive_s,
    )
    server = DrainingServer(
        config, drain_s=tuning.service.drain_seconds, on_drain=lambda: setattr(app.state, "draining", True)
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn shuts down properly and then raises the signal again. The signal must not cause a trace, nor skip
        # our exit code.
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    return 0 if server.started else 1


def _listen(host: str, port: int, option: str) -> socket.socket:
    """Open a listening socket. Raises: SettingsError where the port is taken."""
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
