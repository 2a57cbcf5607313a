"""Triton's Python backend runs this as `model.py` in `bench-gpu`: the trained network by torch, on a GPU or on the CPU.

Triton's stub imports it, in the Python of `.venv-triton`, whose NumPy it needs. torch comes from the environment that
measures: its folder goes to the end of the path, so that the stub's own NumPy stays the first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    """Triton calls its methods from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """The config's parameters say where torch and the checkpoint lie, on which device to run, and whether in
        float16.
        """
        found = {
            key: parameter["string_value"] for key, parameter in json.loads(args["model_config"])["parameters"].items()
        }
        sys.path.extend(json.loads(found["python_path"]))
        import torch  # noqa: PLC0415 - not on the path before

        from bench.gpu.network import load_network  # noqa: PLC0415

        self.torch, self.device = torch, found["device"]
        torch.set_num_threads(
            int(found["intra_op_thread_count"])
        )  # as ONNX Runtime has it; for a GPU it matters little
        self.network = load_network(Path(found["checkpoint"]), self.device, half=json.loads(found["half"]))

    def execute(self, requests: list[Any]) -> list[Any]:
        """What the dynamic batcher put together, in one run."""
        inputs = [triton.get_input_tensor_by_name(request, "spectrogram").as_numpy() for request in requests]
        with self.torch.inference_mode():
            batch = self.torch.from_numpy(np.concatenate(inputs)).to(self.device)
            outputs = [tensor.cpu().numpy() for tensor in self.network(batch)]
        ends = np.cumsum([len(item) for item in inputs])[:-1]
        names = ("cough_probability", "class_probabilities")
        parts = zip(*(np.split(output, ends) for output in outputs), strict=True)
        return [
            triton.InferenceResponse([triton.Tensor(name, item) for name, item in zip(names, part, strict=True)])
            for part in parts
        ]
