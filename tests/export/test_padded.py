"""The ONNX file for GPUs says what the plain one says, of a batch of any size, and computes nothing that depends on the
size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from export.formats.to_padded import to_padded
from export.triton_config import CUDA_CONFIG, MAX_BATCH_SIZE, PADDED_FILE
from runtime.config import MODEL_REPOSITORY
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT, newest_version

FOLDER = MODEL_REPOSITORY / "cough_cnn"
VERSION = FOLDER / str(newest_version(MODEL_REPOSITORY))


@pytest.mark.parametrize("file", [VERSION / "model.onnx", FOLDER / "half.onnx"], ids=lambda file: file.stem)
def test_scores_are_the_same_at_every_size(file: Path) -> None:
    plain = file.read_bytes()
    given, filled = (
        onnxruntime.InferenceSession(item, providers=["CPUExecutionProvider"]) for item in (plain, to_padded(plain))
    )
    for size in (1, 3, MAX_BATCH_SIZE):
        images = np.random.default_rng(size).integers(0, 256, (size, 64, 96), dtype=np.uint8)
        for name in (COUGH_OUTPUT, CLASS_OUTPUT):
            (expected,), (found,) = (session.run([name], {INPUT: images}) for session in (given, filled))
            assert found.shape == expected.shape
            assert np.abs(found - expected).max() < 1e-6


def test_every_convolution_sees_one_batch_size() -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(VERSION / PADDED_FILE), data_prop=True)
    session = onnxruntime.InferenceSession(
        _with_every_tensor(model).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [node.input[0] for node in model.graph.node if node.op_type == "Conv"]
    assert names
    for size in (1, 7, MAX_BATCH_SIZE):
        images = np.zeros((size, 64, 96), dtype=np.uint8)
        assert {len(item) for item in session.run(names, {INPUT: images})} == {MAX_BATCH_SIZE}


def test_no_more_than_a_full_batch_is_let_in() -> None:
    """The graph would cut it off, so Triton must not hand it more."""
    config = text_format.Parse((FOLDER / "configs" / f"{CUDA_CONFIG}.pbtxt").read_text(), pb.ModelConfig())
    assert (config.default_model_filename, config.max_batch_size) == (PADDED_FILE, MAX_BATCH_SIZE)
    session = onnxruntime.InferenceSession(VERSION / PADDED_FILE, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {INPUT: np.zeros((MAX_BATCH_SIZE + 1, 64, 96), dtype=np.uint8)})
    assert {len(output) for output in outputs} == {MAX_BATCH_SIZE}


def _with_every_tensor(model: onnx.ModelProto) -> onnx.ModelProto:
    known = {item.name for item in model.graph.output}
    for node in model.graph.node:
        if node.op_type == "Conv" and node.input[0] not in known:
            model.graph.output.append(onnx.helper.make_empty_tensor_value_info(node.input[0]))
    return model
