"""Finds NVIDIA's perf_analyzer in the environment that its wheel has to itself, and the libraries that it needs.

`.venv-perf` (requirements/perf.txt) holds tritonclient 2.51.0, whose wheel brings the program: later ones need glibc
2.38.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local_triton.environment import CHECKOUT, find_environment, loader_misses

ENVIRONMENT = CHECKOUT / ".venv-perf"
CUDART = "libcudart.so.12"
_PACKAGES = {"libb64.so.0d": "libb64-0d"}  # library -> package of Debian and Ubuntu


class PerfToolError(Exception):
    """perf_analyzer failed, or is not there; the message is one line that says what to do."""


class MissingToolError(PerfToolError):
    """It is not installed, or a library that it needs: exit code 2."""


@dataclass(frozen=True, slots=True)
class PerfBinary:
    """environ: the variables to start it with."""

    program: Path
    environ: dict[str, str]


@contextmanager
def perf_binary(environment: Path = ENVIRONMENT) -> Iterator[PerfBinary]:
    """The program, ready to run for as long as the context lasts.

    Raises: MissingToolError; TritonError where `.venv-triton`, which has the CUDA runtime, is missing.
    """
    program = environment / "bin" / "perf_analyzer"
    if not program.is_file():
        raise MissingToolError(f"There is no perf_analyzer in {environment.name}: `make bench` installs it there.")
    with tempfile.TemporaryDirectory(prefix="tosia-perf-") as folder:
        # Linked against the CUDA runtime, it starts only where that is found, though it calls it for shared memory on
        # GPUs alone. Triton's wheel has it under a name of its own.
        (Path(folder) / CUDART).symlink_to(_cuda_runtime(find_environment().libraries))
        for library in loader_misses(program, [Path(folder)]):
            raise MissingToolError(missing(library))
        yield PerfBinary(program, {"PATH": os.defpath, "LANG": "C.UTF-8", "LD_LIBRARY_PATH": folder})


def missing(library: str) -> str:
    """What to install where the loader does not find a library."""
    package = _PACKAGES.get(library)
    remedy = f"on Debian or Ubuntu run `apt-get install {package}`." if package else "install the package that has it."
    return f"perf_analyzer needs {library}, which is not here: {remedy}"


def _cuda_runtime(libraries: Path) -> Path:
    for library in sorted(libraries.glob("libcudart-*.so.12*")):
        return library
    raise MissingToolError(f"Triton's wheel brings no {CUDART}: remove .venv-triton and make it again.")
