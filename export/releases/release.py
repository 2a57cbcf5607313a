"""Write a release: a whole repository directory that Triton loads, with a manifest of digests.

Written beside and renamed, so that an interruption leaves no release or a whole one. A release is never written again.
From one checkpoint, code and set of locked packages all files are the same bytes on every processor; in the manifest
`parity` holds what the gate measured, and `measured_on` where.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tritonclient.grpc import model_config_pb2 as pb

from export.errors import ReleaseError
from runtime.model_facts import ModelFacts
from export.parity import Parity
from export.triton_config import (
    CUDA_CONFIG,
    LABEL_FILE,
    PADDED_FILE,
    BuiltOn,
    config_text,
    cuda_config,
    onnx_config,
    plan_config,
)
from runtime.atomic_write import atomic_folder
from runtime.config import canonical_json
from runtime.contract import MODEL_NAME, REFERENCE, read_contract
from runtime.line.reference import read_reference
from runtime.processor import processor_class
from runtime.version import SOFTWARE_VERSION

MANIFEST = "manifest.json"
HALF_FILE = "half.onnx"

# Fields of the manifest of a model that was made elsewhere (export/sources.py), which its plan keeps.
ORIGIN = ("origin", "figures")
HALF_MISSING = "half_missing"  # why such a release has no HALF_FILE


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a release.

    model: the file's bytes; beside: further files that some configuration serves instead
    configs: file name under `cough_cnn/` -> configuration, `config.pbtxt` among them
    files: further files under `cough_cnn/`; metrics: figures of the checkpoint; parity: what the gate measured
    more: further fields of the manifest
    """

    model: bytes
    facts: ModelFacts
    configs: Mapping[str, pb.ModelConfig]
    beside: Mapping[str, bytes] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    parity: Sequence[Parity] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


def onnx_contents(
    model: bytes,
    padded: bytes,
    half: bytes | None,
    facts: ModelFacts,
    metrics: Mapping[str, Any] | None = None,
    parity: Sequence[Parity] = (),
    more: Mapping[str, Any] | None = None,
) -> Contents:
    """A release of an ONNX file, with the configuration that runs it on CUDA beside the plain one.

    padded: the same for CUDA (formats/to_padded.py)
    half: the same in half precision, which Triton does not load: a plan is built from it (k8s/manifests/tensorrt-plan).
    more: further fields of the manifest
    """
    sha256 = hashlib.sha256(model).hexdigest()
    configs = {
        "config.pbtxt": onnx_config(facts, sha256),
        f"configs/{CUDA_CONFIG}.pbtxt": cuda_config(facts, sha256),
    }
    files = {} if half is None else {HALF_FILE: half}
    beside, named = {PADDED_FILE: padded}, {"format": "onnx", **(more or {})}
    return Contents(model, facts, configs, beside, files, metrics or {}, parity, named)


def plan_contents(
    plan: bytes,
    facts: ModelFacts,
    built_on: BuiltOn,
    metrics: Mapping[str, Any],
    parity: Sequence[Parity],
    made_of: str,
    origin: Mapping[str, Any] | None = None,
) -> Contents:
    """A release of a TensorRT plan. made_of: SHA-256 of the ONNX file of the release that it was built from; origin:
    the fields ORIGIN of a model that was made elsewhere.
    """
    config = plan_config(facts, hashlib.sha256(plan).hexdigest(), built_on)
    # The same under both names, so that a Deployment serves either kind of release with the same arguments.
    configs = {"config.pbtxt": config, f"configs/{CUDA_CONFIG}.pbtxt": config}
    more = {"format": "tensorrt", **asdict(built_on), "made_of": made_of, **(origin or {})}
    return Contents(plan, facts, configs, {}, {}, metrics, parity, more)


def with_reference(contents: Contents, reference: Mapping[str, Any] | None) -> Contents:
    """Put what the model was trained on into every configuration, so that a front end has it from Triton.

    reference: the document of `runtime.line.reference`, or None
    """
    for config in contents.configs.values() if reference is not None else ():
        config.parameters[REFERENCE].string_value = canonical_json(reference)
    return contents


def write_release(target: Path, number: int, contents: Contents) -> None:
    """Fill `target` with `cough_cnn/`, and a manifest that names every file's SHA-256.

    Raises: ReleaseError where `target` exists; ModelContractError where what was written can't be read back.
    """
    if target.exists():
        raise ReleaseError(f"{target.name} exists, and a release is never written again: export under the next number.")
    with atomic_folder(target) as beside:
        folder = beside / MODEL_NAME
        version = folder / str(number)
        version.mkdir(parents=True)
        (version / contents.configs["config.pbtxt"].default_model_filename).write_bytes(contents.model)
        for name, data in contents.beside.items():
            (version / name).write_bytes(data)
        for name, config in contents.configs.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(config_text(config), encoding="utf-8")
        for name, data in contents.files.items():
            (folder / name).write_bytes(data)
        (folder / LABEL_FILE).write_text("\n".join(contents.facts.labels) + "\n", encoding="utf-8")
        manifest = json.dumps(_manifest(beside, number, contents), indent=2) + "\n"
        (beside / MANIFEST).write_text(manifest, encoding="utf-8")
        read_contract(beside)  # what can't be read back is no release


def published_metrics(metrics_file: Path, facts: ModelFacts) -> dict[str, Any]:
    """name -> value of the checkpoint on the validation split; nothing where METRICS.json is missing or of another
    checkpoint.
    """
    if not metrics_file.is_file():
        return {}
    metrics = json.loads(metrics_file.read_text(encoding="utf-8"))
    if metrics["checkpoint_sha256"] != facts.checkpoint_sha256:
        return {}
    return {name: figure["value"] for name, figure in metrics["validation"].items()}


def published_reference(reference_file: Path, facts: ModelFacts) -> dict[str, Any] | None:
    """What the checkpoint was trained on, by `make reference`; None where REFERENCE.json is missing, of another
    checkpoint, or of other bins.

    Raises: ReleaseError where it is damaged.
    """
    if not reference_file.is_file():
        return None
    try:
        document: dict[str, Any] = json.loads(reference_file.read_text(encoding="utf-8"))
        if document["checkpoint_sha256"] != facts.checkpoint_sha256 or read_reference(document) is None:
            return None
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(
            f"{reference_file.name} is damaged: restore it from git, or run `make reference`."
        ) from error
    return document


def file_digests(folder: Path) -> dict[str, str]:
    """Path in the folder -> SHA-256, of every file but the manifest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / MANIFEST)
    return {file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def _manifest(folder: Path, number: int, contents: Contents) -> dict[str, Any]:
    facts = contents.facts
    return {
        "release": number,
        **contents.more,
        "files": file_digests(folder),
        "checkpoint_sha256": facts.checkpoint_sha256,
        "data_sha256": facts.data_sha256,
        "software_version": SOFTWARE_VERSION,
        "validated": facts.validated,
        "operating_point": facts.operating_point or None,
        "measured_on": processor_class(),
        "parity": [asdict(item) for item in contents.parity],
        "metrics": dict(contents.metrics),
    }
