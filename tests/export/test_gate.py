"""The gate: agreement of every runtime, and each way to fail it, with a sentence and nothing written."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from export import __main__ as command
from export.candidate import load_candidate, precise_scores, torch_scores
from export.errors import GateError, UnavailableError
from export.formats.to_half import HalfCoughCNN
from export.formats.to_onnx import to_onnx
from export.gate.gate import judge_classifier, judge_half, judge_onnx
from export.gate.golden_set import Spectrograms, golden_set, random_spectrograms, sample_spectrograms
from export.gate.onnx_runtimes import RUNTIMES, require_runtimes, score_with
from export.parity import compare, decisions, require_half_parity, require_parity
from runtime.classify import Scores
from runtime.config import ROOT
from runtime.errors import ParametersDiffer
from runtime.model_facts import ModelFacts
from training.model.checkpoint import save_checkpoint
from training.model.network import CoughCNN

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def candidate() -> tuple[CoughCNN, ModelFacts]:
    return load_candidate(command.CHECKPOINT)


@pytest.fixture(scope="module")
def golden(candidate: tuple[CoughCNN, ModelFacts]) -> Spectrograms:
    network, facts = candidate
    return golden_set(sample_spectrograms(ROOT / "samples"), facts, partial(precise_scores, network))


@pytest.fixture(scope="module")
def judged_by(golden: Spectrograms) -> Spectrograms:
    return np.concatenate((sample_spectrograms(ROOT / "samples"), golden))


def test_every_runtime_agrees_and_no_decision_flips(
    candidate: tuple[CoughCNN, ModelFacts], judged_by: Spectrograms
) -> None:
    network, facts = candidate
    expected = torch_scores(network, judged_by)
    found = list(judge_onnx(to_onnx(network, *facts.image), facts, judged_by, expected))
    assert [item.what.split()[-1] for item in found] == list(RUNTIMES) == ["1.19.2", "1.23.1", "1.31.1"]
    assert all(item.flips == 0 and item.max_difference < 1e-5 and item.n == len(judged_by) for item in found)
    half = list(judge_half(to_onnx(HalfCoughCNN(network), *facts.image), facts, judged_by, expected))
    assert len(half) == 3
    assert all(0.0 < item.max_difference < 0.02 for item in half)  # it is float16, and near enough


def test_the_golden_set_is_the_same_each_time_and_crosses_every_threshold(
    candidate: tuple[CoughCNN, ModelFacts], golden: Spectrograms
) -> None:
    network, facts = candidate
    again = golden_set(sample_spectrograms(ROOT / "samples"), facts, partial(precise_scores, network))
    assert np.array_equal(golden, again)
    found = torch_scores(network, golden)
    no_cough, _, negative, _, positive = np.bincount(decisions(found, facts) + 2, minlength=5)
    assert min(no_cough, negative) > 50
    assert positive >= 1  # few of these mixtures look like the class that calls by telephone
    accepted = found.cough >= facts.cough_threshold
    for values, threshold, near in (
        (found.cough, facts.cough_threshold, 0.01),
        (found.cough, facts.uncertain_threshold, 0.01),
        (found.classes[accepted, -1], facts.threshold_low, 0.1),
        (found.classes[accepted, -1], facts.threshold_high, 0.1),
    ):
        # A pool of 3000 reaches this near on both sides: a decision flips here before it flips anywhere.
        assert np.min(threshold - values[values < threshold]) < near
        assert np.min(values[values >= threshold] - threshold) < near


def test_half_precision_keeps_both_ends_of_the_contract(candidate: tuple[CoughCNN, ModelFacts]) -> None:
    network, facts = candidate
    before = {name: value.clone() for name, value in network.state_dict().items()}
    scores = score_with("1.31.1", to_onnx(HalfCoughCNN(network), *facts.image), random_spectrograms(3, *facts.image))
    assert scores.cough.dtype == scores.classes.dtype == np.float32
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def scores(cough: list[float], positive: list[float]) -> Scores:
    classes = np.array([[1.0 - item, item] for item in positive], dtype=np.float32)
    return Scores(np.array(cough, dtype=np.float32), classes)


def test_flips_are_counted_at_every_threshold(candidate: tuple[CoughCNN, ModelFacts]) -> None:
    thresholds = {"cough_threshold": 0.5, "uncertain_threshold": 0.2, "threshold_low": 0.3, "threshold_high": 0.7}
    facts = replace(candidate[1], **thresholds, validated=True)
    expected = scores([0.49999, 0.19999, 0.9, 0.9, 0.1], [0.5, 0.5, 0.29999, 0.69999, 0.2])
    found = scores([0.50001, 0.20001, 0.9, 0.9, 0.1], [0.5, 0.5, 0.30001, 0.70001, 0.9])
    parity = compare(expected, found, facts, "x")
    assert parity.flips == 4  # the last one is no cough either way: its class decides nothing
    with pytest.raises(GateError, match="flips 4 of 5 decisions"):
        require_parity(replace(parity, max_difference=0.0))
    with pytest.raises(GateError, match="by up to"):
        require_parity(replace(parity, flips=0))
    with pytest.raises(GateError):
        require_half_parity(replace(parity, max_difference=0.0))
    assert require_half_parity(replace(parity, max_difference=0.01, flips=1, n=200)).flips == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_no_numbers_never_pass(candidate: tuple[CoughCNN, ModelFacts], wrong: float) -> None:
    """NaN is neither above nor below a tolerance."""
    good, facts = scores([0.1, 0.9], [0.1, 0.9]), candidate[1]
    for bad in (scores([0.1, wrong], [0.1, 0.9]), scores([0.1, 0.9], [wrong, 0.9])):
        with pytest.raises(GateError, match="no numbers"):
            compare(good, bad, facts, "x")
    with pytest.raises(GateError, match="shape"):
        compare(good, scores([0.1], [0.1]), facts, "x")


class Batchwise:
    """A classifier that is wrong in one way; it stands in for a server, since a right one never fails the gate."""

    def __init__(self, network: CoughCNN, wrong: str) -> None:
        self.network, self.wrong = network, wrong

    def classify(self, spectrograms: Spectrograms) -> Scores:
        found = torch_scores(self.network, spectrograms)
        cough = found.cough.copy()
        if (self.wrong == "alone") is (len(spectrograms) == 1) and self.wrong != "place":
            cough += 0.01
        if self.wrong == "place" and 1 < len(spectrograms) < 30:
            cough[0] -= 0.01
        return Scores(cough, found.classes)


@pytest.mark.parametrize(
    ("wrong", "words"), [("batch", "in full batches"), ("alone", "each spectrogram alone"), ("place", "other callers")]
)
def test_a_score_that_depends_on_its_neighbours_is_found(
    candidate: tuple[CoughCNN, ModelFacts], judged_by: Spectrograms, wrong: str, words: str
) -> None:
    network, facts = candidate
    some = judged_by[:: len(judged_by) // 60]
    with pytest.raises(GateError, match=words):
        classifier: Any = Batchwise(network, wrong)
        list(judge_classifier(classifier, facts, some, torch_scores(network, some)))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    for suffix in (".pt", ".json"):
        shutil.copy(command.CHECKPOINT.with_suffix(suffix), tmp_path)
    return tmp_path / "cough_cnn.pt"


def export(checkpoint: Path) -> int:
    folder = checkpoint.parent
    paths = {"--checkpoint": checkpoint, "--repository": folder / "repository", "--releases": folder / "releases"}
    return command.main([str(item) for pair in paths.items() for item in pair])


def change(checkpoint: Path, **fields: object) -> None:
    file = checkpoint.with_suffix(".json")
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> str:
    before = sorted(checkpoint.parent.iterdir())
    assert export(checkpoint) == 1
    assert sorted(checkpoint.parent.iterdir()) == before  # no release, no repository
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_checkpoint_with_a_wrong_digest_is_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(checkpoint, sha256="0" * 64)
    assert "is not the file that cough_cnn.json describes: restore both" in refused(checkpoint, capsys)


def test_nan_weights_are_refused(
    checkpoint: Path, candidate: tuple[CoughCNN, ModelFacts], capsys: pytest.CaptureFixture[str]
) -> None:
    broken, _ = load_candidate(checkpoint)
    with torch.no_grad():
        broken.cough_head.bias.fill_(float("nan"))
    described = json.loads(checkpoint.with_suffix(".json").read_text())
    save_checkpoint(checkpoint, broken, {name: value for name, value in described.items() if name != "sha256"})
    assert "train again" in refused(checkpoint, capsys)


def test_other_classes_are_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(checkpoint, labels=["healthy", "ill"])
    assert "names the classes healthy, ill, but a diagnosis has negative, positive" in refused(checkpoint, capsys)


def test_other_parameters_are_refused(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preprocess = json.loads(checkpoint.with_suffix(".json").read_text())["preprocess"]
    preprocess["mel_spec"]["hop_length"] = 100
    change(checkpoint, preprocess=preprocess)
    with pytest.raises(ParametersDiffer, match=r"mel_spec\.hop_length is 80.*trained with 100"):
        load_candidate(checkpoint)
    assert "mel_spec.hop_length is 80" in refused(checkpoint, capsys)


def test_a_missing_environment_is_said(candidate: tuple[CoughCNN, ModelFacts], tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"\.venv-triton, which is not there"):
        score_with("1.19.2", b"", random_spectrograms(1, 64, 96), root=tmp_path)
    with pytest.raises(GateError, match=r"ONNX Runtime 1\.31\.1 can't run the model"):
        score_with("1.31.1", b"no model", random_spectrograms(1, 64, 96))


@pytest.mark.parametrize(
    ("package", "gpu", "words"),
    [
        (False, False, "lacks the package `tensorrt` .* and an NVIDIA GPU"),
        (False, True, r"lacks the package `tensorrt` \(pip"),
        (True, False, "lacks an NVIDIA GPU"),
    ],
)
def test_a_plan_says_what_is_missing(
    package: bool, gpu: bool, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever this machine has."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object() if package else None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert command.main(["--format", "tensorrt"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(words, line)


@pytest.mark.parametrize(("version", "refused"), [("3 11", False), ("3 12", False), ("3 13", True)])
def test_a_python_without_the_oldest_runtime_makes_no_release(tmp_path: Path, version: str, refused: bool) -> None:
    python = tmp_path / ".venv-triton" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\necho {version}\n")
    python.chmod(0o755)
    if not refused:
        require_runtimes(tmp_path)
        return
    with pytest.raises(
        UnavailableError, match=r"1\.19\.2.*no wheel for Python 3\.13: run `make export PYTHON=python3\.12`"
    ):
        require_runtimes(tmp_path)
