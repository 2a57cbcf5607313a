"""`make export`: checkpoint -> gate -> releases/<n>/ -> model_repository/.

With `--format tensorrt` a release of its own, which is not selected: a laptop can't serve it.

Exit codes: 0; 1 where the gate or the checkpoint says no; 2 usage, or a machine that lacks what the format needs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np

from export.candidate import load_candidate, precise_scores, torch_scores
from export.command import run_command
from export.errors import ExportError
from export.formats.to_half import HalfCoughCNN
from export.formats.to_onnx import to_onnx
from export.formats.to_padded import to_padded
from export.formats.to_tensorrt import build_plan, plan_scores, require_gpu
from export.gate.gate import judge_half, judge_onnx, judge_padded, judge_served
from export.gate.golden_set import Spectrograms, golden_set, sample_spectrograms
from export.parity import Parity, compare, require_half_parity
from export.releases.release import onnx_contents, plan_contents, published_metrics, write_release
from export.releases.repository import RELEASES, next_number, one_at_a_time, read_release, select_release
from export.triton_config import CUDA_CONFIG
from local_triton import ConfigurationError, TritonError, TritonServer
from runtime.classify import Scores
from runtime.config import MODEL_REPOSITORY, ROOT
from runtime.contract import read_contract
from runtime.model_facts import ModelFacts
from training.model.network import CoughCNN

CHECKPOINT = ROOT / "models" / "cough_cnn.pt"
METRICS = ROOT / "models" / "METRICS.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("--format", choices=("onnx", "tensorrt"), default="onnx")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--repository", type=Path, default=MODEL_REPOSITORY, help="the selected release")
    parser.add_argument("--releases", type=Path, default=RELEASES, help="all of them")
    options = parser.parse_args(arguments)
    export = export_onnx if options.format == "onnx" else export_tensorrt

    def act() -> int:
        export(options.checkpoint, options.repository.absolute(), options.releases)
        return 0

    return run_command("export", act, failures=(TritonError,), settings=(ConfigurationError,))


def export_onnx(checkpoint: Path, repository: Path, releases: Path) -> None:
    """Raises: ExportError, RuntimeFailure, TritonError; then nothing was written."""
    network, facts = load_candidate(checkpoint)
    model, half = to_onnx(network, *facts.image), to_onnx(HalfCoughCNN(network), *facts.image)
    padded = to_padded(model)
    spectrograms, expected = _judged_by(network, facts)
    parity = _shown(judge_onnx(model, facts, spectrograms, expected))
    parity += _shown(judge_padded(padded, facts, spectrograms, expected))
    parity += _shown(judge_half(half, facts, spectrograms, expected))
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "repository"
        write_release(trial, 1, onnx_contents(model, padded, half, facts))
        with TritonServer(trial, log=ROOT / "build" / "export-triton.log") as server:
            parity += _shown(judge_served(server.grpc_url, facts, spectrograms, expected))
        # As GPU nodes serve it, on this machine's CPU: what CUDA makes of the same file only a GPU can say.
        cuda = [f"--model-config-name={CUDA_CONFIG}"]
        with TritonServer(trial, log=ROOT / "build" / "export-triton.log", extra_args=cuda) as server:
            parity += _shown(judge_served(server.grpc_url, facts, spectrograms, expected, "Triton, padded"))
    metrics = published_metrics(METRICS, facts)
    with one_at_a_time(releases):
        number = next_number(releases, repository)
        write_release(releases / str(number), number, onnx_contents(model, padded, half, facts, metrics, parity))
        select_release(read_release(releases / str(number)), repository, releases)
    print(f"Release {number} ({len(model) / 1e6:.1f} MB) is written and selected: {repository.name}/ serves it.")


def export_tensorrt(checkpoint: Path, repository: Path, releases: Path) -> None:
    """Raises: UnavailableError without a GPU and TensorRT; ExportError, RuntimeFailure."""
    gpu = require_gpu()
    network, facts = load_candidate(checkpoint)
    serving = read_contract(repository)
    if serving.checkpoint_sha256 != facts.checkpoint_sha256:
        raise ExportError(f"{repository.name}/ serves another checkpoint: run `make export` first, then this again.")
    spectrograms, expected = _judged_by(network, facts)
    plan = build_plan(to_onnx(HalfCoughCNN(network), *facts.image), facts)
    found = plan_scores(plan, spectrograms, len(facts.labels))
    parity = _shown([require_half_parity(compare(expected, found, facts, f"TensorRT on {gpu}"))])
    contents = plan_contents(plan, facts, gpu, published_metrics(METRICS, facts), parity, serving.model.sha256)
    with one_at_a_time(releases):
        number = next_number(releases, repository)
        write_release(releases / str(number), number, contents)
    print(f"Release {number} is written for {gpu}: publish it, and serve it on nodes with that GPU only.")


def _judged_by(network: CoughCNN, facts: ModelFacts) -> tuple[Spectrograms, Scores]:
    samples = sample_spectrograms(ROOT / "samples")
    golden = golden_set(samples, facts, partial(precise_scores, network))
    spectrograms = np.concatenate((samples, golden))
    return spectrograms, torch_scores(network, spectrograms)


def _shown(found: Iterable[Parity]) -> list[Parity]:
    """Each as it comes: the gate takes a minute."""
    rows = []
    for item in found:
        print(
            f"{item.what}: {item.n} spectrograms, scores differ by at most {item.max_difference:.1e}, {item.flips} "
            "decisions flip"
        )
        rows.append(item)
    return rows


if __name__ == "__main__":
    sys.exit(main())
