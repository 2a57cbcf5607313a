"""A network that was made elsewhere: inverted residuals as in torchvision's MobileNetV2, small and untrained, and
nothing of ours in it but the contract.
"""

from __future__ import annotations

import io
import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from runtime.config import load_config, preprocess_parameters

IMAGE = (64, 96)


class InvertedResidual(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        hidden = 2 * n_in
        self.conv = nn.Sequential(
            nn.Conv2d(n_in, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False), nn.BatchNorm2d(hidden), nn.ReLU6(),
            nn.Conv2d(hidden, n_out, 1, bias=False), nn.BatchNorm2d(n_out),
        )  # fmt: skip
        self.shortcut = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class TinyMobileNet(nn.Module):
    """Grey levels, where ours has colours; a dropout, which only evaluation mode ends."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            InvertedResidual(8, 12, 2), InvertedResidual(12, 12, 1), InvertedResidual(12, 16, 2),
        )  # fmt: skip
        self.dropout = nn.Dropout(0.2)
        self.cough, self.classes = nn.Linear(16, 1), nn.Linear(16, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        x = images.unsqueeze(1).float() / 127.5 - 1.0
        x = self.dropout(self.features(x).mean((2, 3)))
        # Steep, so that the scores of an untrained network spread over the whole range.
        return torch.sigmoid(20.0 * self.cough(x)), torch.softmax(20.0 * self.classes(x), dim=1)


def make() -> TinyMobileNet:
    torch.manual_seed(4)
    return TinyMobileNet()


def no_network() -> str:
    return "weights"


def broken() -> None:
    raise RuntimeError("the weights are on another disk")


def one_head() -> nn.Module:
    return nn.Sequential(nn.Flatten())


def exported(network: nn.Module, **changes: Any) -> bytes:
    """By torch's own exporter, as its documentation says."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {
        "dynamo": True,
        "opset_version": 18,
        "input_names": ["spectrogram"],
        "output_names": ["cough_probability", "class_probabilities"],
        "dynamic_shapes": ({0: torch.export.Dim("batch")},),
        "verbose": False,
        **changes,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(network, (torch.zeros((2, *IMAGE), dtype=torch.uint8),), **options)
        assert program is not None
        program.save(buffer)
    return buffer.getvalue()


def description() -> dict[str, Any]:
    return {
        "labels": ["negative", "positive"],
        "cough_threshold": 0.5,
        "uncertain_threshold": 0.3,
        "threshold_low": 0.5,
        "threshold_high": 0.5,
        "validated": False,
        "preprocess": preprocess_parameters(*load_config()),
        "figures": [
            {
                "name": "coughseg_event_auc",
                "value": 0.5,
                "low": 0.4,
                "high": 0.6,
                "source": "nobody: it is untrained, and 0.5 is what chance gives",
            }
        ],
        "source": {"trained_by": "a test", "data": "none: the weights are random", "licence": "that of the test"},
    }
