"""What a candidate judges otherwise than the serving release, for one call: two stored diagnoses, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SAME_SEGMENT_S = 0.05  # two releases that prepare alike cut alike, to the sample; others may move an edge by frames


@dataclass(frozen=True, slots=True)
class Comparison:
    """The candidate's diagnosis against the serving release's.

    status_flip, label_flip: whether it differs; a label is only compared where both are `ok`
    score_change: the largest change of a score, 0.0 to 1.0: a candidate's cough probability, or the call's probability
    segments_differ: whether a segment of one has none of the other's beside it
    infer_ms: of the candidate and of the serving release; None where a diagnosis does not say
    """

    status_flip: bool
    label_flip: bool
    score_change: float
    segments_differ: bool
    infer_ms: tuple[float | None, float | None]

    @property
    def flip(self) -> bool:
        """Whether a caller would have been told something else."""
        return self.status_flip or self.label_flip

    def shift(self, tolerance: float) -> bool:
        """Whether a score moved by more than the tolerance, or a segment came or went."""
        return self.segments_differ or self.score_change > tolerance

    def slow(self, factor: float, floor_ms: float) -> bool:
        """Whether the candidate took `factor` times as long, and `floor_ms` longer."""
        candidate, serving = self.infer_ms
        if candidate is None or serving is None:
            return False
        return candidate > factor * serving and candidate > serving + floor_ms


def compare(candidate: dict[str, Any], serving: dict[str, Any]) -> Comparison:
    """Compare two diagnoses of one recording, both in the form of `runtime.diagnosis.Diagnosis.to_dict`.

    Raises: KeyError, TypeError where one has another form.
    """
    theirs, ours = candidate["result"], serving["result"]
    pairs, differ = _pairs(candidate["segments"], serving["segments"])
    changes = [abs(one["cough_probability"] - other["cough_probability"]) for one, other in pairs]
    if theirs and ours:
        changes.append(abs(theirs["probability"] - ours["probability"]))
    return Comparison(
        status_flip=candidate["status"] != serving["status"],
        label_flip=bool(theirs and ours and theirs["label"] != ours["label"]),
        score_change=max(changes, default=0.0),
        segments_differ=differ,
        infer_ms=(_infer_ms(candidate), _infer_ms(serving)),
    )


def _infer_ms(diagnosis: dict[str, Any]) -> float | None:
    value = diagnosis["timings_ms"].get("infer")
    return None if value is None else float(value)


def _pairs(
    theirs: list[dict[str, Any]], ours: list[dict[str, Any]]
) -> tuple[list[tuple[dict[str, Any], dict[str, Any]]], bool]:
    """Pair segments that begin together, both lists in order of time; the second value: whether any is left over."""
    pairs, left, right = [], 0, 0
    while left < len(theirs) and right < len(ours):
        apart = theirs[left]["start_s"] - ours[right]["start_s"]
        if abs(apart) <= SAME_SEGMENT_S:
            pairs.append((theirs[left], ours[right]))
        left += apart <= SAME_SEGMENT_S
        right += apart >= -SAME_SEGMENT_S
    return pairs, len(pairs) < max(len(theirs), len(ours))
