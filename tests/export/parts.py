"""Releases made by hand, without a network: what managing and publishing need."""

from __future__ import annotations

from pathlib import Path

from export.releases.release import onnx_contents, write_release
from export.releases.repository import Release, read_release
from runtime.config import load_config, preprocess_parameters
from runtime.model_facts import ModelFacts

FACTS = ModelFacts(
    labels=("negative", "positive"),
    preprocess=preprocess_parameters(*load_config()),
    cough_threshold=0.45,
    uncertain_threshold=0.3,
    threshold_low=0.5,
    threshold_high=0.5,
    validated=False,
    checkpoint_sha256="c" * 64,
    data_sha256="d" * 64,
    operating_point={
        "recording_sensitivity": {"value": 0.97, "low": 0.9, "high": 1.0, "source": "made by hand"},
        "recording_false_alarms": None,
    },
)


def write(releases: Path, number: int, model: bytes = b"", half: bytes | None = b"half") -> Release:
    """A release whose model is only bytes: no server could load it, and nothing here asks one to."""
    releases.mkdir(exist_ok=True)
    folder = releases / str(number)
    write_release(folder, number, onnx_contents(model or f"model {number}".encode(), b"padded", half, FACTS))
    return read_release(folder)
