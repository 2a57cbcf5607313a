"""Facts of a trained model that hold everywhere: in a checkpoint, in a release, behind Triton, in `GET /v1/model`.

ModelFacts
├── training.model.checkpoint.CheckpointInfo   and what it was trained with
└── runtime.contract.ModelContract             and how it is served
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LABELS = ("negative", "positive")  # labels of a diagnosis; the model must have these, in this order
OPERATING_POINT = ("recording_sensitivity", "recording_false_alarms")


@dataclass(frozen=True)
class ModelFacts:
    """A model's facts.

    labels: in the order of `class_probabilities`; preprocess: in the form of `runtime.config.preprocess_parameters`

    cough_threshold: from this probability on a segment is surely a cough, and a recording holds one only if it has such
        a segment; threshold_low, threshold_high: of the last label's probability; between them the model does not
        decide
    uncertain_threshold: from this probability on, below `cough_threshold`, a segment may be a cough; beside a sure one
        it counts as a cough. Where both are equal nothing is uncertain
    validated: whether the class may be relied on
    operating_point: what the cough threshold gives by recording, on material of its own: each name of OPERATING_POINT
        -> a share as `value`, the bounds of its 95 % interval as `low` and `high`, and the `source` in words, or None;
        empty where nobody measured
    """

    labels: tuple[str, ...]
    preprocess: dict[str, dict[str, Any]]
    cough_threshold: float
    uncertain_threshold: float
    threshold_low: float
    threshold_high: float
    validated: bool
    checkpoint_sha256: str
    data_sha256: str
    operating_point: dict[str, Any] = field(default_factory=dict, kw_only=True)

    @property
    def image(self) -> tuple[int, int]:
        """Return n_mels, n_frames of one spectrogram."""
        return self.preprocess["mel_spec"]["n_mels"], self.preprocess["mel_spec"]["n_frames"]


def is_operating_point(document: object) -> bool:
    """Whether a document read from a file has the form of `ModelFacts.operating_point`."""
    return isinstance(document, dict) and all(
        name in OPERATING_POINT and (one is None or _is_share(one)) for name, one in document.items()
    )


def _is_share(one: object) -> bool:
    if not isinstance(one, dict) or one.keys() != {"value", "low", "high", "source"}:
        return False
    shares = [one["low"], one["value"], one["high"]]
    numbers = all(isinstance(share, int | float) and not isinstance(share, bool) for share in shares)
    return numbers and 0.0 <= shares[0] <= shares[1] <= shares[2] <= 1.0 and isinstance(one["source"], str)
