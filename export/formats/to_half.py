"""The network with its convolutions and heads in float16, for a strongly typed TensorRT network: both ends stay as the
contract says (uint8 in, float32 out), and calibration and softmax are float32.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from training.model.network import CoughCNN


class HalfCoughCNN(CoughCNN):
    """Made of a trained network, which it leaves alone."""

    def __init__(self, network: CoughCNN) -> None:
        torch.nn.Module.__init__(self)
        for name, value in vars(copy.deepcopy(network)).items():
            setattr(self, name, value)
        for part in (self.features, self.cough_head, self.class_head):
            part.half()

    def logits(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """As `CoughCNN.logits`: float32 in and out."""
        cough, classes = super().logits(image.half())
        return cough.float(), classes.float()
