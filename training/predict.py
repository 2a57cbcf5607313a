"""Score examples with a network, without gradients."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from training.network import CoughCNN


def predict_logits(network: CoughCNN, levels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """uint8 [shape=(n, n_mels, n_frames)] -> uncalibrated cough logits [shape=(n,)], class probabilities [shape=(n, classes)]."""
    cough, classes = [], []
    with torch.inference_mode():
        for start in range(0, len(levels), 256):
            cough_logits, class_logits = network.logits(network.colors(torch.from_numpy(levels[start : start + 256])))
            cough.append(cough_logits[:, 0].numpy())
            classes.append(torch.softmax(class_logits, dim=1).numpy())
    return np.concatenate(cough), np.concatenate(classes)
