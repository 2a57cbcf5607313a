"""What a release says of its model, wherever that comes from: a checkpoint, or a release made before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from runtime.contract import ModelContract


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """labels: in the order of `class_probabilities`; preprocess: as `runtime.config.preprocess_parameters` gives it."""

    labels: tuple[str, ...]
    preprocess: dict[str, dict[str, Any]]
    cough_threshold: float
    threshold_low: float
    threshold_high: float
    validated: bool
    checkpoint_sha256: str
    data_sha256: str

    @classmethod
    def of_contract(cls, contract: ModelContract) -> Self:
        """Of a release: another format of the same model says the same."""
        return cls(
            labels=contract.labels,
            preprocess=contract.preprocess,
            cough_threshold=contract.cough_threshold,
            threshold_low=contract.thresholds.low,
            threshold_high=contract.thresholds.high,
            validated=contract.model.validated,
            checkpoint_sha256=contract.checkpoint_sha256,
            data_sha256=contract.data_sha256,
        )

    @property
    def image(self) -> tuple[int, int]:
        """n_mels, n_frames of one spectrogram."""
        return self.preprocess["mel_spec"]["n_mels"], self.preprocess["mel_spec"]["n_frames"]
