"""`make export`: checkpoint -> parity checks -> releases/<n>/ -> model_repository/."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from export.parity import ParityError, check_parity, torch_scores
from export.release import next_number, published_metrics, select_release, write_release
from export.spectrograms import random_spectrograms, sample_spectrograms
from export.to_onnx import to_onnx
from runtime.config import MODEL_REPOSITORY, ROOT, load_config, preprocess_parameters
from runtime.errors import RuntimeFailure
from runtime.onnx_classifier import OnnxClassifier
from training.checkpoint import CheckpointError, load_checkpoint

CHECKPOINT = ROOT / "models" / "cough_cnn.pt"
METRICS = ROOT / "models" / "METRICS.json"
RELEASES = ROOT / "releases"


def main() -> int:
    try:
        return _export()
    except (CheckpointError, ParityError, RuntimeFailure) as error:
        print(f"export: {error}", file=sys.stderr)
        return 1


def _export() -> int:
    network, info = load_checkpoint(CHECKPOINT)
    ours = preprocess_parameters(*load_config())
    if info.preprocess != ours:
        raise CheckpointError("config.yml differs from the parameters of the checkpoint: restore it, or train again.")
    n_mels, n_frames = info.preprocess["mel_spec"]["n_mels"], info.preprocess["mel_spec"]["n_frames"]
    model = to_onnx(network, n_mels, n_frames)
    spectrograms = np.concatenate((sample_spectrograms(ROOT / "samples"), random_spectrograms(64, n_mels, n_frames)))
    number = next_number(RELEASES, MODEL_REPOSITORY)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder) / "repository"
        write_release(trial, number, model, info)
        found = OnnxClassifier(trial).classify(spectrograms)
    parity = check_parity(torch_scores(network, spectrograms), found, info.cough_threshold, "ONNX Runtime")
    RELEASES.mkdir(exist_ok=True)
    write_release(RELEASES / str(number), number, model, info, published_metrics(METRICS, info))
    select_release(RELEASES / str(number), MODEL_REPOSITORY)
    print(
        f"release {number}: {len(model) / 1e6:.1f} MB, differs from torch by at most {parity.max_difference:.1e} "
        f"over {len(spectrograms)} spectrograms; model_repository/ serves it."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
