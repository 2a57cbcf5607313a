"""The trained network in a bare loop: what the device does when nothing is in its way."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export.formats.to_half import HalfCoughCNN
from training.model.checkpoint import load_checkpoint
from training.model.network import CoughCNN

THREADS = 1  # on a CPU, as the release's config has it (intra_op_thread_count)


def load_network(checkpoint: Path, device: str, *, half: bool) -> CoughCNN:
    """The network on a device, in evaluation mode. half: as the release's half.onnx, else as its model.onnx.

    device: `cuda` or `cpu`. Raises: CheckpointError.
    """
    torch.set_num_threads(THREADS)
    trained, _ = load_checkpoint(checkpoint)
    network: CoughCNN = HalfCoughCNN(trained) if half else trained
    network.eval().to(device)
    return network


def throughput(network: CoughCNN, images: NDArray[np.uint8], device: str, seconds: float) -> float:
    """Coughs/s of one batch after the other for about that long; with the way to the device and back, as a server has
    it.

    images: uint8 [shape=(batch, n_mels, n_frames)]
    """
    batch = torch.from_numpy(images)
    with torch.inference_mode():
        for _ in range(3):  # the first runs choose kernels and take memory
            _answers(network, batch, device)
        started, runs = time.perf_counter(), 0
        while (spent := time.perf_counter() - started) < seconds or not runs:
            _answers(network, batch, device)
            runs += 1
    return runs * len(images) / spent


def _answers(network: CoughCNN, batch: torch.Tensor, device: str) -> list[torch.Tensor]:
    return [tensor.cpu() for tensor in network(batch.to(device))]  # waits for the device
