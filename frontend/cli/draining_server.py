"""uvicorn with a pause between the signal to end and the end of listening.

uvicorn closes its listener at once. On Kubernetes the endpoints still name this pod for some seconds, and requests in
that time would fail. During the pause all requests are answered as before, but `/readyz` answers 503.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

import uvicorn


class DrainingServer(uvicorn.Server):
    """Pauses before it ends. drain_s: the pause; 0 for none. on_drain: called at the first signal. A second signal ends
    the pause.
    """

    def __init__(self, config: uvicorn.Config, *, drain_s: float, on_drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._drain_s = drain_s
        self._on_drain = on_drain
        self._draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Handle SIGINT and SIGTERM; uvicorn calls this."""
        first, self._draining = not self._draining, True
        self._on_drain()
        if first and self._drain_s > 0.0 and sig != signal.SIGINT:
            pause = threading.Timer(self._drain_s, super().handle_exit, (sig, frame))
            pause.daemon = True
            pause.start()
        else:
            super().handle_exit(sig, frame)
