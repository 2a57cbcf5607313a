"""Starts Triton again where it has ended, or where its model can't answer any more.

Triton calls a model ready whose process has died, so the front end is asked: it tries the model after an inference that
failed. Calls that came meanwhile were accepted, and the front end finishes them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from laptop.errors import LaptopError
from local_triton import TritonError, TritonServer

PATIENCE_S = 5.0  # the front end notices a new Triton within two
RESTARTS = 5  # in a row; a Triton that served for STEADY_S begins a new row
STEADY_S = 60.0
FIRST_PAUSE_S = 1.0  # doubled for each restart of a row


class TritonKeeper:
    """Watches one Triton; `keep` is called again and again while it serves.

    can_score: what the front end says of the model
    """

    def __init__(self, triton: TritonServer, can_score: Callable[[], bool]) -> None:
        self._triton = triton
        self._can_score = can_score
        self._restarts = 0
        self._well_at = time.monotonic()  # the last time that the model could score
        self._started_at = self._well_at

    def keep(self) -> None:
        """Start Triton again if it must be. Raises: LaptopError where that was done too often."""
        reason = self._what_is_wrong()
        while reason:
            self._pause(reason)
            self._triton.stop()
            try:
                self._triton.start()
            except TritonError as error:
                reason = str(error)
            else:
                reason = ""
            self._well_at = self._started_at = time.monotonic()

    def _what_is_wrong(self) -> str:
        if self._triton.poll() is not None:
            return f"Triton has ended ({self._triton.why_it_ended()})"
        now = time.monotonic()
        if self._can_score():
            self._well_at = now
            if now - self._started_at > STEADY_S:
                self._restarts = 0
        return "Triton's model does not answer" if now - self._well_at > PATIENCE_S else ""

    def _pause(self, reason: str) -> None:
        if self._restarts == RESTARTS:
            raise LaptopError(f"{reason}, and {RESTARTS} restarts did not help (log: {self._triton.log}).")
        print(f"tosia: {reason}: it is started again.", file=sys.stderr, flush=True)
        time.sleep(FIRST_PAUSE_S * 2**self._restarts)
        self._restarts += 1
