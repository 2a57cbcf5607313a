"""Read config.yml: the parameters of the pipeline and the limits of the service."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml

from preprocess.color import ColorSpecParams, color_table
from preprocess.decode import DecodeLimits
from preprocess.mel import MelSpecParams
from preprocess.segment import SegmentationParams
from runtime.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
CONFIG_FILE = ROOT / "config.yml"
MODEL_REPOSITORY = ROOT / "model_repository"

_NARROWEST_DB = 2.0  # 256 levels in less are finer than preprocess.color tells apart

Parameters = tuple[SegmentationParams, MelSpecParams, ColorSpecParams]  # those that belong to the model

Params = TypeVar("Params")


@dataclass(frozen=True, slots=True)
class QualityLimits:
    """Cut-offs beyond which scores are not believed; units are in the names."""

    min_duration_s: float
    silent_peak_dbfs: float
    max_clipped_fraction: float
    min_snr_db: float
    min_bandwidth_hz: float
    max_dropout_fraction: float


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of anything is taken."""

    max_body_bytes: int
    max_duration_s: float
    min_sample_rate_hz: int
    max_sample_rate_hz: int
    max_channels: int
    min_coughs: int
    request_deadline_s: float
    worker_timeout_s: float
    max_in_flight: int
    max_in_flight_bytes: int
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
    """The three groups of parameters that belong to the model.

    Raises: ConfigError naming the file and the key.
    """
    document = _read(Path(path))
    segmentation = _section(document, "segmentation", SegmentationParams, Path(path))
    mel_spec = _section(document, "mel_spec", MelSpecParams, Path(path))
    color_spec = _section(document, "color_spec", ColorSpecParams, Path(path))
    _check_values(segmentation, mel_spec, color_spec, Path(path))
    return segmentation, mel_spec, color_spec


def load_limits(path: str | Path = CONFIG_FILE) -> tuple[QualityLimits, Limits]:
    """The quality cut-offs and the limits of the service.

    Raises: ConfigError naming the file and the key.
    """
    document = _read(Path(path))
    limits = _section(document, "limits", Limits, Path(path))
    if limits.retention_days < 1:
        raise ConfigError(
            f"{Path(path).name}: limits.retention_days is {limits.retention_days}: keep calls for a day or more."
        )
    if limits.max_in_flight_bytes < limits.max_body_bytes:
        raise ConfigError(
            f"{Path(path).name}: limits.max_in_flight_bytes is below limits.max_body_bytes, and the largest could "
            "never be taken."
        )
    return _section(document, "quality", QualityLimits, Path(path)), limits


def preprocess_parameters(
    segmentation: SegmentationParams, mel_spec: MelSpecParams, color_spec: ColorSpecParams
) -> dict[str, dict[str, Any]]:
    """The parameters as they are stored in the checkpoint and in the Triton model."""
    return {
        "segmentation": dataclasses.asdict(segmentation),
        "mel_spec": dataclasses.asdict(mel_spec),
        "color_spec": dataclasses.asdict(color_spec),
    }


@lru_cache(maxsize=8)
def parameters_sha256(segmentation: SegmentationParams, mel_spec: MelSpecParams, color_spec: ColorSpecParams) -> str:
    """`digest` of `preprocess_parameters`; what a release and a diagnosis name them by."""
    return digest(preprocess_parameters(segmentation, mel_spec, color_spec))


def canonical_json(value: object) -> str:
    """One spelling for each value, so that its digest means something."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(value: object) -> str:
    """SHA-256 of the canonical JSON, lower-case hexadecimal."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
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


def _section(document: dict[str, Any], name: str, kind: type[Params], path: Path) -> Params:
    values = document.get(name)
    if not isinstance(values, dict):
        raise ConfigError(f"{path.name} has no section {name!r}: add it.")
    fields = {field.name: field.type for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for unknown in values.keys() - fields.keys():
        raise ConfigError(f"{path.name}: {name}.{unknown} is not a parameter: remove it.")
    for missing in fields.keys() - values.keys():
        raise ConfigError(f"{path.name}: {name}.{missing} is missing: add it.")
    return kind(**{key: _typed(values[key], str(fields[key]), f"{path.name}: {name}.{key}") for key in fields})


def _typed(value: object, kind: str, where: str) -> object:
    """YAML's value as the dataclass declares it; 3 is taken for 3.0, but nothing is guessed beyond that."""
    if kind == "float" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "str" and isinstance(value, str):
        return value
    raise ConfigError(f"{where} is {value!r}, which is not a {kind}: correct it.")


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
