"""`python -m bench.gpu`: what a GPU makes of the network. Without one it says so in a line, and that is no failure.

What runs is what pip alone brings to a machine with a GPU: torch with CUDA (requirements/torch.txt). A pinned
onnxruntime-gpu is not among the locks, and the C++ backend and TensorRT are in NVIDIA's container only: there
k8s/manifests/perf-analyzer measures the real thing. Here the very network of the release runs by torch, from its
checkpoint:

    bare loop     coughs/s by batch size, float32 (model.onnx) against float16 (half.onnx)
    Triton        the same, float32, through its Python backend with dynamic batching: its share of the bare loop's best
    queue delay   which one gives the best median throughput at 32 and 64 clients

`--device cpu` takes the same way without a GPU; its figures say nothing about one. This file needs the standard library
only, so that it can answer where nothing is installed; figures.py measures.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from bench.gpu.report import NO_CUDA, NO_GPU, ROUNDS, SECONDS, has_gpu, markdown


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description="What a GPU makes of the network.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"of a figure (default: {SECONDS:g})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of the queue delays (default: {ROUNDS})")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    parser.add_argument(
        "--check", action="store_true", help="only say whether there is a GPU: exit code 0, or 1 and a line"
    )
    options = parser.parse_args(arguments)
    if options.device == "cuda" and not has_gpu():
        print(NO_GPU)
        return 1 if options.check else 0
    if options.check:
        return 0
    from bench.gpu import figures as gpu  # noqa: PLC0415 - torch is not there where there is no GPU

    if gpu.device_name(options.device) is None:
        print(NO_CUDA)
        return 0
    try:
        taken = gpu.take(options.device, options.seconds, options.rounds)
    except gpu.FAILURES as error:
        print(f"bench-gpu: {error}", file=sys.stderr)
        return 2 if isinstance(error, gpu.SETUP_FAILURES) else 1
    print(markdown(taken))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(taken.to_dict(), indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
