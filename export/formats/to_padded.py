"""The ONNX file for GPUs: every batch is filled up to one size inside the graph, and the answers are cut out again.

ONNX Runtime's CUDA provider plans each convolution anew whenever the batch has another size than the one before, which
a dynamic batcher makes it have nearly always: 50 ms a change, in which the network could run 100 times (docs/gpu.md).
On a CPU one cough would cost as much as a full batch, so there the plain file is served.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from export.triton_config import MAX_BATCH_SIZE
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT


def to_padded(plain: bytes, size: int = MAX_BATCH_SIZE) -> bytes:
    """The same inputs, outputs and scores. Of a larger batch than `size` it answers the first ones only:

    Triton lets none in.

    plain: an ONNX file that takes INPUT in a Cast to float alone, as to_onnx.py makes it (float32 or float16)
    """
    model = onnx.load_model_from_string(plain)
    graph = model.graph
    (cast,) = (node for node in graph.node if INPUT in node.input)
    filled, cast.output[0] = cast.output[0], "unfilled"
    for name in (COUGH_OUTPUT, CLASS_OUTPUT):
        for node in graph.node:
            node.output[:] = [f"filled_{name}" if item == name else item for item in node.output]
    constants = {"full_size": [size], "begins": [0, 0, 0], "ends": [0, 0], "first": [0]}
    graph.initializer.extend(
        helper.make_tensor(name, TensorProto.INT64, [len(values)], values) for name, values in constants.items()
    )
    before = [
        helper.make_node("Shape", [INPUT], ["batch_size"], start=0, end=1),
        helper.make_node("Sub", ["full_size", "batch_size"], ["missing"]),
        # begin of each axis, end of each axis: only the end of the first one grows
        helper.make_node("Concat", ["begins", "missing", "ends"], ["pads"], axis=0),
        helper.make_node("Pad", ["unfilled", "pads"], [filled], mode="constant"),
    ]
    after = [
        helper.make_node("Slice", [f"filled_{name}", "first", "batch_size", "first"], [name])
        for name in (COUGH_OUTPUT, CLASS_OUTPUT)
    ]
    nodes = list(graph.node)
    nodes.remove(cast)
    del graph.node[:]
    graph.node.extend([cast, *before, *nodes, *after])
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
