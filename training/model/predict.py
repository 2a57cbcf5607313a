"""Score examples with a network, without gradients."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from training.model.network import CoughCNN


def predict_logits(network: CoughCNN, levels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """uint8 [shape=(n, n_mels, n_frames)] -> uncalibrated cough logits [shape=(n,)], class probabilities [shape=(n,
    classes)].
    """
    cough, classes = [np.zeros(0, np.float32)], [np.zeros((0, network.class_head.out_features), np.float32)]
    with torch.inference_mode():
        for start in range(0, len(levels), 256):
            batch = torch.from_numpy(np.ascontiguousarray(levels[start : start + 256]))
            cough_logits, class_logits = network.logits(network.image(batch))
            cough.append(cough_logits[:, 0].numpy())
            classes.append(torch.softmax(class_logits, dim=1).numpy())
    return np.concatenate(cough), np.concatenate(classes)


def predict(network: CoughCNN, levels: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The same with calibrated cough probabilities, as serving gives them."""
    logits, classes = predict_logits(network, levels)
    scale, bias = (float(value) for value in network.calibration)
    return np.asarray(expit(scale * logits + bias), dtype=np.float32), classes
