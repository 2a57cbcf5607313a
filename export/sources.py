"""Where a release's network comes from: our checkpoint; or made elsewhere, an ONNX file or a torch network by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from export.candidate import load_candidate, precise_scores, torch_scores
from export.errors import GateError, OwnModelError
from export.formats.onnx_to_half import onnx_to_half
from export.formats.to_half import HalfCoughCNN
from export.formats.to_onnx import to_onnx
from export.formats.to_padded import to_padded
from export.gate.gate import judge_half
from export.gate.golden_set import Spectrograms, golden_set, sample_spectrograms
from export.gate.onnx_runtimes import RUNTIMES, score_with
from export.own.description import Description, read_description
from export.own.onnx_file import check_onnx, first_line, opset_of, read_onnx
from export.own.torch_module import load_module, module_onnx, module_scores
from export.own.trial import require_probabilities, try_out
from export.parity import Parity
from export.releases.release import HALF_MISSING, published_metrics, published_reference
from runtime.classify import Scores
from runtime.config import ROOT
from runtime.model_facts import LABELS, ModelFacts

NEWEST = list(RUNTIMES)[-1]


@dataclass(frozen=True, slots=True)
class Source:
    """A network in the files of a release, and what these are held to.

    half: in float16, or None where it can't be made; half_missing: why, in words
    spectrograms: that it is judged on, uint8 [shape=(n, n_mels, n_frames)]; expected: their scores by the reference
    metrics: name -> value; reference: what it was trained on (runtime/line), None where nobody knows
    origin: further fields of the manifest, of a model that was made elsewhere
    """

    model: bytes
    padded: bytes
    half: bytes | None
    facts: ModelFacts
    spectrograms: Spectrograms
    expected: Scores
    metrics: Mapping[str, Any]
    origin: Mapping[str, Any] = field(default_factory=dict)
    half_missing: str = ""
    reference: Mapping[str, Any] | None = None

    @property
    def more(self) -> dict[str, Any]:
        """Further fields of the manifest."""
        return dict(self.origin) if self.half is not None else {**self.origin, HALF_MISSING: self.half_missing}


def of_checkpoint(checkpoint: Path, metrics: Path, reference: Path) -> Source:
    """Judged by torch. metrics: METRICS.json; reference: REFERENCE.json. Raises: ExportError, RuntimeFailure."""
    network, facts = load_candidate(checkpoint)
    model, half = to_onnx(network, *facts.image), to_onnx(HalfCoughCNN(network), *facts.image)
    samples = sample_spectrograms(ROOT / "samples")
    spectrograms = np.concatenate((samples, golden_set(samples, facts, partial(precise_scores, network))))
    expected = torch_scores(network, spectrograms)
    return Source(
        model,
        to_padded(model),
        half,
        facts,
        spectrograms,
        expected,
        published_metrics(metrics, facts),
        reference=published_reference(reference, facts),
    )


def of_onnx(file: Path, description: Path | None) -> Source:
    """Judged by the newest ONNX Runtime: without its network there is nothing else that says what is right.

    description: the YAML; by default beside the file. Raises: OwnModelError, GateError, RuntimeFailure.
    """
    data = read_onnx(file)
    described = read_description(description or file.with_suffix(".yaml"))
    return _own(data, file.name, described, "an ONNX file")


def of_module(name: str, description: Path | None) -> Source:
    """Judged by torch. name: `package.module:factory`; description: the YAML; by default beside the module's file.

    Raises: OwnModelError, GateError, RuntimeFailure.
    """
    network, beside = load_module(name)
    described = read_description(description or beside)
    data = module_onnx(network, name, described.facts(b"").image)
    source = _own(data, name, described, "a torch network")
    expected = require_probabilities(module_scores(network, source.spectrograms), name)
    return replace(source, expected=expected, origin={**source.origin, "parity_with": "torch"})


def judged_half(source: Source, show: Callable[[Iterable[Parity]], list[Parity]]) -> tuple[Source, list[Parity]]:
    """The source, and what the gate measured of its half.onnx. A model that was made elsewhere goes without one where
    the gate says no. show: prints measurements as they come.

    Raises: GateError where it is our own checkpoint's.
    """
    if source.half is None:
        return source, []
    try:
        return source, show(judge_half(source.half, source.facts, source.spectrograms, source.expected))
    except GateError as error:
        if not source.origin:
            raise
        return replace(source, half=None, half_missing=str(error).removesuffix(".")), []


def _own(data: bytes, name: str, described: Description, kind: str) -> Source:
    """name: of the network, for sentences; kind: what was given, in words."""
    facts = described.facts(data)
    model = check_onnx(data, name, facts.image, len(LABELS))
    try_out(data, name, facts.image, len(LABELS))

    def score(spectrograms: Spectrograms) -> Scores:
        return require_probabilities(score_with(NEWEST, data, spectrograms), name)

    samples = sample_spectrograms(ROOT / "samples")
    # Chosen by float32, so another processor may choose others; only a torch network could score in float64.
    spectrograms = np.concatenate((samples, golden_set(samples, facts, score)))
    figures = [figure.model_dump() for figure in described.figures]
    made_by = f"{model.producer_name} {model.producer_version}".strip()
    origin = {
        "origin": {
            "name": name,
            "given_as": kind,
            **described.source.model_dump(),
            "exported_by": made_by or None,
            "opset": opset_of(model),
        },
        "parity_with": f"ONNX Runtime {NEWEST}; not torch, because only an ONNX file was given",
        "figures": figures,
    }
    half, half_missing = _half(data)
    metrics = {figure["name"]: figure["value"] for figure in figures}
    return Source(
        data, _padded(data, name), half, facts, spectrograms, score(spectrograms), metrics, origin, half_missing
    )


def _padded(data: bytes, name: str) -> bytes:
    try:
        return to_padded(data)
    except (ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise OwnModelError(
            f"No file for GPUs can be made of {name} ({first_line(error)}): export it with opset 18, by torch's own "
            "exporter."
        ) from error


def _half(data: bytes) -> tuple[bytes | None, str]:
    """The network in float16, or None and why not."""
    try:
        return onnx_to_half(data), ""
    except ValueError as error:
        return None, str(error)
