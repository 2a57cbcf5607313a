"""The committed release is what the committed checkpoint gives; and `make export` as a whole, with the real Triton."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from export import __main__ as command
from export.candidate import load_candidate
from export.formats.to_half import HalfCoughCNN
from export.formats.to_onnx import to_onnx
from export.formats.to_padded import to_padded
from export.releases.release import HALF_FILE, MANIFEST, published_metrics, published_reference
from export.releases.repository import problems_of, read_release
from export.triton_config import PADDED_FILE, config_text, cuda_config, onnx_config
from runtime.config import MODEL_REPOSITORY, canonical_json
from runtime.contract import REFERENCE, read_contract

pytestmark = pytest.mark.training


def test_the_committed_release_is_the_committed_checkpoint() -> None:
    network, facts = load_candidate(command.CHECKPOINT)
    manifest = json.loads((MODEL_REPOSITORY / MANIFEST).read_text())
    folder = MODEL_REPOSITORY / "cough_cnn"
    model = (folder / str(manifest["release"]) / "model.onnx").read_bytes()
    assert to_onnx(network, *facts.image) == model
    assert to_padded(model) == (folder / str(manifest["release"]) / PADDED_FILE).read_bytes()
    assert to_onnx(HalfCoughCNN(network), *facts.image) == (folder / HALF_FILE).read_bytes()
    sha256 = hashlib.sha256(model).hexdigest()
    reference = published_reference(command.REFERENCE, facts)
    assert reference is not None, "make reference"
    for name, config in (("config", onnx_config(facts, sha256)), ("configs/cuda", cuda_config(facts, sha256))):
        config.parameters[REFERENCE].string_value = canonical_json(reference)
        assert (folder / f"{name}.pbtxt").read_text() == config_text(config)
    assert manifest["checkpoint_sha256"] == facts.checkpoint_sha256
    assert manifest["metrics"] == published_metrics(command.METRICS, facts) != {}


def test_an_export_is_judged_written_and_selected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice, since the second must leave the first as it was."""
    repository, releases = tmp_path / "model_repository", tmp_path / "releases"
    arguments = ["--repository", str(repository), "--releases", str(releases)]
    for number in ("1", "2"):
        assert command.main(arguments) == 0
        assert f"Release {number} " in capsys.readouterr().out
        assert read_contract(repository).model.version == number
    first, second = (read_release(releases / number) for number in ("1", "2"))
    assert list(problems_of(first)) == list(problems_of(second)) == []
    judged = [item["what"] for item in second.manifest["parity"]]
    assert [item for item in judged if item.startswith("ONNX Runtime")] == [
        "ONNX Runtime 1.19.2",
        "ONNX Runtime 1.23.1",
        "ONNX Runtime 1.31.1",
    ]
    assert sum(item.startswith("padded, ONNX Runtime") for item in judged) == 3
    assert sum(item.startswith("Triton, padded") for item in judged) == 3
    assert sum(item.startswith("Triton") for item in judged) == 6
    assert all(item["flips"] == 0 for item in second.manifest["parity"] if not item["what"].startswith("float16"))
    # The model's own bytes do not depend on the release.
    digests = [
        {name: sha for name, sha in item.manifest["files"].items() if "onnx" in name} for item in (first, second)
    ]
    assert sorted(digests[0].values()) == sorted(digests[1].values())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model_repository", "releases"]
