"""An ONNX file in float16, for a network of which there is no torch: ONNX Runtime's own converter, both ends as the
contract says (uint8 in, float32 out).
"""

from __future__ import annotations

import importlib
import warnings

import onnx


def onnx_to_half(plain: bytes) -> bytes:
    """The same inputs and outputs. Raises: ValueError where the converter can't make a valid file of it."""
    # The package changes sys.path when it is imported, so only where it is needed.
    float16 = importlib.import_module("onnxruntime.transformers.float16")
    model = onnx.load_model_from_string(plain)
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"node_{i}"  # the converter makes names of these
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            half = float16.convert_float_to_float16(model, keep_io_types=True)
        onnx.checker.check_model(half, full_check=True)
    except Exception as error:
        raise ValueError(f"the converter of ONNX Runtime fails: {type(error).__name__}") from error
    return bytes(half.SerializeToString(deterministic=True))
