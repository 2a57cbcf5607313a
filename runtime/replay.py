"""Repeat a diagnosis from its record: is the answer the same, field by field?

A record is a Diagnosis as JSON, or a call's record that holds one under `diagnosis`. Segments and the digest of the uint8
spectrograms must be identical, scores within SCORE_TOLERANCE; fields that say what made the answer are compared, too, so that a
difference explains itself. The digest alone may differ, and the answer is still the same, for two reasons: a decoder that
computes otherwise on other processors, or a rule of the signal path that has changed since the record was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from preprocess.decode import decode
from runtime.classify import Classifier
from runtime.config import load_limits
from runtime.diagnosis import Diagnosis, diagnosis_from_dict
from runtime.errors import RecordUnreadable
from runtime.execute import execute
from runtime.rounding import MAX_SHARE, moved_levels
from runtime.rules import changed_since
from runtime.work_unit import WorkUnit

SCORE_TOLERANCE = 1e-4  # between runtimes and machines; on one they are equal

_ALWAYS = ("model", "preprocess_sha256", "software_version")
_MADE_BY = (*_ALWAYS, "processor")
# How far decoders that compute otherwise on other processors move what is measured of the audio. The noise floor between
# coughs may be their rounding alone, hence the first.
_MEASURES = {"audio.snr_db": 0.1, "audio.clipped_fraction": 1e-3, "audio.bandwidth_hz": 32.0}

_ABSENT: dict[str, Any] = {"timings_ms": {}}  # what else may be absent is None then


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field. same: identical, for scores within SCORE_TOLERANCE; binding: whether a difference makes another answer."""

    field: str
    recorded: Any
    found: Any
    same: bool
    binding: bool = True


class Verdict(StrEnum):
    """IDENTICAL: segments and levels to the bit. The next two are the same answer as well; the last is another one."""

    IDENTICAL = "identical"
    WITHIN_ROUNDING = "within rounding"
    RULE_CHANGED = "rule changed"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Replay:
    """comparisons: every field; why: sentences that explain the verdict."""

    verdict: Verdict
    comparisons: list[Comparison]
    why: tuple[str, ...] = ()


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
    wanted = ("status", "reasons", "result", "segments", "audio", "spectrogram_sha256", *_ALWAYS)
    missing = [name for name in wanted if name not in document] if isinstance(document, dict) else ["segments"]
    if missing:
        raise RecordUnreadable(f"The record lacks {missing[0]!r}: give a whole diagnosis or a call's record.")
    try:
        known = {one.name: document.get(one.name, _ABSENT.get(one.name)) for one in fields(Diagnosis)}
        return diagnosis_from_dict(known).to_dict()
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise RecordUnreadable(
            "The record's fields are not those of a diagnosis: give it as it was answered."
        ) from error


def replay(recorded: dict[str, Any], work: WorkUnit, classifier: Classifier | None = None) -> Replay:
    """Diagnose the recording again and compare. recorded: as `read_record` gives it; classifier: as `execute` takes it.

    Raises: as `execute`.
    """
    data = work.read()
    diagnosis = execute(replace(work, source_file=data), classifier)
    comparisons = compare(recorded, diagnosis)
    near = tuple(_near_thresholds(recorded, diagnosis))
    differing = {one.field for one in comparisons if one.binding and not one.same}
    if not differing:
        return Replay(Verdict.IDENTICAL, comparisons)
    limits = load_limits()[1].decode
    exact = decode(data, limits).exact
    rounded = set() if exact else {one.field for one in comparisons if _is_rounded_measure(one)}
    rules = [one for one in changed_since(recorded["software_version"]) if differing <= one.fields | rounded]
    if not (rules or (not exact and differing <= rounded | {"spectrogram_sha256"})):
        return Replay(Verdict.DIFFERENT, comparisons, near)
    moved = moved_levels(
        data,
        diagnosis,
        recorded["spectrogram_sha256"],
        [one["spectrogram_crc32"] for one in recorded["segments"]],
        work.mel_spec_params,
        work.color_spec_params,
        limits,
    )
    count = f"{moved} of {_n_levels(diagnosis, work)} levels differ by one" if moved is not None else None
    explained = [replace(one, binding=one.binding and one.field not in differing) for one in comparisons]
    if rules:
        told = f"{count}." if count else "Which levels moved can't be told from the digest alone."
        return Replay(
            Verdict.RULE_CHANGED,
            explained,
            (*(f"Changed with version {one.since}: {one.what}." for one in rules), told),
        )
    if count is None:
        return Replay(Verdict.DIFFERENT, comparisons, near)
    made_on = recorded["processor"] or "an unknown processor"
    return Replay(
        Verdict.WITHIN_ROUNDING,
        explained,
        (
            f"{count} (at most {MAX_SHARE:.1%} may), segments and decision are equal: the decoder of {diagnosis.audio.codec} "
            f"computes otherwise on other processors. Recorded on {made_on}, repeated on {diagnosis.processor}.",
        ),
    )


def _is_rounded_measure(one: Comparison) -> bool:
    """Whether a measure of the audio moved by no more than samples do that differ in their last bits."""
    most = _MEASURES.get(one.field)
    numbers = _is_number(one.recorded) and _is_number(one.found)
    return most is not None and numbers and abs(one.recorded - one.found) <= most


def _n_levels(diagnosis: Diagnosis, work: WorkUnit) -> int:
    return len(diagnosis.segments) * work.mel_spec_params.n_mels * work.mel_spec_params.n_frames


def _near_thresholds(recorded: dict[str, Any], diagnosis: Diagnosis) -> Iterator[str]:
    """Why a decision may have flipped without anything being wrong."""
    for said, near in (("recorded", recorded["near_threshold"]), ("found now", diagnosis.to_dict()["near_threshold"])):
        if near and (near["segments"] or near["class_probability"]):
            places = [f"candidate {n}" for n in near["segments"]] + ["the class"] * near["class_probability"]
            yield (
                f"Scores {said} lie within {near['margin']:g} of their threshold ({', '.join(places)}), "
                "and may fall on the other side of it on another processor."
            )


def compare(recorded: dict[str, Any], diagnosis: Diagnosis) -> list[Comparison]:
    """Every field of a record against the diagnosis made now. Timings differ each time and are left out."""
    return list(_compare(recorded, diagnosis.to_dict()))


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
