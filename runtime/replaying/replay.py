"""Repeat a diagnosis from its record: is the answer the same, field by field?

A record is a Diagnosis as JSON, or a call's record with a Diagnosis under `diagnosis`. Segments and the digest of the
uint8 spectrograms must be identical, scores within SCORE_TOLERANCE. Fields about the origin of the answer are also
compared, because they may explain a difference. If only the digest differs, the answer can still be the same, for two
reasons: a decoder computes otherwise on other processors, or a rule of the signal path has changed since the record
was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

from preprocess.decode import decode
from runtime.classify import Classifier
from runtime.conclude import conclude
from runtime.config import load_limits
from runtime.diagnosis import Diagnosis, diagnosis_from_dict
from runtime.errors import RecordUnreadable
from runtime.execute import classifier_from_environment, execute
from runtime.prepare import prepare
from runtime.replaying.rounding import recorded_levels
from runtime.replaying.rule_changes import changed_since
from runtime.work_unit import WorkUnit

SCORE_TOLERANCE = 1e-4  # between runtimes and machines, for the same levels; on one machine scores are equal
# For levels that moved by one: the largest difference of scores that is examined at all, and the largest that is
# accepted if the recorded levels can't be found. One level was observed to move a score by 5e-4.
LEVEL_TOLERANCE, UNPROVED_TOLERANCE = 1e-2, 1e-3

_ALWAYS = ("model", "preprocess_sha256", "software_version")
_MADE_BY = (*_ALWAYS, "processor")
# The largest change of the audio's measures by decoders that compute otherwise on other processors. The noise floor
# between coughs may consist of their rounding only, hence the first value.
_MEASURES = {"audio.snr_db": 0.1, "audio.clipped_fraction": 1e-3, "audio.bandwidth_hz": 32.0}

# Of the audio; None in older records.
_SINCE_0_3_0 = ("parts", "track", "tracks", "pauses_s", "lost_s")
_SINCE_0_4_0 = ("tones", "hum_hz", "hum_db")
_ABSENT: dict[str, Any] = {"timings_ms": {}}  # other absent fields are None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One field.

    same: identical, for scores within SCORE_TOLERANCE; binding: whether a difference makes another answer
    """

    field: str
    recorded: Any
    found: Any
    same: bool
    binding: bool = True


class Verdict(StrEnum):
    """The verdict. IDENTICAL: equal segments and levels, to the bit. The next two are also the same answer; the last is
    another answer.
    """

    IDENTICAL = "identical"
    WITHIN_ROUNDING = "within rounding"
    RULE_CHANGED = "rule changed"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Replay:
    """The result. comparisons: every field; why: sentences that explain the verdict."""

    verdict: Verdict
    comparisons: list[Comparison]
    why: tuple[str, ...] = ()


def read_record(text: str) -> dict[str, Any]:
    """Return the diagnosis in a record. Raises: RecordUnreadable."""
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
        _check_types(document)
        known = {field.name: document.get(field.name, _ABSENT.get(field.name)) for field in fields(Diagnosis)}
        return diagnosis_from_dict(known).to_dict()
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise RecordUnreadable(
            "The record's fields are not those of a diagnosis: give it as it was answered."
        ) from error


def _check_types(document: dict[str, Any]) -> None:
    """Check the types of the fields that a replay uses. Raises: TypeError."""
    near = document.get("near_threshold") or {"margin": 0.0, "segments": [], "class_probability": False}
    digests = [segment.get("spectrogram_crc32") for segment in document["segments"]]
    typed = (
        isinstance(document["software_version"], str)
        and isinstance(document.get("processor"), str | None)
        and all(isinstance(digest, str | None) for digest in digests)
        and _is_number(near["margin"])
        and all(isinstance(segment, int) for segment in near["segments"])
        and isinstance(near["class_probability"], bool)
    )
    if not typed:
        raise TypeError


def replay(recorded: dict[str, Any], work: WorkUnit, classifier: Classifier | None = None) -> Replay:
    """Diagnose the recording again and compare. recorded: from `read_record`; classifier: as in `execute`.

    Raises: as `execute`.
    """
    classifier = classifier or classifier_from_environment()
    work = replace(work, source_file=work.read())
    diagnosis = execute(work, classifier)
    comparisons = compare(recorded, diagnosis)
    differing = [comparison for comparison in comparisons if comparison.binding and not comparison.same]
    if not differing:
        return Replay(Verdict.IDENTICAL, comparisons)
    rules = [
        rule
        for rule in changed_since(recorded["software_version"])
        if any(rule.fields.intersection(_rule_fields(item.field)) for item in differing)
    ]
    told = [f"Changed with version {rule.since}: {rule.what}." for rule in rules]
    different = Replay(Verdict.DIFFERENT, comparisons, (*told, *_near_thresholds(recorded, diagnosis)))
    made_alike = recorded["preprocess_sha256"] == diagnosis.preprocess_sha256 and (
        recorded["model"]["sha256"] == diagnosis.model.sha256
    )
    # A codec has another name: no level follows from that.
    moved = [difference for difference in differing if not (rules and difference.field == "audio.codec")]
    if not made_alike or not all(_follows_from_levels(item, LEVEL_TOLERANCE) for item in moved):
        return different
    if not moved:
        return _explained(Verdict.RULE_CHANGED, comparisons, differing, told)
    exact = decode(work.read(), load_limits()[1].decode, work.container).exact
    if not rules and (exact or not _may_round_differently(recorded["processor"], diagnosis.processor)):
        return different
    found = _found_levels(recorded, diagnosis, work, classifier)
    if found is None and not (rules and all(_follows_from_levels(item, UNPROVED_TOLERANCE) for item in moved)):
        return different
    told.append(
        found
        or "Which levels moved can't be told from the digest alone; segments and decision are equal, "
        f"scores within {UNPROVED_TOLERANCE:g}."
    )
    if not rules:
        told.append(
            f"The decoder of {diagnosis.audio.codec} computes otherwise on other processors: recorded on "
            f"{recorded['processor'] or 'an unknown one'}, repeated on {diagnosis.processor}."
        )
    return _explained(Verdict.RULE_CHANGED if rules else Verdict.WITHIN_ROUNDING, comparisons, differing, told)


def _explained(verdict: Verdict, comparisons: list[Comparison], differing: list[Comparison], told: list[str]) -> Replay:
    explained = [replace(item, binding=item.binding and item not in differing) for item in comparisons]
    return Replay(verdict, explained, tuple(told))


def _rule_fields(field: str) -> set[str]:
    """Return the names under which a rule may hold a field: scores of a candidate follow from its levels."""
    return {field, "spectrogram_sha256"} if field.startswith("segments[") else {field}


def _found_levels(recorded: dict[str, Any], diagnosis: Diagnosis, work: WorkUnit, classifier: Classifier) -> str | None:
    """Return a sentence if levels that differ only by rounding have the recorded digests and the recorded scores."""
    quality_limits, limits = load_limits()
    found = recorded_levels(
        work.read(),
        diagnosis,
        recorded["spectrogram_sha256"],
        [segment["spectrogram_crc32"] for segment in recorded["segments"]],
        work.mel_spec_params,
        work.color_spec_params,
        limits.decode,
        work.container,
    )
    if found is None:
        return None
    levels, moved = found
    params = (work.segmentation_params, work.mel_spec_params, work.color_spec_params)
    prepared = prepare(work.read(), *params, limits.decode, work.container)
    chosen = tuple(channel for channel in prepared.channels if channel.channel == diagnosis.audio.channel)
    prepared = replace(prepared, channels=chosen, spectrograms=levels)
    scores, contract = classifier.classify(levels), classifier.contract()
    again = conclude(prepared, scores, contract, quality_limits, limits.min_coughs, 0.0)
    if not all(item.same or not item.binding or _is_rounded_measure(item) for item in compare(recorded, again)):
        return None
    return f"{moved} of {levels.size} levels differ by one; with the recorded ones the scores are the recorded ones."


def _may_round_differently(recorded_on: str | None, repeated_on: str | None) -> bool:
    """Whether decoders may differ; between processors with AVX2 and FMA no decoder was observed to differ."""
    return not {recorded_on, repeated_on} <= {"x86-64-v3", "x86-64-v4"}


def _follows_from_levels(one: Comparison, tolerance: float) -> bool:
    """Whether a few levels that moved by one, or samples with other last bits, can cause this difference."""
    if one.field == "spectrogram_sha256":
        return True
    if one.field == "result" or one.field.endswith(("cough_probability", "class_probabilities")):
        return _alike(one.recorded, one.found, tolerance)
    return _is_rounded_measure(one)


def _is_rounded_measure(one: Comparison) -> bool:
    """Whether samples with other last bits can cause this difference of an audio measure."""
    most = _MEASURES.get(one.field)
    numbers = _is_number(one.recorded) and _is_number(one.found)
    return most is not None and numbers and abs(one.recorded - one.found) <= most


def _near_thresholds(recorded: dict[str, Any], diagnosis: Diagnosis) -> Iterator[str]:
    """Yield the reasons why a decision may have changed without an error."""
    for said, near in (("recorded", recorded["near_threshold"]), ("found now", diagnosis.to_dict()["near_threshold"])):
        if near and (near["segments"] or near["class_probability"]):
            places = [f"candidate {n}" for n in near["segments"]] + ["the class"] * near["class_probability"]
            yield (
                f"Scores {said} lie within {near['margin']:g} of their threshold ({', '.join(places)}), "
                "and may fall on the other side of it on another processor."
            )


def compare(recorded: dict[str, Any], diagnosis: Diagnosis) -> list[Comparison]:
    """Compare every field of a record with the new diagnosis. Timings always differ and are left out."""
    return list(_compare(recorded, diagnosis.to_dict()))


def _compare(recorded: dict[str, Any], found: dict[str, Any]) -> Iterator[Comparison]:
    for name in ("status", "reasons"):
        yield Comparison(name, recorded[name], found[name], recorded[name] == found[name])
    yield _scores("result", recorded["result"], found["result"])
    yield from _segments(recorded["segments"], found["segments"])
    for name in sorted(recorded["audio"].keys() | found["audio"].keys()):
        before, now = recorded["audio"].get(name), found["audio"].get(name)
        known = before is not None or name not in _SINCE_0_3_0
        if name in _SINCE_0_4_0:  # where `tones` is None, the record says nothing of hum either
            known = recorded["audio"].get("tones") is not None
        yield replace(_scores(f"audio.{name}", before, now), binding=known)
    name = "spectrogram_sha256"
    yield Comparison(name, recorded[name], found[name], recorded[name] == found[name])
    for name in _MADE_BY:
        yield Comparison(name, recorded[name], found[name], recorded[name] == found[name], binding=False)


def _segments(recorded: list[dict[str, Any]], found: list[dict[str, Any]]) -> Iterator[Comparison]:
    spans = [[[segment["start_s"], segment["end_s"]] for segment in segments] for segments in (recorded, found)]
    yield Comparison("segments", spans[0], spans[1], spans[0] == spans[1])
    if len(recorded) != len(found):
        return
    for number, (before, now) in enumerate(zip(recorded, found, strict=True)):
        for name in ("cough_probability", "is_cough", "class_probabilities"):
            yield _scores(f"segments[{number}].{name}", before[name], now[name])


def _scores(field: str, recorded: Any, found: Any) -> Comparison:
    return Comparison(field, recorded, found, _alike(recorded, found))


def _alike(recorded: Any, found: Any, tolerance: float = SCORE_TOLERANCE) -> bool:
    """Whether all numbers, at any depth, are within the tolerance, and all other values are equal."""
    if isinstance(recorded, dict) and isinstance(found, dict):
        return recorded.keys() == found.keys() and all(_alike(recorded[key], found[key], tolerance) for key in recorded)
    if _is_number(recorded) and _is_number(found) and float in (type(recorded), type(found)):
        return bool(abs(recorded - found) <= tolerance)
    return bool(recorded == found)


def _is_number(value: Any) -> bool:
    """Whether a value is a number; JSON writes 1.0 as 1 in some places."""
    return isinstance(value, int | float) and not isinstance(value, bool)
