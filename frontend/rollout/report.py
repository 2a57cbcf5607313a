"""What would change with a candidate: stored calls as the serving release answered them, and as the candidate does.

Shares have Wilson's 95 % interval (E. B. Wilson, JASA 22, 1927). Differences between the two releases are of the same
calls, so their interval is that of the mean of a call's differences.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frontend.configuration.tuning import RolloutSettings
from frontend.rollout.compare import SAME_SEGMENT_S, Comparison, compare
from runtime.diagnosis import Status

_Z = 1.959964  # of a normal distribution's central 95 %
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_SCORES = ("cough_probability", "probability")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pair:
    """One call: the candidate's diagnosis and the serving release's, as stored."""

    call_id: str
    candidate: Row
    serving: Row


def report(pairs: Sequence[Pair], settings: RolloutSettings) -> dict[str, Any]:
    """Return all that differs, only JSON's own types. settings: what counts as a shift and as slow"""
    compared = [(pair, compare(pair.candidate, pair.serving)) for pair in pairs]
    flips = [(pair, found) for pair, found in compared if found.flip]
    shifts = [pair for pair, found in compared if found.shift(settings.score_tolerance)]
    slow = sum(found.slow(settings.slow_factor, settings.slow_floor_ms) for _, found in compared)
    return {
        "calls": len(pairs),
        "flips": {
            **share(len(flips), len(pairs)),
            "by_status": _named((_change(pair, "status"), pair.call_id) for pair, one in flips if one.status_flip),
            "by_label": _named((_change(pair, "label"), pair.call_id) for pair, one in flips if one.label_flip),
        },
        "shifts": {**share(len(shifts), len(pairs)), "tolerance": settings.score_tolerance},
        "slow": share(slow, len(pairs)),
        "scores": {name: _scores(pairs, name) for name in _SCORES},
        "statuses": {status.value: _shares(pairs, _status, status.value) for status in Status},
        "labels": {label: _shares(pairs, _label, label) for label in _labels(pairs)},
        "by_channel": _groups(compared, "channel"),
        "by_codec": _groups(compared, "codec"),
        "segments": _segments(pairs),
    }


def suggested_bounds(found: dict[str, Any]) -> dict[str, float]:
    """Return bounds that a canary keeps which behaves like this report: the upper ends of the intervals, rounded up."""
    return {name: math.ceil(found[name]["high"] * 100.0) / 100.0 for name in ("flips", "shifts")}


def share(count: int, of: int) -> dict[str, Any]:
    """Return a share with Wilson's interval; without any calls it may be anything."""
    if not of:
        return {"count": 0, "of": 0, "share": None, "low": 0.0, "high": 1.0}
    part, square = count / of, _Z**2
    centre = (part + square / (2 * of)) / (1 + square / of)
    half = _Z * math.sqrt(part * (1 - part) / of + square / (4 * of**2)) / (1 + square / of)
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    # Rounding must not move an end past the share itself.
    low, high = 0.0 if not count else low, 1.0 if count == of else high
    return {"count": count, "of": of, "share": part, "low": low, "high": high}


def _label(row: Row) -> str:
    return str(row["result"]["label"]) if row["result"] else ""


def _status(row: Row) -> str:
    return str(row["status"])


def _labels(pairs: Sequence[Pair]) -> list[str]:
    return sorted({_label(row) for pair in pairs for row in (pair.candidate, pair.serving)} - {""})


def _change(pair: Pair, what: str) -> str:
    before, after = (_label(row) if what == "label" else row["status"] for row in (pair.serving, pair.candidate))
    return f"{before} -> {after}"


def _named(changes: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return each kind of change with its calls, the commonest first."""
    calls = defaultdict(list)
    for change, call_id in changes:
        calls[change].append(call_id)
    return {
        change: {"count": len(ids), "calls": ids}
        for change, ids in sorted(calls.items(), key=lambda item: -len(item[1]))
    }


def _shares(pairs: Sequence[Pair], of: Callable[[Row], str], value: str) -> dict[str, Any]:
    ours = np.array([of(pair.serving) == value for pair in pairs], dtype=np.float64)
    theirs = np.array([of(pair.candidate) == value for pair in pairs], dtype=np.float64)
    return {
        "serving": share(int(ours.sum()), len(pairs)),
        "candidate": share(int(theirs.sum()), len(pairs)),
        "difference": _difference(theirs - ours),
    }


def _scores(pairs: Sequence[Pair], name: str) -> dict[str, Any]:
    """Of `cough_probability`: each call's likeliest candidate; of `probability`: the call's, where both have one."""
    found = [(_score(pair.serving, name), _score(pair.candidate, name)) for pair in pairs]
    both = np.array([(ours, theirs) for ours, theirs in found if ours is not None and theirs is not None])
    if not len(both):
        return {"calls": 0}
    return {
        "calls": len(both),
        "serving": _distribution(both[:, 0]),
        "candidate": _distribution(both[:, 1]),
        "difference": _difference(both[:, 1] - both[:, 0]),
        "largest_change": float(np.abs(both[:, 1] - both[:, 0]).max()),
    }


def _score(row: Row, name: str) -> float | None:
    if name == "probability":
        return float(row["result"]["probability"]) if row["result"] else None
    return max((float(segment[name]) for segment in row["segments"]), default=None)


def _distribution(values: NDArray[np.float64]) -> dict[str, float]:
    found = np.quantile(values, _QUANTILES)
    return {f"p{quantile * 100:.0f}": float(value) for quantile, value in zip(_QUANTILES, found, strict=True)}


def _difference(values: NDArray[np.float64]) -> dict[str, float | None]:
    """Return a mean with its interval; without one where there are fewer than two calls."""
    if len(values) < 2:
        return {"mean": float(values.mean()) if len(values) else None, "low": None, "high": None}
    mean, half = float(values.mean()), _Z * float(values.std(ddof=1)) / math.sqrt(len(values))
    return {"mean": mean, "low": mean - half, "high": mean + half}


def _groups(compared: Sequence[tuple[Pair, Comparison]], name: str) -> dict[str, Any]:
    """Return the share of flips by a property of the recording."""
    calls, flips = Counter[str](), Counter[str]()
    for pair, found in compared:
        group = str(pair.serving["audio"][name])
        calls[group] += 1
        flips[group] += found.flip
    return {group: share(flips[group], count) for group, count in calls.most_common()}


def _segments(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return what changed in the segments: in how many calls, which came, went, or have other spectrograms.

    Diagnoses of before 0.4.0 hold no digest of a spectrogram: theirs are neither other nor the same.
    """
    calls = came = gone = other = same = 0
    for pair in pairs:
        theirs, ours = pair.candidate["segments"], pair.serving["segments"]
        match = {index: _nearest(segment, ours) for index, segment in enumerate(theirs)}
        matched = {index for index in match.values() if index is not None}
        came_here, gone_here = sum(index is None for index in match.values()), len(ours) - len(matched)
        known = [
            (theirs[index]["spectrogram_crc32"], ours[at]["spectrogram_crc32"])
            for index, at in match.items()
            if at is not None and "spectrogram_crc32" in ours[at]
        ]
        changed = sum(theirs_crc != ours_crc for theirs_crc, ours_crc in known)
        came, gone, other = came + came_here, gone + gone_here, other + changed
        same += len(known) - changed
        calls += bool(came_here or gone_here or changed)
    return {"calls": share(calls, len(pairs)), "came": came, "gone": gone, "other_spectrogram": other, "same": same}


def _nearest(segment: Row, others: Sequence[Row]) -> int | None:
    apart = [abs(other["start_s"] - segment["start_s"]) for other in others]
    nearest = min(range(len(apart)), key=apart.__getitem__, default=None)
    return nearest if nearest is not None and apart[nearest] <= SAME_SEGMENT_S else None
