"""Repeat a diagnosis from its record: is the answer the same, field by field?

A record is a Diagnosis as JSON, or a call's record that holds one under `diagnosis`. Segments and the digest of the uint8
spectrograms must be identical, scores within SCORE_TOLERANCE; fields that say what made the answer are compared, too, so that a
difference explains itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from runtime.diagnosis import Diagnosis, diagnosis_from_dict
from runtime.errors import RecordUnreadable

SCORE_TOLERANCE = 1e-4  # between runtimes and machines; on one they are equal

_MADE_BY = ("model", "preprocess_sha256", "software_version")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field. same: identical, for scores within SCORE_TOLERANCE; binding: whether a difference makes another answer."""

    field: str
    recorded: Any
    found: Any
    same: bool
    binding: bool = True


def read_record(text: str) -> dict[str, Any]:
    """The diagnosis in a record. Raises: RecordUnreadable."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordUnreadable(
            "The record is not JSON: give a file that `GET /v1/calls/{call_id}` answered."
        ) from error
    if isinstance(document, dict) and "diagnosis" in document:
        document = document["diagnosis"]
    if document is None:
        raise RecordUnreadable(
            "The record holds no diagnosis: the call was not diagnosed, so there is nothing to repeat."
        )
    wanted = ("status", "reasons", "result", "segments", "audio", "spectrogram_sha256", *_MADE_BY)
    missing = [name for name in wanted if name not in document] if isinstance(document, dict) else ["segments"]
    if missing:
        raise RecordUnreadable(f"The record lacks {missing[0]!r}: give a whole diagnosis or a call's record.")
    try:
        known = {one.name: document.get(one.name, {}) for one in fields(Diagnosis)}
        return diagnosis_from_dict(known).to_dict()
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise RecordUnreadable(
            "The record's fields are not those of a diagnosis: give it as it was answered."
        ) from error


def compare(recorded: dict[str, Any], diagnosis: Diagnosis) -> list[Comparison]:
    """Every field of a record against the diagnosis made now. Timings differ each time and are left out."""
    return list(_compare(recorded, diagnosis.to_dict()))


def is_repeated(comparisons: list[Comparison]) -> bool:
    """Whether the answer is the same."""
    return all(one.same for one in comparisons if one.binding)


def _compare(recorded: dict[str, Any], found: dict[str, Any]) -> Iterator[Comparison]:
    for name in ("status", "reasons"):
        yield Comparison(name, recorded[name], found[name], recorded[name] == found[name])
    yield _scores("result", recorded["result"], found["result"])
    yield from _segments(recorded["segments"], found["segments"])
    for name in sorted(recorded["audio"].keys() | found["audio"].keys()):
        yield _scores(f"audio.{name}", recorded["audio"].get(name), found["audio"].get(name))
    name = "spectrogram_sha256"
    yield Comparison(name, recorded[name], found[name], recorded[name] == found[name])
    for name in _MADE_BY:
        yield Comparison(name, recorded[name], found[name], recorded[name] == found[name], binding=False)


def _segments(recorded: list[dict[str, Any]], found: list[dict[str, Any]]) -> Iterator[Comparison]:
    spans = [[[one["start_s"], one["end_s"]] for one in segments] for segments in (recorded, found)]
    yield Comparison("segments", spans[0], spans[1], spans[0] == spans[1])
    if len(recorded) != len(found):
        return
    for number, (before, now) in enumerate(zip(recorded, found, strict=True)):
        for name in ("cough_probability", "is_cough", "class_probabilities"):
            yield _scores(f"segments[{number}].{name}", before[name], now[name])


def _scores(field: str, recorded: Any, found: Any) -> Comparison:
    return Comparison(field, recorded, found, _alike(recorded, found))


def _alike(recorded: Any, found: Any) -> bool:
    """Numbers within the tolerance, whatever holds them; everything else equal."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        return recorded.keys() == found.keys() and all(_alike(recorded[key], found[key]) for key in recorded)
    if _is_number(recorded) and _is_number(found) and float in (type(recorded), type(found)):
        return bool(abs(recorded - found) <= SCORE_TOLERANCE)
    return bool(recorded == found)


def _is_number(value: Any) -> bool:
    """JSON writes 1.0 as 1 at some places."""
    return isinstance(value, int | float) and not isinstance(value, bool)
