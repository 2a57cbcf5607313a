"""Takes the figures of bench/gpu/report.py; in the environment that has torch."""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shutil import copyfile

import numpy as np
import torch
from tritonclient.grpc import model_config_pb2 as pb
from tritonclient.utils import InferenceServerException

from bench.gpu.network import load_network, throughput
from bench.gpu.queue_delays import by_delay, read_images
from bench.gpu.report import BATCHES, Figures, best_delay
from bench.triton.perf_analyzer import changed_repository
from bench.triton.perf_binary import MissingToolError, PerfToolError
from local_triton import ConfigurationError, TritonError
from runtime.config import MODEL_REPOSITORY, ROOT
from runtime.contract import MODEL_NAME, newest_version, read_contract
from training.model.checkpoint import CheckpointError

CHECKPOINT = ROOT / "models" / "cough_cnn.pt"
FAILURES = (PerfToolError, TritonError, InferenceServerException, CheckpointError)
SETUP_FAILURES = (MissingToolError, ConfigurationError)
MODEL = Path(__file__).with_name("python_backend.py")


def device_name(device: str) -> str | None:
    """What torch will run on, or None where its build has no CUDA or finds no driver."""
    if device == "cpu":
        return "CPU"
    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else None


def take(device: str, seconds: float, rounds: int, batches: Sequence[int] = BATCHES) -> Figures:
    """Everything. seconds: of each figure of the bare loop, and of each window of perf_analyzer.

    Raises: one of FAILURES.
    """
    contract = read_contract(MODEL_REPOSITORY)
    images = read_images(contract.image)
    bare = {}
    for precision in ("float32", "float16"):
        network = load_network(CHECKPOINT, device, half=precision == "float16")
        bare[precision] = {
            batch: throughput(network, np.resize(images, (batch, *images.shape[1:])), device, seconds)
            for batch in batches
        }
    through_triton = by_delay(partial(torch_repository, device=device), seconds, rounds)
    return Figures(device_name(device) or device, bare, through_triton, best_delay(through_triton))


def torch_repository(into: Path, delay_us: int, *, device: str) -> Path:
    """The selected release, but run by python_backend.py with another queue delay; everything else as it is
    deployed.
    """
    changed_repository(MODEL_REPOSITORY, into, partial(_run_by_torch, device=device, delay_us=delay_us))
    copyfile(MODEL, into / MODEL_NAME / str(newest_version(into)) / "model.py")
    return into


def _run_by_torch(config: pb.ModelConfig, device: str, delay_us: int) -> None:
    config.backend = "python"
    config.ClearField("default_model_filename")
    config.dynamic_batching.max_queue_delay_microseconds = delay_us
    # The model goes to the GPU by itself; told of one, Triton would want to bring tensors there, too.
    config.instance_group[0].kind = pb.ModelInstanceGroup.KIND_CPU
    paths = [str(ROOT), sysconfig.get_path("platlib")]
    for key, value in (("device", device), ("checkpoint", str(CHECKPOINT)), ("half", "false")):
        config.parameters[key].string_value = value
    config.parameters["python_path"].string_value = json.dumps(paths)
