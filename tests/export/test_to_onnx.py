"""The exported file: what it promises to every runtime, and that it says the same as the network."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from export.candidate import torch_scores
from export.formats.to_onnx import to_onnx
from export.gate.golden_set import random_spectrograms
from preprocess.color import color_table
from runtime.config import load_config
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT
from training.model.network import CoughCNN

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def network() -> CoughCNN:
    torch.manual_seed(0)
    return CoughCNN(color_table(load_config()[2]), 2).eval()


@pytest.fixture(scope="module")
def exported(network: CoughCNN) -> bytes:
    return to_onnx(network, 64, 96)


def test_is_one_file_that_old_runtimes_load(exported: bytes) -> None:
    model = onnx.load_model_from_string(exported)
    assert model.ir_version <= 10
    assert all(item.version <= 21 for item in model.opset_import if item.domain == "")
    assert not any(item.external_data for item in model.graph.initializer)


def test_tensors_are_the_contract(exported: bytes) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert (given.name, given.type, given.shape[1:]) == (INPUT, "tensor(uint8)", [64, 96])
    assert isinstance(given.shape[0], str)
    assert [(get_output.name, get_output.type, get_output.shape[1:]) for get_output in session.get_outputs()] == [
        (COUGH_OUTPUT, "tensor(float)", [1]),
        (CLASS_OUTPUT, "tensor(float)", [2]),
    ]


def test_colours_are_inside_and_uint8_goes_through_float(exported: bytes) -> None:
    graph = onnx.load_model_from_string(exported).graph
    kinds = [node.op_type for node in graph.node]
    casts = [onnx.helper.get_attribute_value(node.attribute[0]) for node in graph.node if node.op_type == "Cast"]
    # TensorRT converts uint8 to floats only, so the first cast must be to float32.
    assert casts[:2] == [onnx.TensorProto.FLOAT, onnx.TensorProto.INT64]
    assert "Gather" in kinds
    tables = [onnx.numpy_helper.to_array(item) for item in graph.initializer if list(item.dims) == [256, 3]]
    assert np.array_equal(np.rint(tables[0] * 255), color_table(load_config()[2]))


def test_holds_no_path_and_is_repeatable(network: CoughCNN, exported: bytes) -> None:
    assert b".py" not in exported
    assert b"/" not in b"".join(item.doc_string.encode() for item in onnx.load_model_from_string(exported).graph.node)
    assert to_onnx(network, 64, 96) == exported


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_says_what_torch_says(network: CoughCNN, exported: bytes, batch: int) -> None:
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    spectrograms = random_spectrograms(batch, 64, 96)
    cough, classes = session.run([COUGH_OUTPUT, CLASS_OUTPUT], {INPUT: spectrograms})
    expected = torch_scores(network, spectrograms)
    assert np.abs(cough[:, 0] - expected.cough).max() < 1e-5
    assert np.abs(classes - expected.classes).max() < 1e-5
