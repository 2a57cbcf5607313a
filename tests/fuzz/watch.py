"""What is read of the front end's processes while it is fuzzed: their memory and CPU time, its metrics, its log."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from pathlib import Path

import httpx

from tests.fuzz.damage import MARK
from tests.integration.processes import FrontEnd

MIB = 2**20
_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")
# As they stand, as JSON writes them, and as a path has them.
_MARKS = (MARK.decode(), MARK.hex(), "%63%34")


def memory_bytes(pid: int) -> int:
    """Resident memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) * 1024 if found else 0


def cpu_s(pids: list[int]) -> float:
    """CPU time of these processes together; one that has ended counts nothing."""
    total = 0.0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) * _TICK_S
    return total


def metrics(one: FrontEnd) -> str:
    return httpx.get(f"http://127.0.0.1:{one.metrics_port}/metrics", trust_env=False, timeout=60.0).text


def by_label(text: str, name: str) -> dict[str, float]:
    """Samples of a metric with one label, those that are not 0."""
    found = re.findall(rf'^{name}\{{\w+="([^"]*)"\}} (\S+)$', text, re.MULTILINE)
    return {label: float(value) for label, value in found if float(value)}


def lag_s(text: str, quantile: float) -> float:
    """The event loop's lag: the end of the bucket that holds this quantile."""
    buckets = re.findall(r'^tosia_event_loop_lag_seconds_bucket\{le="([^"]*)"\} (\S+)$', text, re.MULTILINE)
    total = float(buckets[-1][1])
    return next(float(end) for end, count in buckets if float(count) >= quantile * total)


def log_troubles(log: str) -> Counter[str]:
    """What no log may hold, by kind; nothing of the log itself."""
    troubles: Counter[str] = Counter()
    for line in log.splitlines():
        if any(mark in line for mark in _MARKS):
            troubles["the log holds what a caller sent"] += 1
        if "Traceback" in line:
            troubles["a traceback in the log"] += 1
        try:
            entry = json.loads(line)
        except ValueError:
            troubles["a line of the log is not of ours"] += 1
            continue
        if entry["level"] in ("ERROR", "CRITICAL"):
            troubles[f"an error in the log: {entry['logger']}"] += 1
    return troubles
