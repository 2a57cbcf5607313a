"""What the figures were measured on: processor, cores, memory, system; no name and no path of the machine."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from runtime.config import MODEL_REPOSITORY

_PACKAGES = ("fastapi", "uvicorn", "librosa", "av", "soundfile", "onnxruntime", "tritonclient")


def machine() -> dict[str, str | int | float]:
    """For the JSON and the page."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _first("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"Linux {platform.release()}",
        "python": platform.python_version(),
        "load_before": round(os.getloadavg()[0], 2),
        "model": json.loads((MODEL_REPOSITORY / "manifest.json").read_text())["release"],
        **{name: version(name) for name in _PACKAGES},
    }


def differs(before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    """Names of what makes figures of both not comparable."""
    varying = ("date", "load_before")
    return sorted(name for name in now if name not in varying and before.get(name) != now[name])


def _first(path: str, key: str) -> str:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return "unknown"
