"""The committed card says what the committed METRICS.json says, and that is of the committed checkpoint."""

from __future__ import annotations

import json

import pytest

from runtime.config import ROOT
from training.evaluation.targets import TARGETS
from training.model.checkpoint import load_checkpoint
from training.reporting.model_card import model_card

pytestmark = pytest.mark.training

MODELS = ROOT / "models"


def test_the_committed_card_is_the_metrics() -> None:
    metrics = json.loads((MODELS / "METRICS.json").read_text(encoding="utf-8"))
    _, info = load_checkpoint(MODELS / "cough_cnn.pt")
    assert (metrics["checkpoint_sha256"], metrics["data_sha256"]) == (info.checkpoint_sha256, info.data_sha256)
    assert metrics["cough_threshold"] == info.cough_threshold
    card = (MODELS / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card == model_card(metrics)
    for name in TARGETS:
        assert f"{metrics['crossval']['figures'][name]['value']:.3f} [" in card
    assert "no medical" in card
