"""The network: uint8 levels -> colours (a table inside the graph) -> their brightness -> a small CNN -> two heads."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

WIDTHS = (16, 40, 96, 112, 144)


class CoughCNN(nn.Module):
    """About 284,000 parameters; 20 million multiply-adds for one 64x96 spectrogram.

    color_table: uint8 [shape=(256, 3)]
    in_color: whether the first layer sees the three colours, instead of their brightness. Three colours that rise and
        fall with the level cost accuracy (docs/decisions/0009-reference-network.md); that arm is kept for the
        comparison only.
    """

    def __init__(self, color_table: NDArray[np.uint8], n_classes: int, *, in_color: bool = False) -> None:
        super().__init__()
        self.in_color = in_color
        self.register_buffer("color_table", torch.from_numpy(color_table.astype(np.float32) / 255.0))
        self.register_buffer("brightness", torch.from_numpy(brightness_weights(color_table)))
        # Calibration of the cough head: p = sigmoid(scale * logit + bias), fitted after training (Platt, 1999).
        self.register_buffer("calibration", torch.tensor([1.0, 0.0]))
        stem, *rest = WIDTHS
        self.features = nn.Sequential(
            *_block(3 if in_color else 1, stem, kernel=5, stride=2),
            *_block(stem, rest[0], kernel=3, stride=2),
            *_block(rest[0], rest[1], kernel=3, stride=2),
            *_block(rest[1], rest[2], kernel=3, stride=1),
            *_block(rest[2], rest[3], kernel=3, stride=2),
        ).to(memory_format=torch.channels_last)  # a tenth faster to train on a CPU
        self.dropout = nn.Dropout(0.3)
        self.cough_head = nn.Linear(2 * WIDTHS[-1], 1)
        self.class_head = nn.Linear(2 * WIDTHS[-1], n_classes)

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """image: float32 [shape=(batch, channels, n_mels, n_frames)] of `image` -> logits [batch, 1], [batch,
        classes].
        """
        features = self.features(image)
        pooled = torch.cat((features.mean(dim=(2, 3)), features.amax(dim=(2, 3))), dim=1)
        pooled = self.dropout(pooled)
        return self.cough_head(pooled), self.class_head(pooled)

    def image(self, spectrogram: Tensor) -> Tensor:
        """uint8 [shape=(batch, n_mels, n_frames)] -> float32 [shape=(batch, 1 or 3, n_mels, n_frames)] in [0, 1].

        By way of float32, because TensorRT converts uint8 to floats only.
        """
        index = spectrogram.to(torch.float32).to(torch.int64)
        if self.in_color:
            return nn.functional.embedding(index, self.color_table).permute(0, 3, 1, 2)
        # Of the 256 colours, once, not of every pixel's: that took more time than all convolutions
        # (docs/decisions/0013-speed.md).
        levels = self.color_table @ self.brightness[:3, None] + self.brightness[3]
        return nn.functional.embedding(index, levels).permute(0, 3, 1, 2)

    def forward(self, spectrogram: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 [shape=(batch, n_mels, n_frames)] -> cough_probability [batch, 1], class_probabilities [batch,
        classes].
        """
        cough, classes = self.logits(self.image(spectrogram))
        calibrated = cough * self.calibration[0] + self.calibration[1]
        return torch.sigmoid(calibrated), torch.softmax(classes, dim=1)


def brightness_weights(color_table: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Weights of red, green and blue and an offset [shape=(4,)], whose sum comes nearest to the level, in [0, 1].

    Least squares over the 256 colours: a map made for eyes rises evenly in brightness, so little is lost (magma:
    0.013).
    """
    table = np.c_[color_table.astype(np.float64) / 255.0, np.ones(256)]
    weights, *_ = np.linalg.lstsq(table, np.arange(256) / 255.0, rcond=None)
    return np.asarray(weights, dtype=np.float32)


def _block(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
