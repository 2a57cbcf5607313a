"""The answer: the model's result for a recording, and whether it can be trusted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """`ok`: coughs were found and scored. The other three are never turned into "negative"."""

    OK = "ok"
    NO_COUGH = "no_cough"
    POOR_QUALITY = "poor_quality"
    INCONCLUSIVE = "inconclusive"


class Reason(StrEnum):
    """Why a status is what it is, or what to bear in mind; the list is closed."""

    TOO_SHORT = "too_short"
    SILENT = "silent"
    CLIPPED = "clipped"
    LOW_SNR = "low_snr"
    NARROWBAND = "narrowband"
    DROPOUTS = "dropouts"
    HUM = "hum"
    TONE = "tone"
    TRUNCATED = "truncated"
    TOO_FEW_COUGHS = "too_few_coughs"
    BETWEEN_THRESHOLDS = "between_thresholds"
    UNCERTAIN_COUGH = "uncertain_cough"
    UNVALIDATED_MODEL = "unvalidated_model"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Of the class probability: below `low` negative, from `high` on positive, between them inconclusive."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Result:
    """label: one of the model's; probability: of the last label (`positive`), the median over the coughs."""

    label: str
    probability: float
    thresholds: Thresholds
    validated: bool


@dataclass(frozen=True, slots=True)
class DiagnosedSegment:
    """One candidate.

    class_probabilities: by label in the model's order, None unless `is_cough`
    spectrogram_crc32: of its levels, so that a replay can say which candidates changed; None in records before 0.2.0
    """

    start_s: float
    end_s: float
    cough_probability: float
    is_cough: bool
    class_probabilities: dict[str, float] | None
    spectrogram_crc32: str | None = None


@dataclass(frozen=True, slots=True)
class HeardTone:
    """A beep or the like: one or two steady lines hold most of the power. frequencies_hz ascend."""

    start_s: float
    end_s: float
    frequencies_hz: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Audio:
    """The recording.

    duration_s: of what was heard, with the silence that stands for gaps
    channel: the one that was used (0 or 1) or `mix`; snr_db: None when undefined
    bandwidth_hz: at most 4000, half of the rate that the model hears; records before 0.4.0 may have more
    parts: files that were joined to this one, 1 for a plain file
    track: which of the file's `tracks` sound tracks was heard, from 0
    pauses_s: silence for time in which nothing was sent (DTX, a pause); lost_s: silence for what was sent and is lost
    parts, track, tracks, pauses_s, lost_s: None in records before 0.3.0
    tones: in order of their starts; None in records before 0.4.0
    hum_hz: 50 or 60 where mains hum runs through the recording; hum_db: its level over that of the loud moments; both
        None without hum and in records before 0.4.0
    """

    sha256: str
    duration_s: float
    sample_rate_hz: int
    codec: str
    channels: int
    channel: int | str
    snr_db: float | None
    clipped_fraction: float
    bandwidth_hz: float
    parts: int | None = None
    track: int | None = None
    tracks: int | None = None
    pauses_s: float | None = None
    lost_s: float | None = None
    tones: tuple[HeardTone, ...] | None = None
    hum_hz: int | None = None
    hum_db: float | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """The model that scored; sha256: of its ONNX file."""

    name: str
    version: str
    sha256: str
    validated: bool


@dataclass(frozen=True, slots=True)
class NearThreshold:
    """Which scores lie so near to a threshold that another processor may decide otherwise.

    margin: how near that is; segments: numbers of the candidates, from 0, whose `cough_probability` does
    class_probability: whether the median over the coughs does, be there a result or not
    """

    margin: float
    segments: tuple[int, ...]
    class_probability: bool


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A diagnosis record's content; `to_dict` is its JSON form.

    processor: the class of processor that prepared it, e.g. `x86-64-v3` (see `runtime.processor`)
    processor, near_threshold: None in records before 0.2.0
    """

    status: Status
    reasons: tuple[Reason, ...]
    result: Result | None
    segments: tuple[DiagnosedSegment, ...]
    audio: Audio
    model: Model
    preprocess_sha256: str
    spectrogram_sha256: str
    software_version: str
    timings_ms: dict[str, float]
    processor: str | None = None
    near_threshold: NearThreshold | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the record with only JSON's own types."""
        return {
            **fields_of(self),
            "status": self.status.value,
            "reasons": [reason.value for reason in self.reasons],
            "result": {**fields_of(self.result), "thresholds": fields_of(self.result.thresholds)}
            if self.result
            else None,
            "segments": [fields_of(segment) for segment in self.segments],
            "audio": {**fields_of(self.audio), "tones": _tones(self.audio)},
            "model": fields_of(self.model),
            "near_threshold": {**fields_of(self.near_threshold), "segments": list(self.near_threshold.segments)}
            if self.near_threshold
            else None,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    @property
    def coughs(self) -> tuple[DiagnosedSegment, ...]:
        return tuple(segment for segment in self.segments if segment.is_cough)


def _tones(audio: Audio) -> list[dict[str, Any]] | None:
    if audio.tones is None:
        return None
    return [{**fields_of(tone), "frequencies_hz": list(tone.frequencies_hz)} for tone in audio.tones]


def fields_of(one: Any) -> dict[str, Any]:
    """Return a dataclass' fields without copies; `dataclasses.asdict` also copies their contents and takes twenty times
    as long. `__match_args__` has the names of all fields that the constructor takes in their order.
    """
    return {name: getattr(one, name) for name in one.__match_args__}


def diagnosis_from_dict(document: dict[str, Any]) -> Diagnosis:
    """Invert `Diagnosis.to_dict`."""
    result, near = document["result"], document.get("near_threshold")
    tones = document["audio"].get("tones")
    return Diagnosis(
        **{
            **document,
            "status": Status(document["status"]),
            "reasons": tuple(Reason(reason) for reason in document["reasons"]),
            "result": Result(**{**result, "thresholds": Thresholds(**result["thresholds"])}) if result else None,
            "segments": tuple(DiagnosedSegment(**segment) for segment in document["segments"]),
            "audio": Audio(
                **{
                    **document["audio"],
                    "tones": None
                    if tones is None
                    else tuple(
                        HeardTone(**{**tone, "frequencies_hz": tuple(tone["frequencies_hz"])}) for tone in tones
                    ),
                }
            ),
            "model": Model(**document["model"]),
            "near_threshold": NearThreshold(**{**near, "segments": tuple(near["segments"])}) if near else None,
        }
    )
