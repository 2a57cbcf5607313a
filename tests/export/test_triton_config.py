"""config.pbtxt by Triton's own protobuf: what each line promises, for the ONNX file and a plan."""

from __future__ import annotations

import json

import onnx
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from export.errors import GateError
from export.gate.check_config import check_config
from export.releases.release import MANIFEST
from export.triton_config import (
    MAX_BATCH_SIZE,
    BuiltOn,
    config_text,
    cuda_config,
    onnx_config,
    plan_config,
)
from runtime.config import MODEL_REPOSITORY, digest
from runtime.contract import contract_of
from tests.export.parts import FACTS

FOLDER = MODEL_REPOSITORY / "cough_cnn"
NUMBER = str(json.loads((MODEL_REPOSITORY / MANIFEST).read_text())["release"])


def parsed(text: str) -> pb.ModelConfig:
    return text_format.Parse(text, pb.ModelConfig())


@pytest.fixture
def config() -> pb.ModelConfig:
    return parsed(config_text(onnx_config(FACTS, "a" * 64)))


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return onnx.load(FOLDER / NUMBER / "model.onnx")


def test_shapes_batches_and_queue(config: pb.ModelConfig) -> None:
    assert [(item.name, item.data_type, list(item.dims)) for item in config.input] == [
        ("spectrogram", pb.TYPE_UINT8, [64, 96])
    ]
    assert [(item.name, item.data_type, list(item.dims)) for item in config.output] == [
        ("cough_probability", pb.TYPE_FP32, [1]),
        ("class_probabilities", pb.TYPE_FP32, [2]),
    ]
    assert config.output[1].label_filename == "labels.txt"
    assert config.max_batch_size == MAX_BATCH_SIZE
    assert [(item.kind, item.count) for item in config.instance_group] == [(pb.ModelInstanceGroup.KIND_AUTO, 1)]
    assert config.dynamic_batching.max_queue_delay_microseconds > 0
    # Any field of one makes requests wait for up to 500 ms beside an idle instance (docs/decisions/0013-speed.md).
    assert not config.dynamic_batching.HasField("default_queue_policy")


def test_warm_up_at_one_and_at_the_maximum(config: pb.ModelConfig) -> None:
    assert [item.batch_size for item in config.model_warmup] == [1, MAX_BATCH_SIZE]
    # Without the batch axis: the server refuses a warm-up that includes it.
    assert all(list(item.inputs["spectrogram"].dims) == [64, 96] for item in config.model_warmup)


def test_parameters_carry_what_the_front_end_asks_for(config: pb.ModelConfig) -> None:
    contract = contract_of(config, "1")
    assert contract.labels == FACTS.labels
    assert contract.preprocess == FACTS.preprocess
    assert contract.preprocess_sha256 == digest(FACTS.preprocess)
    assert (contract.thresholds.low, contract.thresholds.high, contract.cough_threshold) == (0.5, 0.5, 0.45)
    assert (contract.model.sha256, contract.checkpoint_sha256, contract.data_sha256) == ("a" * 64, "c" * 64, "d" * 64)
    assert contract.model.validated is False
    assert contract.uncertain_threshold == 0.3
    assert contract.operating_point == FACTS.operating_point
    assert config.parameters["intra_op_thread_count"].string_value == "1"


def test_on_cuda_batches_have_one_size_and_nothing_waits() -> None:
    plain, cuda = onnx_config(FACTS, "a" * 64), cuda_config(FACTS, "a" * 64)
    assert (cuda.default_model_filename, plain.default_model_filename) == ("padded.onnx", "model.onnx")
    assert cuda.HasField("dynamic_batching")
    assert cuda.dynamic_batching.max_queue_delay_microseconds == 0
    assert contract_of(cuda, "1") == contract_of(plain, "1")  # the front end can't tell them apart
    cuda.default_model_filename = plain.default_model_filename
    cuda.dynamic_batching.CopyFrom(plain.dynamic_batching)
    assert cuda == plain


def test_a_plan_is_pinned_to_its_gpu() -> None:
    config = parsed(config_text(plan_config(FACTS, "a" * 64, BuiltOn("Tesla T4", "10.13.3.9"))))
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_GPU
    assert config.parameters["gpu"].string_value == "Tesla T4"
    assert config.parameters["tensorrt"].string_value == "10.13.3.9"
    assert contract_of(config, "1").preprocess == FACTS.preprocess  # the front end can't tell it apart


def test_the_committed_configs_fit_the_committed_file(model: onnx.ModelProto) -> None:
    for name in ("config.pbtxt", "configs/cuda.pbtxt"):
        check_config(parsed((FOLDER / name).read_text()), model)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda item: item.input[0].dims.append(3), "input spectrogram"),
        (lambda item: setattr(item.input[0], "name", "image"), "input image"),
        (lambda item: setattr(item.output[1], "data_type", pb.TYPE_FP16), "output class_probabilities"),
        (lambda item: item.output.pop(), "output class_probabilities"),
    ],
)
def test_a_config_that_says_otherwise_is_refused(
    model: onnx.ModelProto, config: pb.ModelConfig, change: object, words: str
) -> None:
    check_config(config, model)
    change(config)  # type: ignore[operator]
    with pytest.raises(GateError, match=words):
        check_config(config, model)


@pytest.mark.parametrize("kind", ["gpu", "cpu"])
def test_an_accelerator_whose_engine_nobody_judges_is_refused(
    model: onnx.ModelProto, config: pb.ModelConfig, kind: str
) -> None:
    added = f"optimization {{ execution_accelerators {{ {kind}_execution_accelerator: [ {{ name: 'tensorrt' }} ] }} }}"
    text_format.Merge(added, config)
    with pytest.raises(GateError, match=r"execution_accelerators \(tensorrt\)"):
        check_config(config, model)


def test_an_empty_list_of_accelerators_is_refused_too(model: onnx.ModelProto, config: pb.ModelConfig) -> None:
    config.optimization.execution_accelerators.SetInParent()
    with pytest.raises(GateError, match="none named"):
        check_config(config, model)


def test_a_fixed_batch_is_refused(model: onnx.ModelProto, config: pb.ModelConfig) -> None:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    fixed.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    with pytest.raises(GateError, match="fixed batch of 1"):
        check_config(config, fixed)
