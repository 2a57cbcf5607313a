"""The network: uint8 levels -> colours (a table inside the graph) -> a small CNN -> two heads."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn


class CoughCNN(nn.Module):
    """About 310,000 parameters; 25 million multiply-adds for one 64x96 spectrogram.

    color_table: uint8 [shape=(256, 3)]
    """

    def __init__(self, color_table: NDArray[np.uint8], n_classes: int) -> None:
        super().__init__()
        self.register_buffer("color_table", torch.from_numpy(color_table.astype(np.float32) / 255.0))
        # Calibration of the cough head: p = sigmoid(scale * logit + bias), fitted after training (Platt, 1999).
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        self.features = nn.Sequential(
            *_block(3, 24, kernel=5, stride=2),
            *_block(24, 48, kernel=3, stride=2),
            *_block(48, 96, kernel=3, stride=2),
            *_block(96, 128, kernel=3, stride=1),
            *_block(128, 128, kernel=3, stride=2),
        )
        self.dropout = nn.Dropout(0.3)
        self.cough_head = nn.Linear(256, 1)
        self.class_head = nn.Linear(256, n_classes)

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """image: float32 [shape=(batch, 3, n_mels, n_frames)], colours in [0, 1] -> logits [batch, 1], [batch, classes]."""
        features = self.features(image)
        pooled = torch.cat((features.mean(dim=(2, 3)), features.amax(dim=(2, 3))), dim=1)
        pooled = self.dropout(pooled)
        return self.cough_head(pooled), self.class_head(pooled)

    def colors(self, spectrogram: Tensor) -> Tensor:
        """uint8 [shape=(batch, n_mels, n_frames)] -> float32 [shape=(batch, 3, n_mels, n_frames)].

        By way of float32, because TensorRT converts uint8 to floats only.
        """
        index = spectrogram.to(torch.float32).to(torch.int64)
        return nn.functional.embedding(index, self.color_table).permute(0, 3, 1, 2)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [shape=(batch, n_mels, n_frames)] -> cough_probability [batch, 1], class_probabilities [batch, classes]."""
        cough, classes = self.logits(self.colors(spectrogram))
        calibrated = cough * self.calibration[0] + self.calibration[1]
        return torch.sigmoid(calibrated), torch.softmax(classes, dim=1)


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
