"""The network -> one ONNX file: dynamic batch, uint8 in, colour table inside, loadable by ONNX Runtime 1.19.2 and
later.
"""

from __future__ import annotations

import io
import logging
import warnings

import onnx
import onnxscript.optimizer
import torch
from onnxscript import ir

from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT

OPSET = 18  # at most 21 and IR at most 10, which ONNX Runtime 1.19.2 (Triton 24.10) takes
IR_VERSION = 10


def to_onnx(network: torch.nn.Module, n_mels: int, n_frames: int) -> bytes:
    """The serialised model; the same network gives the same bytes on every machine with the locked packages.

    network: takes uint8 [shape=(n, n_mels, n_frames)], gives float32 [shape=(n, 1)] and [shape=(n, n_classes)]
    """
    example = torch.zeros((2, n_mels, n_frames), dtype=torch.uint8)
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations, which we can't mend
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[COUGH_OUTPUT, CLASS_OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=1024)},),
            optimize=False,
            verbose=False,
        )
        if program is None:
            raise RuntimeError("torch.onnx.export gave no program: check the torch version in requirements/torch.txt.")
        onnxscript.optimizer.optimize_ir(program.model, should_fold=_unless_colors)
        program.save(buffer)
    model = onnx.load_model_from_string(buffer.getvalue())
    model.ir_version = min(model.ir_version, IR_VERSION)
    _strip_metadata(model)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def _unless_colors(node: ir.Node) -> bool | None:
    """What is made of the colour table alone is left to the runtime to fold, so that the file holds the table
    itself.
    """
    shapes = [list(item.shape) for item in node.inputs if item is not None and item.shape is not None]
    return False if [256, 3] in shapes else None  # None: as it decides by itself


def _strip_metadata(model: onnx.ModelProto) -> None:
    """The exporter leaves stack traces with this machine's paths in metadata and doc strings."""
    model.doc_string = ""
    model.producer_version = ""
    del model.metadata_props[:]
    graph = model.graph
    graph.doc_string = ""
    for item in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.doc_string = ""
        del item.metadata_props[:]
