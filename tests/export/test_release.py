"""A release is a whole directory with digests; the committed one is what the committed checkpoint gives."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from export.__main__ import CHECKPOINT
from export.parity import check_parity, torch_scores
from export.release import next_number, select_release, write_release
from export.spectrograms import random_spectrograms, sample_spectrograms
from export.to_onnx import to_onnx
from export.triton_config import MAX_BATCH_SIZE, config_text, triton_config
from local_triton import TritonServer
from runtime.config import MODEL_REPOSITORY, ROOT, load_config
from runtime.contract import read_contract
from runtime.errors import ModelContractError, ParametersDiffer
from runtime.triton_classifier import TritonClassifier
from training.checkpoint import CheckpointInfo, load_checkpoint
from training.network import CoughCNN

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def checkpoint() -> tuple[CoughCNN, CheckpointInfo]:
    return load_checkpoint(CHECKPOINT)


def test_the_committed_release_is_the_committed_checkpoint(checkpoint: tuple[CoughCNN, CheckpointInfo]) -> None:
    network, info = checkpoint
    manifest = json.loads((MODEL_REPOSITORY / "manifest.json").read_text())
    number = str(manifest["release"])
    model = (MODEL_REPOSITORY / "cough_cnn" / number / "model.onnx").read_bytes()
    assert to_onnx(network, 64, 96) == model
    config = triton_config(info, hashlib.sha256(model).hexdigest())
    assert (MODEL_REPOSITORY / "cough_cnn" / "config.pbtxt").read_text() == config_text(config)
    for name, sha256 in manifest["files"].items():
        assert hashlib.sha256((MODEL_REPOSITORY / name).read_bytes()).hexdigest() == sha256
    assert manifest["checkpoint_sha256"] == info.sha256
    assert onnx.load_model_from_string(model).ir_version <= 10


def test_torch_and_the_served_model_agree_on_every_sample(
    checkpoint: tuple[CoughCNN, CheckpointInfo], tmp_path: Path
) -> None:
    network, info = checkpoint
    sets = [sample_spectrograms(ROOT / "samples"), *(random_spectrograms(n, 64, 96, n) for n in (1, 7, MAX_BATCH_SIZE))]
    with (
        TritonServer(MODEL_REPOSITORY, log=tmp_path / "triton.log") as server,
        TritonClassifier(server.grpc_url) as classifier,
    ):
        for spectrograms in sets:
            found = classifier.classify(spectrograms)
            check_parity(torch_scores(network, spectrograms), found, info.cough_threshold, "Triton")


def test_what_is_written_can_be_selected_and_read(checkpoint: tuple[CoughCNN, CheckpointInfo], tmp_path: Path) -> None:
    network, info = checkpoint
    model = to_onnx(network, 64, 96)
    releases, repository = tmp_path / "releases", tmp_path / "model_repository"
    releases.mkdir()
    assert next_number(releases, repository) == 1
    for number in (1, 2):
        write_release(releases / str(number), number, model, info)
        select_release(releases / str(number), repository)
    assert read_contract(repository).model.version == "2"
    assert next_number(releases, repository) == 3
    assert sorted(one.name for one in tmp_path.iterdir()) == ["model_repository", "releases"]


def test_a_release_that_cannot_be_read_back_is_not_written(
    checkpoint: tuple[CoughCNN, CheckpointInfo], tmp_path: Path
) -> None:
    _, info = checkpoint
    broken = replace(info, preprocess={**info.preprocess, "mel_spec": {**info.preprocess["mel_spec"], "n_mels": "x"}})
    with pytest.raises((ModelContractError, TypeError)):
        write_release(tmp_path / "1", 1, b"", broken)
    assert not (tmp_path / "1").exists()


def test_other_parameters_are_named(checkpoint: tuple[CoughCNN, CheckpointInfo]) -> None:
    segmentation, mel_spec, color_spec = load_config()
    contract = read_contract(MODEL_REPOSITORY)
    with pytest.raises(ParametersDiffer) as caught:
        contract.check_parameters(segmentation, replace(mel_spec, hop_length=100), color_spec)
    assert (caught.value.field, caught.value.expected, caught.value.found) == ("mel_spec.hop_length", 80, 100)
