"""Read config.yml: the parameters of the pipeline and the limits of the service."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from preprocess.color import ColorSpecParams, color_table
from preprocess.decode import DecodeLimits
from preprocess.mel import MelSpecParams
from preprocess.segment import SegmentationParams
from runtime.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
CONFIG_FILE = ROOT / "config.yml"
MODEL_REPOSITORY = ROOT / "model_repository"

_NARROWEST_DB = 2.0  # preprocess.color can't distinguish 256 levels in a narrower range

Parameters = tuple[SegmentationParams, MelSpecParams, ColorSpecParams]  # the model's parameters

Params = TypeVar("Params")


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Cut-offs of quality; beyond them scores are not trusted. Units are in the names."""

    min_duration_s: float
    silent_peak_dbfs: float
    max_clipped_fraction: float
    min_snr_db: float
    min_snr_without_candidates_db: float
    min_bandwidth_hz: float
    max_dropout_fraction: float
    max_hum_db: float
    max_tone_fraction: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of the service; units are in the names."""

    max_body_bytes: int
    max_duration_s: float
    min_sample_rate_hz: int
    max_sample_rate_hz: int
    max_channels: int
    min_coughs: int
    request_deadline_s: float
    worker_timeout_s: float
    worker_cpu_s: float
    worker_memory_bytes: int
    max_in_flight: int
    max_in_flight_bytes: int
    max_key_share: float
    max_wait_s: float
    always_per_worker: int
    retention_days: int

    @property
    def decode(self) -> DecodeLimits:
        return DecodeLimits(
            max_duration_s=self.max_duration_s,
            min_sample_rate_hz=self.min_sample_rate_hz,
            max_sample_rate_hz=self.max_sample_rate_hz,
            max_channels=self.max_channels,
        )


def load_config(path: str | Path = CONFIG_FILE) -> Parameters:
    """Read the three groups of the model's parameters.

    Raises: ConfigError naming the file and the key.
    """
    return parameters_in(read_document(Path(path)), Path(path))


def parameters_in(document: dict[str, Any], path: Path) -> Parameters:
    """Return the three groups in a document: config.yml, or a release's `preprocess`. path: for messages

    Raises: ConfigError naming the file and the key.
    """
    segmentation = read_section(document, "segmentation", SegmentationParams, path)
    mel_spec = read_section(document, "mel_spec", MelSpecParams, path)
    color_spec = read_section(document, "color_spec", ColorSpecParams, path)
    _check_values(segmentation, mel_spec, color_spec, path)
    return segmentation, mel_spec, color_spec


def load_limits(path: str | Path = CONFIG_FILE) -> tuple[QualityLimits, Limits]:
    """Read the quality cut-offs and the limits of the service.

    Raises: ConfigError naming the file and the key.
    """
    document = read_document(Path(path))
    limits = read_section(document, "limits", Limits, Path(path))
    for problem in limits_problems(limits):
        raise ConfigError(f"{Path(path).name}: {problem}.")
    return read_section(document, "quality", QualityLimits, Path(path)), limits


def limits_problems(limits: Limits) -> Iterator[str]:
    """Yield the errors of limits from any source, each without a full stop."""
    if limits.retention_days < 1:
        yield f"limits.retention_days is {limits.retention_days}: keep calls for a day or more"
    if limits.max_in_flight_bytes < limits.max_body_bytes:
        yield "limits.max_in_flight_bytes is below limits.max_body_bytes, and the largest could never be taken"


def preprocess_parameters(
    segmentation: SegmentationParams, mel_spec: MelSpecParams, color_spec: ColorSpecParams
) -> dict[str, dict[str, Any]]:
    """Return the parameters in the form of the checkpoint and the Triton model."""
    return {
        "segmentation": {**dataclasses.asdict(segmentation), "band_edges_hz": list(segmentation.band_edges_hz)},
        "mel_spec": dataclasses.asdict(mel_spec),
        "color_spec": dataclasses.asdict(color_spec),
    }


@lru_cache(maxsize=8)
def parameters_sha256(segmentation: SegmentationParams, mel_spec: MelSpecParams, color_spec: ColorSpecParams) -> str:
    """Return the `digest` of `preprocess_parameters`; releases and diagnoses name the parameters by it."""
    return digest(preprocess_parameters(segmentation, mel_spec, color_spec))


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value, so that equal values have equal digests."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: object) -> str:
    """Return the SHA-256 of the canonical JSON, lower-case hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def read_document(path: Path) -> dict[str, Any]:
    """Read the file's sections, unchecked. Raises: ConfigError."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise ConfigError(f"{path.name} can't be read ({reason}): restore it from the repository.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{path.name} is not valid YAML{where}: correct it or restore it from the repository."
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path.name} holds no sections: restore it from the repository.")
    return document


def read_section(document: Mapping[str, Any], name: str, kind: type[Params], path: Path) -> Params:
    """Read one section of the file into the dataclass `kind`; every field must be present.

    Raises: ConfigError naming the file and every key that is missing, unknown or of another type.
    """
    values = document.get(name)
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} has no section {name!r}: add it.")
    try:
        given = {str(key): tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        model = strict_model(kind)(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ConfigError(f"{path.name}: {'; '.join(problems(error, name))}.") from error
    return kind(**{key: getattr(model, key) for key in type(model).model_fields})


@cache
def strict_model(kind: Any) -> type[BaseModel]:
    """Make a pydantic model of a dataclass: 3 is accepted as 3.0, but no other type is converted; NaN is no number."""
    types: dict[str, Any] = {key: (hint, ...) for key, hint in get_type_hints(kind).items()}
    config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
    return create_model(kind.__name__, __config__=config, **types)


def problems(error: ValidationError, section: str) -> Iterator[str]:
    """Yield a section's errors in plain words, each with its key and without a full stop."""
    kinds = {"model_type": "section", "int_type": "int", "string_type": "str"}
    for wrong in error.errors(include_url=False):
        place = ".".join((section, *map(str, wrong["loc"])))
        if wrong["type"] == "missing":
            yield f"{place} is missing: add it"
        elif wrong["type"] == "extra_forbidden":
            yield f"{place} is not a parameter: remove it"
        else:
            kind = kinds.get(wrong["type"], "int" if wrong["type"].startswith("int") else "float")
            yield f"{place} is {wrong['input']!r}, which is not a {kind}: correct it"


def _check_values(
    segmentation: SegmentationParams, mel_spec: MelSpecParams, color_spec: ColorSpecParams, path: Path
) -> None:
    positive = [(f"segmentation.{name}", getattr(segmentation, name)) for name in ("frame_ms", "hop_ms", "on_ratio")]
    positive += [
        (f"mel_spec.{name}", getattr(mel_spec, name))
        for name in ("sample_rate_hz", "n_fft", "hop_length", "n_mels", "n_frames")
    ]
    for name, value in positive:
        if value <= 0:
            raise ConfigError(f"{path.name}: {name} is {value}, which is not positive: correct it.")
    edges = segmentation.band_edges_hz
    if list(edges) != sorted(set(edges)) or not 0 <= min(edges, default=-1) < max(edges) <= mel_spec.sample_rate_hz / 2:
        raise ConfigError(
            f"{path.name}: segmentation.band_edges_hz do not rise from 0 or more to at most half of "
            "mel_spec.sample_rate_hz: correct them."
        )
    if not 0 <= 2 * segmentation.outer_bands < len(edges) - 1:
        raise ConfigError(f"{path.name}: segmentation.outer_bands leaves no band: correct it.")
    if segmentation.hop_ms * mel_spec.sample_rate_hz < 1000:
        raise ConfigError(f"{path.name}: segmentation.hop_ms is shorter than one sample: correct it.")
    if not 0 <= mel_spec.fmin_hz < mel_spec.fmax_hz <= mel_spec.sample_rate_hz / 2:
        raise ConfigError(f"{path.name}: mel_spec needs 0 <= fmin_hz < fmax_hz <= sample_rate_hz / 2: correct it.")
    if color_spec.min_db >= color_spec.max_db:
        raise ConfigError(f"{path.name}: color_spec.min_db is not below max_db: correct it.")
    if color_spec.max_db - color_spec.min_db < _NARROWEST_DB:
        raise ConfigError(f"{path.name}: color_spec.min_db is less than {_NARROWEST_DB:g} dB below max_db: correct it.")
    try:
        color_table(color_spec)
    except ValueError as error:
        raise ConfigError(f"{path.name}: {error}") from error
