"""What is true of a trained model wherever it lies: in a checkpoint, in a release, behind Triton, in `GET /v1/model`.

ModelFacts
├── training.model.checkpoint.CheckpointInfo   and what it was trained with
└── runtime.contract.ModelContract             and how it is served
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LABELS = ("negative", "positive")  # of a diagnosis; the model's must be these, in this order


@dataclass(frozen=True)
class ModelFacts:
    """labels: in the order of `class_probabilities`; preprocess: as `runtime.config.preprocess_parameters` gives it.

    cough_threshold: a segment is a cough from here on, as a probability; threshold_low, threshold_high: of the last
    label's probability, between them the model does not decide
    validated: whether anyone may rely on the class
    """

    labels: tuple[str, ...]
    preprocess: dict[str, dict[str, Any]]
    cough_threshold: float
    threshold_low: float
    threshold_high: float
    validated: bool
    checkpoint_sha256: str
    data_sha256: str

    @property
    def image(self) -> tuple[int, int]:
        """n_mels, n_frames of one spectrogram."""
        return self.preprocess["mel_spec"]["n_mels"], self.preprocess["mel_spec"]["n_frames"]
