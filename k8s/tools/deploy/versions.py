"""k8s/versions.json: what the manifests were written for, with source and date."""

from __future__ import annotations

import json
from functools import cache

from k8s.tools.deploy.environment import CHECKOUT
from k8s.tools.deploy.kubectl import Object

FILE = CHECKOUT / "k8s" / "versions.json"


@cache
def table() -> Object:
    found: Object = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def part(name: str) -> Object:
    """Return a row of `parts`."""
    found: Object = table()["parts"][name]
    return found


def release(text: str) -> tuple[int, int]:
    """Return (1, 36) for "1.36.2"."""
    major, minor = text.split(".")[:2]
    return int(major), int(minor)


def driver_is_enough(gpu: str) -> bool | None:
    """Whether a GPU type's driver is new enough for the CUDA of Triton's image; None: the table does not know."""
    row = table()["gpu_drivers"].get(gpu)
    needed = table()["cuda_needs_driver"].get(table()["triton"]["cuda"].split(".")[0])
    if row is None or needed is None:
        return None
    return _numbers(row["driver"]) >= _numbers(needed["driver"])


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(".")]
