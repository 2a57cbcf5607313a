"""The command line that all baselines share."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
ROUTE = "/v1/diagnoses"


@dataclass(frozen=True, slots=True)
class Arguments:
    """workers: processes that diagnose; var: the folder of the stores."""

    port: int
    workers: int
    var: Path


def read_arguments(description: str | None) -> Arguments:
    """From the command line; ends the process where it is wrong. description: the baseline's docstring."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True, help="processes that diagnose")
    parser.add_argument("--var", type=Path, required=True, help="the folder for audio and records")
    found = parser.parse_args()
    return Arguments(found.port, found.workers, found.var.absolute())
