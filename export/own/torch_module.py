"""A torch network by name: `package.module:factory`, which Python finds from here (PYTHONPATH).

The factory is called without arguments and gives the network with its weights. Whoever names it runs its code.
"""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from export.errors import OwnModelError
from export.formats.to_onnx import to_onnx
from export.own.onnx_file import first_line
from runtime.classify import Scores

_BATCH = 64


def load_module(name: str) -> tuple[torch.nn.Module, Path]:
    """The network in evaluation mode, and where its description lies: beside the module's file, as `.yaml`.

    Raises: OwnModelError.
    """
    where, _, factory = name.partition(":")
    if not where or not factory:
        raise OwnModelError(f"MODULE={name} names no network: write it as package.module:factory.")
    try:
        module = importlib.import_module(where)
    except Exception as error:
        raise OwnModelError(
            f"{where} can't be imported ({first_line(error)}): put its folder into PYTHONPATH, and what it needs into "
            ".venv-training."
        ) from error
    make = getattr(module, factory, None)
    if not callable(make):
        raise OwnModelError(f"{where} has no function {factory}: name one that gives the network.")
    try:
        network = make()
    except Exception as error:
        raise OwnModelError(
            f"{name} gives no network ({first_line(error)}): mend it, it is called without arguments."
        ) from (error)
    if not isinstance(network, torch.nn.Module):
        raise OwnModelError(f"{name} gives a {type(network).__name__}, not a torch.nn.Module: return the network.")
    return network.eval(), Path(module.__file__ or where).with_suffix(".yaml")


def module_onnx(network: torch.nn.Module, name: str, image: tuple[int, int]) -> bytes:
    """The network as one ONNX file. image: n_mels, n_frames. Raises: OwnModelError where torch can't export it."""
    try:
        return to_onnx(network, *image)
    except Exception as error:
        raise OwnModelError(
            f"{name} can't be exported with a dynamic batch ({first_line(error)}): it must take uint8 "
            f"(batch, {image[0]}, {image[1]}) and give (batch, 1) and (batch, 2)."
        ) from error


def module_scores(network: torch.nn.Module, spectrograms: NDArray[np.uint8]) -> Scores:
    """Scores of uint8 [shape=(n, n_mels, n_frames)] by torch itself."""
    with torch.inference_mode():
        parts = [network(part) for part in torch.from_numpy(spectrograms).split(_BATCH)]
    cough, classes = (torch.cat(column).numpy() for column in zip(*parts, strict=True))
    return Scores(cough[:, 0], classes)
