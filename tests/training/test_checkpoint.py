"""What is saved is what is loaded; what was altered is refused with a sentence that says what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from preprocess.color import color_table
from runtime.config import load_config, preprocess_parameters
from training.model.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from training.model.network import CoughCNN

pytestmark = pytest.mark.training


def description() -> dict[str, Any]:
    return {
        "labels": ("negative", "positive"),
        "preprocess": preprocess_parameters(*load_config()),
        "cough_threshold": 0.5,
        "uncertain_threshold": 0.25,
        "threshold_low": 0.5,
        "threshold_high": 0.5,
        "validated": False,
        "data_sha256": "0" * 64,
        "recipe_sha256": "1" * 64,
        "seed": 1,
        "software_version": "0",
    }


def a_network(seed: int = 0) -> CoughCNN:
    torch.manual_seed(seed)
    return CoughCNN(color_table(load_config()[2]), 2)


def test_round_trip(tmp_path: Path) -> None:
    network = a_network().eval()
    saved = save_checkpoint(tmp_path / "net.pt", network, description())
    loaded, info = load_checkpoint(tmp_path / "net.pt")
    assert info == saved
    batch = torch.randint(0, 256, (3, 64, 96), dtype=torch.uint8)
    assert all(torch.equal(a, b) for a, b in zip(network(batch), loaded(batch), strict=True))


def test_refuses_altered_weights(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "net.pt", a_network(), description())
    save_checkpoint(tmp_path / "other.pt", a_network(1), description())
    (tmp_path / "net.pt").write_bytes((tmp_path / "other.pt").read_bytes())
    with pytest.raises(CheckpointError, match="restore both from one run"):
        load_checkpoint(tmp_path / "net.pt")


def test_refuses_nan(tmp_path: Path) -> None:
    network = a_network()
    network.cough_head.bias.data[0] = float("nan")
    save_checkpoint(tmp_path / "net.pt", network, description())
    with pytest.raises(CheckpointError, match="no numbers"):
        load_checkpoint(tmp_path / "net.pt")


def test_refuses_missing_and_foreign_descriptions(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="make train"):
        load_checkpoint(tmp_path / "net.pt")
    save_checkpoint(tmp_path / "net.pt", a_network(), description())
    (tmp_path / "net.json").write_text(json.dumps({"labels": ["a"]}))
    with pytest.raises(CheckpointError, match="not a checkpoint's description"):
        load_checkpoint(tmp_path / "net.pt")


def test_before_0_4_0_nothing_was_uncertain(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "net.pt", a_network(), description())
    document = json.loads((tmp_path / "net.json").read_text())
    del document["uncertain_threshold"], document["operating_point"]
    (tmp_path / "net.json").write_text(json.dumps(document))
    _, info = load_checkpoint(tmp_path / "net.pt")
    assert (info.uncertain_threshold, info.cough_threshold, info.operating_point) == (0.5, 0.5, {})


def test_the_operating_point_is_kept_and_checked(tmp_path: Path) -> None:
    measured = {"recording_sensitivity": {"value": 0.97, "low": 0.9, "high": 1.0, "source": "x"}}
    save_checkpoint(tmp_path / "net.pt", a_network(), {**description(), "operating_point": measured})
    assert load_checkpoint(tmp_path / "net.pt")[1].operating_point == measured
    save_checkpoint(tmp_path / "net.pt", a_network(), {**description(), "operating_point": {"sensitivity": 0.97}})
    with pytest.raises(CheckpointError, match="not a checkpoint's description"):
        load_checkpoint(tmp_path / "net.pt")
