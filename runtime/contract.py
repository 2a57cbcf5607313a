"""Model contract: tensors, labels, thresholds, and the parameters that the model was trained with.

The Triton config's `parameters` contain the whole contract (export writes it), so that a model and its contract always
stay together.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from preprocess.color import ColorSpecParams
from preprocess.mel import MelSpecParams
from preprocess.segment import SegmentationParams
from runtime.config import digest, preprocess_parameters
from runtime.diagnosis import Model, Thresholds
from runtime.errors import ModelContractError, ParametersDiffer
from runtime.line.reference import Reference, read_reference
from runtime.model_facts import LABELS, ModelFacts, is_operating_point

MODEL_NAME = "cough_cnn"
INPUT = "spectrogram"
COUGH_OUTPUT = "cough_probability"
CLASS_OUTPUT = "class_probabilities"
REFERENCE = "line_reference"  # parameter, see runtime/line/reference.py
SCORE_MARGIN, HALF_SCORE_MARGIN = 1e-4, 0.02  # used for releases before 0.2.0, which have no margin of their own


@dataclass(frozen=True)
class ModelContract(ModelFacts):
    """A served model's contract.

    version: of the release; model_sha256: of its ONNX file or plan
    score_margin: the largest difference of a score between runtimes, processors and GPUs; a score nearer than this to
        its threshold may be on the other side elsewhere
    max_batch_size: the most spectrograms in one request
    reference: what the model was trained on; None in releases before 13, of models that were made elsewhere, and where
        its bins are not those of this version
    """

    name: str
    version: str
    model_sha256: str
    score_margin: float
    preprocess_sha256: str
    software_version: str
    max_batch_size: int
    reference: Reference | None = None

    @cached_property
    def model(self) -> Model:
        """Return the model in the form of a diagnosis."""
        return Model(self.name, self.version, self.model_sha256, self.validated)

    @cached_property
    def thresholds(self) -> Thresholds:
        """Return the thresholds in the form of a diagnosis."""
        return Thresholds(self.threshold_low, self.threshold_high)

    def check_parameters(
        self, segmentation: SegmentationParams, mel_spec: MelSpecParams, color_spec: ColorSpecParams
    ) -> None:
        """Compare our parameters with the model's. Raises: ParametersDiffer naming the first field that differs."""
        require_same_parameters(self.preprocess, preprocess_parameters(segmentation, mel_spec, color_spec))

    def to_dict(self) -> dict[str, Any]:
        """Return the public description, as in `GET /v1/model`."""
        return {
            "name": self.name,
            "version": self.version,
            "sha256": self.model_sha256,
            "validated": self.validated,
            "labels": list(self.labels),
            "cough_threshold": self.cough_threshold,
            "uncertain_threshold": self.uncertain_threshold,
            "thresholds": {"low": self.threshold_low, "high": self.threshold_high},
            "score_margin": self.score_margin,
            "operating_point": self.operating_point or None,
            "preprocess": self.preprocess,
            "preprocess_sha256": self.preprocess_sha256,
            "checkpoint_sha256": self.checkpoint_sha256,
            "data_sha256": self.data_sha256,
            "software_version": self.software_version,
            "input_shape": list(self.image),
            "max_batch_size": self.max_batch_size,
        }


def require_same_parameters(trained: dict[str, dict[str, Any]], ours: dict[str, dict[str, Any]]) -> None:
    """Compare two sets of parameters, both in the form of `runtime.config.preprocess_parameters`.

    Raises: ParametersDiffer naming the first field that differs.
    """
    for section in sorted(ours.keys() | trained.keys()):
        expected, found = trained.get(section, {}), ours.get(section, {})
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                raise ParametersDiffer(f"{section}.{name}", expected.get(name), found.get(name))


def read_contract(repository: Path) -> ModelContract:
    """Read the contract of the release in a repository directory.

    Raises: ModelContractError.
    """
    folder = repository / MODEL_NAME
    try:
        text = (folder / "config.pbtxt").read_text(encoding="utf-8")
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ModelContractError(
            "release_file_unreadable",
            file=f"{repository.name}/{MODEL_NAME}/config.pbtxt",
        ) from error
    return contract_of(config, str(newest_version(repository)))


def read_released_contract(repository: Path) -> ModelContract:
    """Read the contract as `read_contract`, after a check of config.pbtxt against the release's manifest.json.

    Raises: ModelContractError.
    """
    config = f"{MODEL_NAME}/config.pbtxt"
    try:
        manifest = json.loads((repository / "manifest.json").read_text(encoding="utf-8"))
        known = manifest["files"][config] == hashlib.sha256((repository / config).read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelContractError("no_release", folder=repository.name) from error
    if not known:
        raise ModelContractError("release_file_altered", file=f"{repository.name}/{config}")
    return read_contract(repository)


def newest_version(repository: Path) -> int:
    """Return the highest version directory of the model; Triton serves it by default.

    Raises: ModelContractError if there is none.
    """
    folder = repository / MODEL_NAME
    numbers = (
        [int(path.name) for path in folder.iterdir() if path.is_dir() and path.name.isdigit()]
        if folder.is_dir()
        else []
    )
    if not numbers:
        raise ModelContractError(
            "no_model_to_serve",
            folder=repository.name,
            model=MODEL_NAME,
        )
    return max(numbers)


def contract_of(config: model_config_pb2.ModelConfig, version: str) -> ModelContract:
    """Return the contract in a Triton model configuration, from disk or from the server.

    Raises: ModelContractError where tensors or parameters do not fit the contract.
    """
    parameters = {key: value.string_value for key, value in config.parameters.items()}
    try:
        labels = tuple(json.loads(parameters["labels"]))
        preprocess = json.loads(parameters["preprocess"])
        contract = ModelContract(
            labels=labels,
            preprocess=preprocess,
            cough_threshold=float(parameters["cough_threshold"]),
            # Releases before 0.4.0 have none: for them nothing is uncertain.
            uncertain_threshold=float(parameters.get("uncertain_threshold", parameters["cough_threshold"])),
            threshold_low=float(parameters["threshold_low"]),
            threshold_high=float(parameters["threshold_high"]),
            validated=json.loads(parameters["validated"]) is True,
            checkpoint_sha256=parameters["checkpoint_sha256"],
            data_sha256=parameters["data_sha256"],
            operating_point=json.loads(parameters.get("operating_point", "{}")),
            name=config.name,
            version=version,
            model_sha256=parameters["model_sha256"],
            score_margin=float(parameters.get("score_margin", _margin_before_0_2_0(config))),
            preprocess_sha256=parameters["preprocess_sha256"],
            software_version=parameters["software_version"],
            max_batch_size=config.max_batch_size,
            reference=read_reference(json.loads(parameters[REFERENCE])) if REFERENCE in parameters else None,
        )
        int(preprocess["mel_spec"]["n_mels"]), int(preprocess["mel_spec"]["n_frames"])
    except KeyError as error:
        raise ModelContractError("model_parameter_missing", name=str(error)) from error
    except (ValueError, TypeError) as error:
        raise ModelContractError("model_parameter_unreadable") from error
    _check_values(parameters["labels"], contract)
    _check_tensors(config, contract)
    if digest(preprocess) != contract.preprocess_sha256:
        raise ModelContractError("model_digest_wrong")
    return contract


def _margin_before_0_2_0(config: model_config_pb2.ModelConfig) -> float:
    """Return an old release's margin: TensorRT plans and engines of TensorRT's provider compute in half precision."""
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    half = "gpu" in config.parameters or any(accelerator.name == "tensorrt" for accelerator in accelerators)
    return HALF_SCORE_MARGIN if half else SCORE_MARGIN


def _check_values(labels_json: str, contract: ModelContract) -> None:
    labels = json.loads(labels_json)
    if labels != list(LABELS):
        raise ModelContractError(
            "model_labels_differ",
            found=labels,
            expected=list(LABELS),
        )
    low, high = contract.threshold_low, contract.threshold_high
    if not 0.0 <= low <= high <= 1.0 or not 0.0 <= contract.uncertain_threshold <= contract.cough_threshold <= 1.0:
        raise ModelContractError("model_thresholds_wrong")
    if not 0.0 <= contract.score_margin < 0.5:
        raise ModelContractError("model_margin_wrong")
    if not contract.validated and low != high:
        raise ModelContractError("model_thresholds_unequal")
    if not is_operating_point(contract.operating_point):
        raise ModelContractError("model_parameter_unreadable")


def _check_tensors(config: model_config_pb2.ModelConfig, contract: ModelContract) -> None:
    expected = {
        INPUT: ("TYPE_UINT8", list(contract.image)),
        COUGH_OUTPUT: ("TYPE_FP32", [1]),
        CLASS_OUTPUT: ("TYPE_FP32", [len(contract.labels)]),
    }
    found: Mapping[str, tuple[str, list[int]]] = {
        item.name: (model_config_pb2.DataType.Name(item.data_type), list(item.dims))
        for item in (*config.input, *config.output)
    }
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ModelContractError(
                "model_tensor_differs",
                name=name,
                found=found.get(name),
                expected=expected.get(name),
            )
    if contract.max_batch_size < 1:
        raise ModelContractError("model_without_batches")
