"""`python -m bench.triton.input_data`: real spectrograms for perf_analyzer's `--input-data`.

Writes k8s/manifests/perf-analyzer/spectrograms.json.

It lies under k8s/ because the Job there mounts it; a benchmark on this machine reads the same file.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.triton.perf_analyzer import SPECTROGRAMS
from runtime.config import ROOT, load_config, load_limits
from runtime.contract import INPUT
from runtime.prepare import prepare

MAX_BYTES = (
    200_000  # it travels in a ConfigMap, of which `kubectl apply` keeps a copy in an annotation of 256 KiB at most
)

# Those of samples/ that hold coughs. All their candidates are taken, since the front end sends these, coughs or not.
RECORDINGS = ("benchmark_1", "call", "clipped")


def spectrograms() -> NDArray[np.uint8]:
    """uint8 [shape=(n, n_mels, n_frames)], n about 18, in the order of RECORDINGS and of time."""
    parameters, limits = load_config(), load_limits()[1].decode
    files = [next((ROOT / "samples" / "preprocessing" / name).glob("raw.*")) for name in RECORDINGS]
    return np.concatenate([prepare(file.read_bytes(), *parameters, limits).spectrograms for file in files])


def input_data(images: NDArray[np.uint8]) -> str:
    """JSON with one stream, whose steps perf_analyzer sends in turn, each as a batch of one.

    images: uint8 [shape=(n, n_mels, n_frames)]; written in base64, as a list of numbers they would be three times as
        long.
    Raises: ValueError where it gets too long for a ConfigMap.
    """
    steps = [json.dumps({INPUT: {"b64": base64.b64encode(image.tobytes()).decode()}}) for image in images]
    text = '{"data": [\n' + ",\n".join(steps) + "\n]}\n"
    if len(text) > MAX_BYTES:
        raise ValueError(
            f"{len(images)} spectrograms take {len(text)} bytes, {MAX_BYTES} at most: name fewer recordings."
        )
    return text


def main(file: Path = SPECTROGRAMS) -> None:
    """Writes the file anew."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(input_data(spectrograms()), encoding="ascii")


if __name__ == "__main__":
    main()
