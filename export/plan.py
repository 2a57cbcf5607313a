"""A plan that was built on a GPU node (k8s/manifests/tensorrt-plan) becomes a release, once it was judged.

    python -m export.plan fetch  PATH FOLDER                       a published ONNX release, every digest checked
    python -m export.plan trial  SOURCE PLAN BUILT_ON FOLDER       a repository that Triton can load, so that it can be
    judged
    python -m export.plan finish SOURCE PLAN BUILT_ON URL FOLDER   judge what Triton at URL serves, write the release,
    publish it

Exit codes: 0; 1 where the plan is not good enough or the container says no; 2 usage. Needs no torch: what the plan is
judged by is the ONNX file that it was built from, in process.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from export.command import run_command
from export.errors import GateError, ReleaseError
from export.gate.golden_set import golden_set, sample_spectrograms
from export.parity import Parity, compare, require_half_parity
from export.releases.publish import container_of, fetch, publish, triton_path
from export.releases.release import (
    HALF_FILE,
    HALF_MISSING,
    ORIGIN,
    Contents,
    plan_contents,
    with_reference,
    write_release,
)
from export.releases.repository import Release, read_release
from export.triton_config import BuiltOn
from runtime.config import ROOT
from runtime.contract import MODEL_NAME, read_contract
from runtime.model_facts import ModelFacts
from runtime.onnx_classifier import OnnxClassifier
from runtime.triton_classifier import TritonClassifier


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m export.plan", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    fetched = commands.add_parser("fetch", help="download a published ONNX release")
    fetched.add_argument("path", help="in the container, e.g. releases/3-0123456789ab")
    for name in ("trial", "finish"):
        command = commands.add_parser(name)
        command.add_argument("source", type=Path, help="the ONNX release that the plan was built from")
        command.add_argument("plan", type=Path, help="model.plan")
        command.add_argument("built_on", type=Path, help="a JSON file: the names of `gpu` and `tensorrt`")
        if name == "finish":
            command.add_argument("url", help="Triton that serves the trial: host:port of its gRPC")
    for command in commands.choices.values():
        command.add_argument("folder", type=Path, help="where to; must not exist")
    options = parser.parse_args(arguments)
    return run_command(options.command, lambda: _act(options))


def _act(options: argparse.Namespace) -> int:
    if options.command == "fetch":
        _require_half(fetch(container_of(), options.path.strip("/"), options.folder))
    elif options.command == "trial":
        source, built_on = read_release(options.source), read_built_on(options.built_on)
        write_release(options.folder, source.number, _contents(source, options.plan, built_on, ()))
    else:
        built_on = read_built_on(options.built_on)
        print(_finish(read_release(options.source), options.plan, built_on, options.url, options.folder))
    return 0


def _require_half(source: Release) -> None:
    """Raises: ReleaseError where no plan can be built of the release, which is then removed."""
    if not (source.folder / MODEL_NAME / HALF_FILE).is_file():
        shutil.rmtree(source.folder)
        reason = source.manifest.get(HALF_MISSING, "it was made without one")
        raise ReleaseError(
            f"Release {source.number} has no {HALF_FILE}, of which a plan is built ({reason}): serve it as it is, with "
            "the configuration for CUDA."
        )


def _finish(source: Release, plan: Path, built_on: BuiltOn, url: str, folder: Path) -> str:
    """The path that Triton takes."""
    plan_sha256 = hashlib.sha256(plan.read_bytes()).hexdigest()
    contents = _contents(source, plan, built_on, [judge(source, plan_sha256, url, built_on.gpu)])
    write_release(folder, source.number, contents)
    container = container_of()
    return triton_path(container, publish(read_release(folder), container))


def judge(source: Release, plan_sha256: str, url: str, gpu: str) -> Parity:
    """The plan, as Triton at `url` serves it, against the ONNX file in process. Raises: GateError, RuntimeFailure."""
    samples, onnx = sample_spectrograms(ROOT / "samples"), OnnxClassifier(source.folder)
    spectrograms = np.concatenate((samples, golden_set(samples, _facts(source), onnx.classify)))
    expected = onnx.classify(spectrograms)
    with TritonClassifier(url) as served:
        serving = served.contract().model.sha256
        if serving != plan_sha256:
            raise GateError(
                f"Triton at {url} serves another model ({serving[:12]}) than the plan ({plan_sha256[:12]})."
            )
        found = served.classify(spectrograms)
    return require_half_parity(compare(expected, found, _facts(source), f"TensorRT on {gpu}, served by Triton"))


def _contents(source: Release, plan: Path, built_on: BuiltOn, parity: Sequence[Parity]) -> Contents:
    contract = read_contract(source.folder)
    manifest = source.manifest
    origin = {field: manifest[field] for field in ORIGIN if field in manifest}
    contents = plan_contents(
        plan.read_bytes(), contract, built_on, manifest["metrics"], parity, contract.model.sha256, origin
    )
    return with_reference(contents, contract.reference.document if contract.reference else None)


def read_built_on(file: Path) -> BuiltOn:
    """What the Job noted beside the plan. Raises: ReleaseError, OSError."""
    try:
        noted = json.loads(file.read_text(encoding="utf-8"))
        found = BuiltOn(noted["gpu"].strip(), noted["tensorrt"].strip())
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(f"{file.name} does not say where the plan was built: gpu and tensorrt as JSON.") from error
    if not found.gpu or not found.tensorrt:
        raise ReleaseError(f"{file.name} lacks the name of the GPU or the version of TensorRT that built the plan.")
    return found


def _facts(source: Release) -> ModelFacts:
    return read_contract(source.folder)


if __name__ == "__main__":
    sys.exit(main())
