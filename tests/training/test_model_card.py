"""The committed card says what the committed checkpoint says."""

from __future__ import annotations

import pytest

from runtime.config import ROOT
from training.checkpoint import load_checkpoint
from training.model_card import model_card

pytestmark = pytest.mark.training


def test_the_committed_card_is_the_checkpoints() -> None:
    _, info = load_checkpoint(ROOT / "models" / "cough_cnn.pt")
    card = (ROOT / "models" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert card == model_card(info)
    assert f"{info.metrics['validation']['coughseg_event_auc']:.3f}" in card
