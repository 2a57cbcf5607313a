"""The half-precision ONNX file -> a TensorRT plan for the GPU of this machine: one profile, strongly typed, float32
outputs.

Shown nowhere but on a machine with a GPU; k8s/manifests/tensorrt-plan does the same on the node that will serve the
plan.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np
import torch

from export.errors import GateError, UnavailableError
from export.gate.golden_set import Spectrograms
from export.triton_config import ENGINE_WORKSPACE_BYTES, MAX_BATCH_SIZE, OPTIMAL_BATCH_SIZE, BuiltOn
from runtime.classify import Scores, join_scores
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT
from runtime.model_facts import ModelFacts


def require_gpu() -> BuiltOn:
    """This machine's GPU and TensorRT. Raises: UnavailableError naming all that is missing."""
    missing = []
    if importlib.util.find_spec("tensorrt") is None:
        missing.append("the package `tensorrt` (pip install tensorrt, into .venv-training)")
    if not torch.cuda.is_available():
        missing.append("an NVIDIA GPU that torch can use (a CUDA build of torch and a driver)")
    if missing:
        raise UnavailableError(
            f"A TensorRT plan is built on the GPU that runs it, and this machine lacks {' and '.join(missing)}. "
            "On a cluster k8s/manifests/tensorrt-plan builds it on the GPU node."
        )
    version = importlib.import_module("tensorrt").__version__
    return BuiltOn(str(torch.cuda.get_device_name(0)), str(version))


def build_plan(model: bytes, facts: ModelFacts) -> bytes:
    """A serialised engine for batches of 1 to MAX_BATCH_SIZE. model: the half-precision ONNX file.

    Raises: GateError.
    """
    trt = importlib.import_module("tensorrt")
    builder = trt.Builder(trt.Logger(trt.Logger.WARNING))
    # The flag is gone where every network is strongly typed (TensorRT 11).
    strongly_typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = trt.OnnxParser(network, trt.Logger(trt.Logger.WARNING))
    if not parser.parse(model):
        reasons = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise GateError(f"TensorRT {trt.__version__} can't read the ONNX file: {reasons}")
    profile = builder.create_optimization_profile()
    profile.set_shape(INPUT, *((batch, *facts.image) for batch in (1, OPTIMAL_BATCH_SIZE, MAX_BATCH_SIZE)))
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, ENGINE_WORKSPACE_BYTES)
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise GateError(f"TensorRT {trt.__version__} built no plan: its messages above say why.")
    return bytes(plan)


def plan_scores(plan: bytes, spectrograms: Spectrograms, n_classes: int) -> Scores:
    """Scores of uint8 [shape=(n, n_mels, n_frames)] by the plan on this machine's GPU."""
    trt = importlib.import_module("tensorrt")
    engine = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(plan)
    context = engine.create_execution_context()
    step = MAX_BATCH_SIZE
    parts = [_run(context, spectrograms[i : i + step], n_classes) for i in range(0, len(spectrograms), step)]
    return join_scores(parts)


def _run(context: Any, batch: Spectrograms, n_classes: int) -> Scores:
    tensors = {
        INPUT: torch.from_numpy(np.ascontiguousarray(batch)).cuda(),
        COUGH_OUTPUT: torch.empty((len(batch), 1), device="cuda"),
        CLASS_OUTPUT: torch.empty((len(batch), n_classes), device="cuda"),
    }
    context.set_input_shape(INPUT, tuple(batch.shape))
    for name, tensor in tensors.items():
        context.set_tensor_address(name, tensor.data_ptr())
    stream = torch.cuda.current_stream()
    context.execute_async_v3(stream.cuda_stream)
    stream.synchronize()
    return Scores(tensors[COUGH_OUTPUT][:, 0].cpu().numpy(), tensors[CLASS_OUTPUT].cpu().numpy())
