"""The YAML beside a model that was made elsewhere: what an ONNX file does not say, and a release must.

labels: [negative, positive]
cough_threshold: 0.5          # from this probability on a segment is a cough
uncertain_threshold: 0.3      # optional; from here on it may be one
threshold_low: 0.5            # of the class `positive`
threshold_high: 0.5
validated: false              # may the class be relied on?
preprocess:                   # the first three sections of config.yml, as it was trained with
  segmentation: {...}
  mel_spec: {...}
  color_spec: {...}
figures:                      # may be []; low and high bound the 95 % interval and may be null
  - {name: recording_auc, value: 0.97, low: 0.95, high: 0.99, source: "212 recordings of ward 3, 2025"}
source: {trained_by: "...", data: "...", licence: "..."}
operating_point: {}           # optional; as in runtime.model_facts
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from export.errors import OwnModelError
from preprocess.color import ColorSpecParams
from preprocess.mel import MelSpecParams
from preprocess.segment import SegmentationParams
from runtime.config import digest, load_config, preprocess_parameters, read_section
from runtime.contract import require_same_parameters
from runtime.errors import ConfigError, ParametersDiffer
from runtime.model_facts import LABELS, ModelFacts, is_operating_point

Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

_SHOWN = 60  # characters of a wrong value


class _Section(BaseModel):
    """3 is accepted as 3.0, but no other type is converted; NaN is no number; no key may be unknown."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)


class Figure(_Section):
    """One measurement. low, high: the bounds of its 95 % interval; source: on what it was measured, in words."""

    name: Text
    value: float
    low: float | None
    high: float | None
    source: Text


class Source(_Section):
    """Who trained the model on what, and under which licence it may be used, in words."""

    trained_by: Text
    data: Text
    licence: Text


class _Preprocess(_Section):
    segmentation: dict[str, Any]
    mel_spec: dict[str, Any]
    color_spec: dict[str, Any]


class Description(_Section):
    """The whole document; the module's docstring says what each key is."""

    labels: list[str]
    cough_threshold: Share
    uncertain_threshold: Share | None = None
    threshold_low: Share
    threshold_high: Share
    validated: bool
    preprocess: _Preprocess
    figures: list[Figure]
    source: Source
    operating_point: dict[str, Any] = Field(default_factory=dict)

    def facts(self, model: bytes) -> ModelFacts:
        """model: the ONNX file, whose SHA-256 stands for the checkpoint's. The data are elsewhere, so the digest of
        `source` stands for theirs.
        """
        uncertain = self.cough_threshold if self.uncertain_threshold is None else self.uncertain_threshold
        return ModelFacts(
            labels=tuple(self.labels),
            preprocess=preprocess_parameters(*load_config()),  # equal to the document's: read_description
            cough_threshold=self.cough_threshold,
            uncertain_threshold=uncertain,
            threshold_low=self.threshold_low,
            threshold_high=self.threshold_high,
            validated=self.validated,
            checkpoint_sha256=hashlib.sha256(model).hexdigest(),
            data_sha256=digest(self.source.model_dump()),
            operating_point=self.operating_point,
        )


def read_description(path: Path) -> Description:
    """Raises: OwnModelError naming the file and every key that is missing, unknown or of another type, else the first
    value that can't be; ConfigError of this service's config.yml.
    """
    try:
        description = Description.model_validate(_document(path))
    except ValidationError as error:
        raise OwnModelError(f"{path.name}: {'; '.join(_problems(error))}.") from error
    for problem in _wrong_values(description):
        raise OwnModelError(f"{path.name}: {problem}.")
    _require_our_parameters(description.preprocess, path)
    return description


def _document(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise OwnModelError(
            f"{path.name} is not there: describe the model in it (docs/export.md has an example), or name another "
            "file by FACTS=."
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise OwnModelError(f"{path.name} can't be read ({reason}): mend that and run it again.") from error
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise OwnModelError(f"{path.name} is not valid YAML{where}: correct it.") from error
    if not isinstance(document, dict):
        raise OwnModelError(f"{path.name} holds no keys: describe the model in it (docs/export.md has an example).")
    return {str(key): value for key, value in document.items()}


def _problems(error: ValidationError) -> Iterator[str]:
    """Each with its key and without a full stop."""
    kinds = {
        "string_type": "a text",
        "bool_type": "true or false",
        "list_type": "a list",
        "dict_type": "a section",
        "model_type": "a section",
        "string_too_short": "a text that says something",
        "greater_than_equal": "a share between 0 and 1",
        "less_than_equal": "a share between 0 and 1",
    }
    for wrong in error.errors(include_url=False):
        place = ".".join(map(str, wrong["loc"]))
        if wrong["type"] == "missing":
            yield f"{place} is missing: add it"
        elif wrong["type"] == "extra_forbidden":
            yield f"{place} is not a key of this document: remove it"
        else:
            kind = kinds.get(wrong["type"], "a number")
            yield f"{place} is {_short(wrong['input'])}, which is not {kind}: correct it"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."


def _wrong_values(found: Description) -> Iterator[str]:
    """What no type forbids, each without a full stop."""
    if tuple(found.labels) != LABELS:
        yield (
            f"labels are {', '.join(found.labels) or 'none'}, but a diagnosis has {', '.join(LABELS)}, in this order: "
            "train on these, or put the outputs into that order"
        )
    if found.uncertain_threshold is not None and found.uncertain_threshold > found.cough_threshold:
        yield "uncertain_threshold is above cough_threshold: lower it, or leave it out"
    if found.threshold_low > found.threshold_high:
        yield "threshold_low is above threshold_high: exchange them"
    if not found.validated and found.threshold_low != found.threshold_high:
        yield "threshold_low and threshold_high differ, which only a validated model may have: make them equal"
    if not is_operating_point(found.operating_point):
        yield (
            "operating_point needs recording_sensitivity and recording_false_alarms with value, low and high between "
            "0 and 1 and a source in words, or null: correct it or leave it out"
        )
    names = [figure.name for figure in found.figures]
    for figure in found.figures:
        if names.count(figure.name) > 1:
            yield f"figures has {figure.name} twice: give one of them another name"
        low, high = (figure.value if bound is None else bound for bound in (figure.low, figure.high))
        if not low <= figure.value <= high:
            yield f"figures has {figure.name} outside its own interval: correct it"


def _require_our_parameters(preprocess: _Preprocess, path: Path) -> None:
    """One front end prepares spectrograms for every model in one way. Raises: OwnModelError, ConfigError."""
    given = {f"preprocess.{name}": section for name, section in preprocess.model_dump().items()}
    try:
        theirs = (
            read_section(given, "preprocess.segmentation", SegmentationParams, path),
            read_section(given, "preprocess.mel_spec", MelSpecParams, path),
            read_section(given, "preprocess.color_spec", ColorSpecParams, path),
        )
    except ConfigError as error:
        raise OwnModelError(str(error)) from error
    try:
        require_same_parameters(preprocess_parameters(*theirs), preprocess_parameters(*load_config()))
    except ParametersDiffer as error:
        raise OwnModelError(
            f"{path.name}: preprocess.{error.field} is {error.expected!r}, but config.yml of this service has "
            f"{error.found!r}, and one front end prepares spectrograms in one way: train with these parameters, or "
            "change config.yml for all models."
        ) from error
