"""Releases that are wrong on purpose, each in one way, made from the committed one. The real Triton serves them."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from runtime.config import MODEL_REPOSITORY, digest
from runtime.contract import MODEL_NAME, read_contract

Change = Callable[[Path], None]


def release(folder: Path, *changes: Change, version: str = "99") -> Path:
    """Copy the committed release as another version, change it, and return its repository."""
    repository = shutil.copytree(MODEL_REPOSITORY, folder / "model_repository")
    model = repository / MODEL_NAME
    (old,) = [path for path in model.iterdir() if path.name.isdigit()]
    old.rename(old.with_name(version))
    for change in changes:
        change(model)
    return repository


def with_swapped_labels(model: Path) -> None:
    """Each class has the other's probability; the labels are as they were."""
    network = _network(model)
    graph = network.graph
    for node in graph.node:
        node.output[:] = ["unswapped" if name == "class_probabilities" else name for name in node.output]
        node.input[:] = ["unswapped" if name == "class_probabilities" else name for name in node.input]
    graph.initializer.append(helper.make_tensor("swapped_columns", TensorProto.INT64, [2], [1, 0]))
    graph.node.append(helper.make_node("Gather", ["unswapped", "swapped_columns"], ["class_probabilities"], axis=1))
    _save(network, model)


def without_numbers(model: Path) -> None:
    """Every cough probability is NaN: infinity minus infinity."""
    network = _network(model)
    graph = network.graph
    for node in graph.node:
        node.output[:] = ["finite" if name == "cough_probability" else name for name in node.output]
        node.input[:] = ["finite" if name == "cough_probability" else name for name in node.input]
    infinite = helper.make_tensor("infinite", TensorProto.FLOAT, [1], [float("inf")])
    graph.initializer.append(infinite)
    graph.node.append(helper.make_node("Mul", ["infinite", "finite"], ["endless"]))
    graph.node.append(helper.make_node("Sub", ["endless", "infinite"], ["cough_probability"]))
    _save(network, model)


def with_preprocess(**changed: float) -> Change:
    """The same network behind other parameters of the mel spectrogram."""

    def change(model: Path) -> None:
        preprocess = read_contract(model.parent).preprocess
        preprocess["mel_spec"].update(changed)
        canonical = json.dumps(preprocess, sort_keys=True, separators=(",", ":"))
        _set(model, "preprocess", canonical)
        _set(model, "preprocess_sha256", digest(preprocess))

    return change


def with_threshold(value: float) -> Change:
    """Surer before it takes a sound for a cough."""

    def change(model: Path) -> None:
        _set(model, "cough_threshold", repr(value))
        _set(model, "uncertain_threshold", repr(value))

    return change


def slow(seconds: float) -> Change:
    """Every answer comes so much later: a model of Triton's Python backend that sleeps, then asks ONNX Runtime."""

    def change(model: Path) -> None:
        (version,) = [path for path in model.iterdir() if path.name.isdigit()]
        (version / "model.py").write_text(_SLOW.replace("SECONDS", repr(seconds)))
        config = model / "config.pbtxt"
        text = re.sub(r'default_model_filename: "[^"]*"\n', "", config.read_text())
        config.write_text(f'backend: "python"\n{re.sub(r"backend: .*", "", text)}')

    return change


_SLOW = """
import time
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        folder = Path(args["model_repository"]) / args["model_version"]
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"))

    def execute(self, requests):
        time.sleep(SECONDS)
        answers = []
        for request in requests:
            batch = np.from_dlpack(triton.get_input_tensor_by_name(request, "spectrogram"))
            names = ["cough_probability", "class_probabilities"]
            found = self.session.run(names, {"spectrogram": batch})
            tensors = [
                triton.Tensor.from_dlpack(name, np.ascontiguousarray(value).__dlpack__())
                for name, value in zip(names, found)
            ]
            answers.append(triton.InferenceResponse(tensors))
        return answers
"""


def _network(model: Path) -> onnx.ModelProto:
    (file,) = model.glob("*/model.onnx")
    return onnx.load(file)


def _save(network: onnx.ModelProto, model: Path) -> None:
    (file,) = model.glob("*/model.onnx")
    onnx.checker.check_model(network)
    onnx.save(network, file)
    _set(model, "model_sha256", hashlib.sha256(file.read_bytes()).hexdigest())


def _set(model: Path, key: str, value: str) -> None:
    config = model / "config.pbtxt"
    pattern = rf'(key: "{key}"\s+value {{\s+string_value: )"(?:[^"\\]|\\.)*"'
    text, count = re.subn(pattern, lambda found: found[1] + json.dumps(value), config.read_text())
    assert count == 1, key
    config.write_text(text)
