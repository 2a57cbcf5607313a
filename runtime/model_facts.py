"""Facts of a trained model that hold everywhere: in a checkpoint, in a release, behind Triton, in `GET /v1/model`.

ModelFacts
├── training.model.checkpoint.CheckpointInfo   and what it was trained with
└── runtime.contract.ModelContract             and how it is served
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LABELS = ("negative", "positive")  # labels of a diagnosis; the model must have these, in this order


@dataclass(frozen=True)
class ModelFacts:
    """A model's facts.

    labels: in the order of `class_probabilities`; preprocess: in the form of `runtime.config.preprocess_parameters`

    cough_threshold: from this probability on a segment is a cough; threshold_low, threshold_high: of the last label's
        probability; between them the model does not decide
    validated: whether the class may be relied on
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
        """Return n_mels, n_frames of one spectrogram."""
        return self.preprocess["mel_spec"]["n_mels"], self.preprocess["mel_spec"]["n_frames"]
