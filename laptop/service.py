"""The running system: Triton and the front end, started together, watched, and stopped together; beside them, if asked
for, a second Triton with a candidate release.
"""

from __future__ import annotations

import ctypes
import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from laptop.errors import LaptopError, SetupError
from laptop.keeper import TritonKeeper
from local_triton import TritonServer

CHECKOUT = Path(__file__).resolve().parent.parent
LOOPBACK = "127.0.0.1"
READY_S = 60.0  # about 6 s are usual
GRACE_S = 30.0  # the front end ends requests and calls in work within their deadlines
POLL_S = 0.1
PR_SET_PDEATHSIG = 1  # linux/prctl.h


class Service:
    """As a context manager: entered when `/readyz` says 200, left when every process has ended.

    var: the folder of the embedded stores and of the logs. candidate: the release's folder; None: no second Triton.
    Raises: TritonError, LaptopError.
    """

    def __init__(self, *, port: int, metrics_port: int, api_key: str, var: Path, candidate: Path | None = None) -> None:
        self.port = port
        self.metrics_port = metrics_port
        self._api_key = api_key
        self.var = var
        self._log = var / "frontend.log"
        self._triton = TritonServer(CHECKOUT / "model_repository", log=var / "triton.log")
        self._candidate = None if candidate is None else TritonServer(candidate, log=var / "candidate.log")
        self._candidate_has_ended = False
        self._frontend: subprocess.Popen[bytes] | None = None
        self._keeper: TritonKeeper | None = None  # once it serves

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def triton_url(self) -> str:
        return self._triton.grpc_url

    @property
    def candidate_url(self) -> str:
        """As `triton_url`; empty without a candidate."""
        return "" if self._candidate is None else self._candidate.grpc_url

    @property
    def triton_metrics_url(self) -> str:
        return self._triton.metrics_url

    def __enter__(self) -> Self:
        try:
            # Both at once: the front end waits for Triton anyway.
            self._frontend = self._start_frontend()
            self._triton.start()
            if self._candidate is not None:
                self._candidate.start()
            self._wait_until_ready()
            self._keeper = TritonKeeper(self._triton, self._can_score)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def keep(self) -> None:
        """Start Triton again if it must be. Raises: LaptopError where that does not help or the front end has ended."""
        self._check_frontend()
        if self._keeper is not None:
            self._keeper.keep()
        self._look_at_candidate()

    def check(self) -> None:
        """Check the processes. Raises: LaptopError where one of them has ended by itself."""
        self._check_frontend()
        if self._triton.poll() is not None:
            raise LaptopError(f"Triton has ended: {self._triton.why_it_ended()} (log: {self._triton.log})")

    def stop(self) -> None:
        """Stop the front end first, so that running requests can still use Triton."""
        if self._frontend is not None:
            self._frontend.terminate()
            try:
                self._frontend.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                self._frontend.kill()
                self._frontend.wait()
        self._triton.stop()
        if self._candidate is not None:
            self._candidate.stop()

    def _look_at_candidate(self) -> None:
        """Say once that the candidate has ended. It is not started again: calls are served without it."""
        if self._candidate is None or self._candidate_has_ended or self._candidate.poll() is None:
            return
        self._candidate_has_ended = True
        print(
            f"tosia: The candidate's Triton has ended ({self._candidate.why_it_ended()}); calls are served without it "
            f"(log: {self._candidate.log}).",
            file=sys.stderr,
            flush=True,
        )

    def _start_frontend(self) -> subprocess.Popen[bytes]:
        self.var.mkdir(parents=True, exist_ok=True)
        self.var.chmod(0o700)  # only this user may read recordings and records
        environment = {
            **os.environ,
            "API_KEY": self._api_key,
            "TOSIA_STORES": "embedded",
            "TOSIA_VAR": str(self.var),
            "TRITON_URL": self._triton.grpc_url,
            **({"CANDIDATE_TRITON_URL": self.candidate_url} if self._candidate is not None else {}),
        }
        command = [sys.executable, "-m", "frontend", "--host", LOOPBACK, "--port", str(self.port)]
        command += ["--metrics-port", str(self.metrics_port)]
        with self._log.open("wb") as log:
            # A session of its own: Ctrl-C reaches us alone, and we stop the processes in order.
            return subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,  # noqa: PLW1509 - nothing of ours runs in another thread then
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        answer = "no answer"
        while time.monotonic() < deadline:
            self.check()
            status, answer = self._get(self.port, "/readyz")
            if status == http.client.OK:
                return
            time.sleep(POLL_S)
        raise LaptopError(f"The front end is not ready after {READY_S:.0f} s: {answer} (log: {self._log})")

    def _get(self, port: int, path: str) -> tuple[int, str]:
        """Status and body; 0 where nobody answers."""
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2.0)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException):
            return 0, "no answer"
        finally:
            connection.close()

    def _can_score(self) -> bool:
        """Whether the model answers the front end. Its metrics say so: a request to /readyz is a line in the log."""
        status, text = self._get(self.metrics_port, "/metrics")
        return status != http.client.OK or 'tosia_degraded{dependency="inference"} 1.0' not in text

    def _check_frontend(self) -> None:
        if self._frontend is not None and self._frontend.poll() is not None:
            self._raise_frontend_ended(self._frontend.returncode)

    def _raise_frontend_ended(self, code: int) -> None:
        lines = self._log.read_text("utf-8", "replace").strip().splitlines() or ["no output"]
        if code == 2:
            raise SetupError(lines[-1])
        raise LaptopError(f"The front end has ended ({code}): read {self._log} and start again.")


def end_with_parent() -> None:
    """A process that is killed can't stop what it started; the kernel then asks it to end (Triton has its own
    warden).
    """
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
