"""`python -m tests.export.same_bits`: digests of what export and training write, but for weights; of a process of its
own.

What torch, NumPy, glibc and OpenBLAS choose for the processor is chosen once in a process.
"""

from __future__ import annotations

import hashlib
import json
from functools import partial

import numpy as np
import torch

from export.__main__ import CHECKPOINT
from export.candidate import load_candidate, precise_scores, torch_scores
from export.formats.to_half import HalfCoughCNN
from export.formats.to_onnx import to_onnx
from export.formats.to_padded import to_padded
from export.gate.golden_set import golden_set, sample_spectrograms
from export.triton_config import config_text, cuda_config, onnx_config
from preprocess.decode import decode
from runtime.config import ROOT, load_limits
from training.evaluation.conditions import CHANNELS, DAMAGES, GAINS

SAMPLES = ROOT / "samples"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def release_files() -> dict[str, str]:
    network, facts = load_candidate(CHECKPOINT)
    model = to_onnx(network, *facts.image)
    configs = {item.__name__: config_text(item(facts, sha256(model))) for item in (onnx_config, cuda_config)}
    files = {"model": model, "half": to_onnx(HalfCoughCNN(network), *facts.image), "padded": to_padded(model)}
    return {name: sha256(data) for name, data in files.items()} | {
        name: sha256(text.encode()) for name, text in configs.items()
    }


def judged_by() -> dict[str, str]:
    network, facts = load_candidate(CHECKPOINT)
    samples = sample_spectrograms(SAMPLES)
    golden = golden_set(samples, facts, partial(precise_scores, network))
    return {"samples": sha256(samples.tobytes()), "golden set": sha256(golden.tobytes())}


def conditions() -> dict[str, str]:
    recording = decode((SAMPLES / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes(), load_limits()[1].decode)
    samples, rate_hz = np.ascontiguousarray(recording.samples[0]), recording.sample_rate_hz
    return {name: sha256(make(samples, rate_hz)) for name, make in {**CHANNELS, **GAINS, **DAMAGES}.items()}


def scores() -> list[float]:
    """Not the same everywhere: what shows that torch took other code."""
    network, _ = load_candidate(CHECKPOINT)
    return [float(item) for item in torch_scores(network, sample_spectrograms(SAMPLES)).cough]


if __name__ == "__main__":
    written = {"release": release_files(), "judged by": judged_by(), "conditions": conditions()}
    print(json.dumps({**written, "scores": scores(), "torch": torch.backends.cpu.get_cpu_capability()}))
