"""An operator's settings: config.yml < the operator's file < environment < command line, typed and checked.

The model's parameters (segmentation, mel_spec, color_spec) are not included: they are in the image's config.yml only.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import yaml
from pydantic import FiniteFloat, TypeAdapter, ValidationError

from frontend.configuration.deadlines_limits_intervals import (
    CONFIG_VARIABLE,
    FOR_EACH_CORE,
    OF_THE_MODEL,
    SECTIONS,
    SETTING_OF,
    SETTINGS,
)
from frontend.configuration.strays import without_strays
from runtime.config import CONFIG_FILE, Limits, QualityLimits, limits_problems, read_document, read_section
from runtime.errors import ConfigError

Number = int | float


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """Settings of the process; meanings are in table.py, defaults in config.yml, units in the names."""

    workers: int
    drain_seconds: float
    end_grace_s: float
    keep_alive_s: int
    sweep_every_s: float
    sweep_rest_factor: float
    orphan_age_s: float
    stuck_after_s: float
    reconcile_every_s: float


@dataclass(frozen=True, slots=True)
class RolloutSettings:
    """Bounds of a rollout; meanings are in table.py, defaults in config.yml, units in the names."""

    min_calls: int
    false_stops: float
    max_flip_share: float
    score_tolerance: float
    max_shift_share: float
    max_failure_share: float
    slow_factor: float
    slow_floor_ms: float
    max_slow_share: float
    candidate_timeout_s: float
    backlog_calls: int
    backlog_bytes: int
    poll_s: float


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """How messages of the intake queue are worked on; meanings are in table.py, defaults in config.yml."""

    visibility_s: int
    poll_s: float
    max_failures: int
    retry_pause_s: float


@dataclass(frozen=True, slots=True)
class CallbackLimits:
    """How messages to receivers are sent; meanings are in table.py, defaults in config.yml, units in the names."""

    timeout_s: float
    give_up_after_s: float
    at_once: int
    poll_s: float


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that differs from config.yml, and its source."""

    setting: str
    value: Number
    default: Number
    source: str


@dataclass(frozen=True, slots=True)
class Tuning:
    """All of an operator's settings. changes: the differences from config.yml, in the table's order"""

    quality: QualityLimits
    limits: Limits
    service: ServiceSettings
    rollout: RolloutSettings
    intake: IntakeLimits
    callbacks: CallbackLimits
    changes: tuple[Change, ...] = ()

    @property
    def worker_count(self) -> int:
        """The number of processes for decoding."""
        if self.service.workers == FOR_EACH_CORE:
            return len(os.sched_getaffinity(0))
        return self.service.workers

    @property
    def end_s(self) -> int:
        """Whole seconds that requests in work may take at shutdown: a little more than their deadline."""
        return math.ceil(self.limits.request_deadline_s + self.service.end_grace_s)


_KINDS: dict[str, type[Any]] = {
    "quality": QualityLimits,
    "limits": Limits,
    "service": ServiceSettings,
    "rollout": RolloutSettings,
    "intake": IntakeLimits,
    "callbacks": CallbackLimits,
}
_ADAPTERS: dict[str, TypeAdapter[Any]] = {"int": TypeAdapter(int), "float": TypeAdapter(FiniteFloat)}
_TYPES = {f"{section}.{key}": hint.__name__ for section, kind in _KINDS.items()
          for key, hint in get_type_hints(kind).items()}  # fmt: skip
_WHOLE = re.compile(r"-?[0-9]+")  # pydantic also accepts 2.0 and 1_0
_KIND_OF_NUMBER = {"int": "a whole number", "float": "a number"}
_Layer = dict[str, tuple[Number, str]]  # setting -> value and source


def image_tuning(path: Path = CONFIG_FILE) -> Tuning:
    """Return the values of the image's config.yml. Raises: ConfigError naming the file and the key."""
    document = read_document(path)
    sections = {name: read_section(document, name, kind, path) for name, kind in _KINDS.items()}
    return Tuning(**sections)


def read_tuning(
    environ: Mapping[str, str], command_line: Mapping[str, Number] | None = None, *, operators: str | None = None
) -> tuple[Tuning | None, list[str]]:
    """Return the settings and all errors, each without a full stop; None instead of the settings after an error.

    command_line: setting -> value, already of the right type
    operators: the text of the operator's file; by default the file in TOSIA_CONFIG is read
    """
    wrong: list[str] = []
    try:
        base = image_tuning()
    except ConfigError as error:
        return None, [str(error).removesuffix(".")]
    defaults = {
        f"{section}.{field.name}": getattr(getattr(base, section), field.name)
        for section, kind in _KINDS.items()
        for field in fields(kind)
    }
    layers: list[_Layer] = [
        {name: (value, CONFIG_FILE.name) for name, value in defaults.items()},
        _of_file(environ, operators, wrong),
        _of_environment(environ, wrong),
        {name: (value, SETTINGS[name].option or "the command line") for name, value in (command_line or {}).items()},
    ]
    merged: _Layer = {}
    for layer in layers:
        merged |= layer
    wrong += _beyond_bounds(merged)
    values = {name: value for name, (value, _) in merged.items()}
    changes = tuple(
        Change(name, values[name], defaults[name], merged[name][1])
        for name in SETTINGS
        if values[name] != defaults[name]
    )
    built = {section: kind(**_keys_of(section, values)) for section, kind in _KINDS.items()}
    tuning = Tuning(**built, changes=changes)
    wrong += _that_disagree(tuning)
    return (None if wrong else tuning), wrong


def _keys_of(section: str, values: Mapping[str, Number]) -> dict[str, Any]:
    start = f"{section}."
    return {name.removeprefix(start): value for name, value in values.items() if name.startswith(start)}


def _beyond_bounds(merged: _Layer) -> Iterator[str]:
    for name, (value, source) in merged.items():
        setting = SETTINGS[name]
        if setting.least is not None and value < setting.least:
            yield f"{source}: {name} is {value:g}: set it to {setting.least:g} or more"
        elif setting.most is not None and value > setting.most:
            yield f"{source}: {name} is {value:g}: set it to {setting.most:g} or less"


def _that_disagree(tuning: Tuning) -> Iterator[str]:
    limits = tuning.limits
    problems = [*limits_problems(limits)] if limits.retention_days >= 1 else []
    if limits.min_sample_rate_hz > limits.max_sample_rate_hz:
        problems.append("limits.min_sample_rate_hz is above limits.max_sample_rate_hz, and nothing could be taken")
    if tuning.service.stuck_after_s <= limits.worker_timeout_s:
        problems.append("service.stuck_after_s is not above limits.worker_timeout_s, which one recording may take")
    for problem in problems:
        named = [
            f"{change.setting} is set by {change.source}" for change in tuning.changes if change.setting in problem
        ]
        yield f"{problem} ({', '.join(named) or CONFIG_FILE.name})"


def _of_file(environ: Mapping[str, str], operators: str | None, wrong: list[str]) -> _Layer:
    """Read the operator's file; it needs only the values that differ."""
    name = without_strays(CONFIG_VARIABLE, environ.get(CONFIG_VARIABLE, ""), wrong)
    if operators is None and not name:
        return {}
    try:
        text = Path(name).read_text(encoding="utf-8") if operators is None else operators
        document = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        wrong.append(f"{CONFIG_VARIABLE} names {name}, which can't be read ({reason}): correct it, or leave it out")
        return {}
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        wrong.append(f"{name} is not valid YAML{f' at line {mark.line + 1}' if mark else ''}: correct it")
        return {}
    if document is None:  # only comments
        return {}
    if not isinstance(document, dict):
        wrong.append(f"{name} holds no sections: give it {', '.join(SECTIONS)} as in {CONFIG_FILE.name}")
        return {}
    found: _Layer = {}
    for section, values in document.items():
        if section in OF_THE_MODEL:
            wrong.append(f"{name}: {_belongs_to_the_model(section)}")
        elif section not in SECTIONS:
            wrong.append(f"{name}: {section} is no section: there are {', '.join(SECTIONS)}")
        elif not isinstance(values, dict):
            wrong.append(f"{name}: {section} holds no settings: give each as `key: value`, or take it away")
        else:
            for key, value in values.items():
                _take(f"{section}.{key}", value, name, found, wrong)
    return found


def _take(setting: str, value: object, file: str, found: _Layer, wrong: list[str]) -> None:
    if setting not in SETTINGS:
        wrong.append(f"{file}: {setting} is no setting: docs/settings.md lists them")
        return
    try:
        found[setting] = (_ADAPTERS[_TYPES[setting]].validate_python(value, strict=True), file)
    except ValidationError:
        before = len(wrong)
        if isinstance(value, str):
            without_strays(f"{file}: {setting}", value, wrong)
        if len(wrong) == before:
            wrong.append(f"{file}: {setting} is {value!r}, which is not {_KIND_OF_NUMBER[_TYPES[setting]]}: correct it")


def _of_environment(environ: Mapping[str, str], wrong: list[str]) -> _Layer:
    """Read the variables TOSIA_<SECTION>__<KEY>; an empty variable counts as not set."""
    found: _Layer = {}
    for variable, text in environ.items():
        section, separator, _ = variable.upper().removeprefix("TOSIA_").partition("__")
        if not separator or not variable.upper().startswith("TOSIA_"):
            continue
        if section.lower() in OF_THE_MODEL:
            wrong.append(f"{variable}: {_belongs_to_the_model(section.lower())}")
        elif variable not in SETTING_OF:
            wrong.append(f"{variable} is no setting: docs/settings.md lists them")
        elif value := without_strays(variable, text, wrong):
            setting = SETTING_OF[variable]
            try:
                if _TYPES[setting] == "int" and not _WHOLE.fullmatch(value):
                    raise ValueError
                found[setting] = (_ADAPTERS[_TYPES[setting]].validate_strings(value, strict=True), variable)
            except ValueError:  # pydantic's error is a ValueError
                kind = _KIND_OF_NUMBER[_TYPES[setting]]
                wrong.append(f"{variable} is {value!r}, which is not {kind}: correct it")
    return found


def _belongs_to_the_model(section: str) -> str:
    return (
        f"{section} belongs to the model, which was trained with it: it can't be set here, but only in "
        f"{CONFIG_FILE.name}, together with another model"
    )
