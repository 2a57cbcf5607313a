"""`make run`: Triton and the front end until Ctrl-C."""

from __future__ import annotations

import fcntl
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from laptop.api_key import api_key
from laptop.candidate import release_folder
from laptop.errors import SetupError
from laptop.service import CHECKOUT, Service
from local_triton.ports import is_free

WATCH_S = 0.5
SAMPLE = CHECKOUT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg"


def run(port: int, metrics_port: int, candidate: str = "") -> None:
    """Serves until interrupted. candidate: the folder of a release that a second Triton serves; empty: none does.

    Raises: LaptopError, TritonError.
    """
    beside = release_folder(candidate) if candidate else None
    if port == metrics_port:
        raise SetupError(f"Port {port} can't serve both the API and the metrics: choose another METRICS_PORT.")
    for option, number in (("PORT", port), ("METRICS_PORT", metrics_port)):
        if not is_free(number):
            raise SetupError(
                f"Port {number} is in use: end what listens there, or choose another: make run {option}=..."
            )
    var = CHECKOUT / "var"
    key = api_key(var)
    with (
        _sole_user(var),
        Service(port=port, metrics_port=metrics_port, api_key=key.value, var=var, candidate=beside) as service,
    ):
        print(f"Console:          {service.url} (API docs: {service.url}/docs)")
        if key.generated:
            print(f"API key:          {key.value} (kept in var/api_key)")
        print(f"Triton's gRPC:    {service.triton_url}")
        if service.candidate_url:
            print(f"Candidate's gRPC: {service.candidate_url} ({candidate}; docs/rollout.md)")
        form = shlex.quote(f"audio=@{SAMPLE}")
        print("Try it:")
        print(f'  curl -H "X-API-Key: {key.shell}" -F {form} {service.url}/v1/diagnoses')
        print("Ctrl-C ends it.", flush=True)
        while True:
            service.keep()
            time.sleep(WATCH_S)


@contextmanager
def _sole_user(var: Path) -> Iterator[None]:
    """Hold a lock: two systems would overwrite each other's logs and finish each other's calls. Raises: SetupError."""
    var.mkdir(parents=True, exist_ok=True)
    with (var / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SetupError(
                "Another `make run` uses var/ of this checkout: end it first, or use another clone."
            ) from None
        yield
