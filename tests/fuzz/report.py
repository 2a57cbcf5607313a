"""What a run of fuzzing has shown, for docs/reliability.md: counts and kinds, never a body or what leads to one."""

from __future__ import annotations

import os
import platform
import textwrap
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from runtime.config import ROOT
from runtime.version import SOFTWARE_VERSION
from tests.fuzz.campaign import Found, Tally
from tests.fuzz.recordings import NAMES
from tests.fuzz.watch import MIB
from tests.reliability.ledger import markdown

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- make fuzz: from here -->", "<!-- make fuzz: to here -->"


def page(found: Found, minutes: float, seed: int) -> str:
    """The section between the marks."""
    # With the seed everybody could make the bodies that others' software can't stand.
    seed_told = f"seed {seed}" if not found.kept else "seed not told, since some of its bodies were kept"
    summary = [
        ("bodies", f"{found.bodies}"),
        ("what must not be", _counts(found.troubles) or "none"),
        ("accepted calls", _counts(found.calls)),
        ("workers ended", _counts(found.restarts) or "none"),
        ("connections ended", _counts(found.ended_connections) or "none"),
        ("memory of the front end, before and after", _mib(found.front_end_bytes)),
        ("memory of all workers, before and after", _mib(found.workers_bytes)),
        ("event loop lag, median and 99th percentile", " and ".join(f"{1000 * lag:g} ms" for lag in found.lag_s)),
        ("bodies kept, to be looked at", f"{found.kept}"),
    ]
    recordings = [_row(name, found.tallies[name]) for name in NAMES]
    others = {name: tally for name, tally in found.tallies.items() if name not in NAMES}
    return "\n\n".join(
        (
            f"{datetime.now(UTC):%Y-%m-%d}, version {SOFTWARE_VERSION}, {os.cpu_count()} cores "
            f"({platform.machine()}), {minutes:.0f} min, {seed_told}:",
            "\n".join(textwrap.fill(f"- {what}: {told}", 120, subsequent_indent="  ") for what, told in summary),
            markdown(
                ("recording", "bodies", "diagnosed", "undecodable", "other refusals", "workers", "CPU s", "wall s"),
                recordings,
            ),
            markdown(
                ("request", "bodies", "answers"),
                [(name, str(tally.bodies), _counts(_by_status(tally))) for name, tally in sorted(others.items())],
            ),
        )
    )


def write(text: str, path: Path = PAGE) -> None:
    """Put it between the marks of the page."""
    before, _, rest = path.read_text("utf-8").partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")


def _row(name: str, tally: Tally) -> tuple[str, ...]:
    diagnosed = sum(tally.answers[status] for status in ("200", "201", "202"))
    undecodable = tally.answers["422 undecodable_audio"]
    others = sum(tally.answers.values()) - diagnosed - undecodable
    slowest = (f"{tally.slowest_cpu_s:.2f}", f"{tally.slowest_wall_s:.2f}")
    return name, str(tally.bodies), str(diagnosed), str(undecodable), str(others), str(tally.ended), *slowest


def _by_status(tally: Tally) -> Counter[str]:
    found: Counter[str] = Counter()
    for answer, count in tally.answers.items():
        found[answer.split()[0]] += count
    return found


def _counts(counts: dict[str, float] | Counter[str]) -> str:
    return ", ".join(f"{name}: {count:.0f}" for name, count in sorted(counts.items()))


def _mib(both: tuple[int, int]) -> str:
    return " and ".join(f"{size / MIB:.0f} MiB" for size in both)
