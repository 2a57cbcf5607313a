"""`make export`: checkpoint -> gate -> releases/<n>/ -> model_repository/.

With `--onnx` or `--module` a model that was made elsewhere takes the checkpoint's place. With `--format tensorrt` a
release of its own, which is not selected: a laptop can't serve it.

Exit codes: 0; 1 where the gate or the checkpoint says no; 2 usage, a machine that lacks what the format needs, or a
model made elsewhere that does not fit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from export.command import run_command
from export.errors import ExportError, OwnModelError
from export.formats.to_tensorrt import build_plan, plan_scores, require_gpu
from export.gate.gate import judge_onnx, judge_padded, judge_served
from export.gate.onnx_runtimes import require_runtimes
from export.parity import Parity, compare, require_half_parity
from export.releases.release import ORIGIN, onnx_contents, plan_contents, with_reference, write_release
from export.releases.repository import RELEASES, next_number, one_at_a_time, read_release, select_release
from export.sources import Source, judged_half, of_checkpoint, of_module, of_onnx
from export.triton_config import CUDA_CONFIG
from local_triton import ConfigurationError, TritonError, TritonServer
from runtime.config import MODEL_REPOSITORY, ROOT
from runtime.contract import read_contract

CHECKPOINT = ROOT / "models" / "cough_cnn.pt"
METRICS = ROOT / "models" / "METRICS.json"
REFERENCE = ROOT / "models" / "REFERENCE.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export", description=__doc__)
    parser.add_argument("--format", choices=("onnx", "tensorrt"), default="onnx")
    network = parser.add_mutually_exclusive_group()
    network.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    network.add_argument("--onnx", type=Path, metavar="FILE", help="a model that was made elsewhere")
    network.add_argument("--module", metavar="PACKAGE.MODULE:FACTORY", help="the same, as a torch network by name")
    parser.add_argument("--facts", type=Path, metavar="YAML", help="what describes it (default: beside it)")
    parser.add_argument("--repository", type=Path, default=MODEL_REPOSITORY, help="the selected release")
    parser.add_argument("--releases", type=Path, default=RELEASES, help="all of them")
    options = parser.parse_args(arguments)
    export = export_onnx if options.format == "onnx" else export_tensorrt

    def source() -> Source:
        if options.onnx:
            return of_onnx(options.onnx, options.facts)
        if options.module:
            return of_module(options.module, options.facts)
        return of_checkpoint(options.checkpoint, METRICS, REFERENCE)

    def act() -> int:
        export(source, options.repository.absolute(), options.releases)
        return 0

    return run_command("export", act, failures=(TritonError,), settings=(ConfigurationError,))


def export_onnx(made: Callable[[], Source], repository: Path, releases: Path) -> None:
    """Raises: ExportError, RuntimeFailure, TritonError; then nothing was written."""
    require_runtimes()
    source = made()
    model, padded, facts = source.model, source.padded, source.facts
    spectrograms, expected = source.spectrograms, source.expected
    parity = _shown(judge_onnx(model, facts, spectrograms, expected))
    parity += _shown(judge_padded(padded, facts, spectrograms, expected))
    source, of_half = judged_half(source, _shown)
    parity += of_half
    half = source.half
    if half is None:
        print(f"half.onnx is left out, and with it every TensorRT plan: {source.half_missing}.")
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "repository"
        write_release(trial, 1, onnx_contents(model, padded, half, facts))
        with TritonServer(trial, log=ROOT / "build" / "export-triton.log") as server:
            parity += _shown(judge_served(server.grpc_url, facts, spectrograms, expected))
        # As GPU nodes serve it, on this machine's CPU: what CUDA makes of the same file only a GPU can say.
        cuda = [f"--model-config-name={CUDA_CONFIG}"]
        with TritonServer(trial, log=ROOT / "build" / "export-triton.log", extra_args=cuda) as server:
            parity += _shown(judge_served(server.grpc_url, facts, spectrograms, expected, "Triton, padded"))
    if source.reference is None:
        print("The release says nothing of its training material, so drift can't be seen: `make reference` makes that.")
    contents = onnx_contents(model, padded, half, facts, source.metrics, parity, source.more)
    contents = with_reference(contents, source.reference)
    with one_at_a_time(releases):
        number = next_number(releases, repository)
        write_release(releases / str(number), number, contents)
        select_release(read_release(releases / str(number)), repository, releases)
    print(f"Release {number} ({len(model) / 1e6:.1f} MB) is written and selected: {repository.name}/ serves it.")


def export_tensorrt(made: Callable[[], Source], repository: Path, releases: Path) -> None:
    """Raises: UnavailableError without a GPU and TensorRT; ExportError, RuntimeFailure."""
    built_on = require_gpu()
    source = made()
    facts = source.facts
    serving = read_contract(repository)
    if serving.checkpoint_sha256 != facts.checkpoint_sha256:
        raise ExportError(f"{repository.name}/ serves another model: run `make export` first, then this again.")
    if source.half is None:
        raise OwnModelError(
            f"A TensorRT plan is built of half.onnx, which can't be made ({source.half_missing}): FORMAT=onnx makes a "
            "release without one."
        )
    plan = build_plan(source.half, facts)
    found = plan_scores(plan, source.spectrograms, len(facts.labels))
    parity = _shown([require_half_parity(compare(source.expected, found, facts, f"TensorRT on {built_on.gpu}"))])
    origin = {name: source.origin[name] for name in ORIGIN if name in source.origin}
    contents = plan_contents(plan, facts, built_on, source.metrics, parity, serving.model.sha256, origin)
    contents = with_reference(contents, source.reference)
    with one_at_a_time(releases):
        number = next_number(releases, repository)
        write_release(releases / str(number), number, contents)
    print(
        f"Release {number} is written for {built_on.gpu} and TensorRT {built_on.tensorrt}: publish it, and serve it on "
        "nodes with that GPU only."
    )


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
