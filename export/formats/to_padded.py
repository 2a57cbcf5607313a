"""The ONNX file for GPUs: every batch is filled up to one size inside the graph, and the answers are cut out again.

ONNX Runtime's CUDA provider plans each convolution anew whenever the batch has another size than the one before, which
a dynamic batcher makes it have nearly always: 50 ms a change, in which the network could run 100 times (docs/gpu.md).
On a CPU one cough would cost as much as a full batch, so there the plain file is served.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx
from onnx import TensorProto, helper

from export.triton_config import MAX_BATCH_SIZE
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT


def to_padded(plain: bytes, size: int = MAX_BATCH_SIZE) -> bytes:
    """The same inputs, outputs and scores. Of a larger batch than `size` it answers the first ones only:

    Triton lets none in.

    plain: an ONNX file of opset 15 or later with a dynamic batch. What to_onnx.py makes takes INPUT in a Cast to float
    alone, and is filled up behind that; any other is filled up as floats, which hold every uint8 exactly.
    """
    model = onnx.load_model_from_string(plain)
    graph = model.graph
    own = _own_names(graph)
    filled, before_filling = _filled(graph, own)
    for name in (COUGH_OUTPUT, CLASS_OUTPUT):
        _rename(graph, name, own(f"filled_{name}"))
    constants = {"full_size": [size], "begins": [0, 0, 0], "ends": [0, 0], "first": [0]}
    graph.initializer.extend(
        helper.make_tensor(own(name), TensorProto.INT64, [len(values)], values) for name, values in constants.items()
    )
    pads = [
        helper.make_node("Shape", [INPUT], [own("batch_size")], start=0, end=1),
        helper.make_node("Sub", [own("full_size"), own("batch_size")], [own("missing")]),
        # begin of each axis, end of each axis: only the end of the first one grows
        helper.make_node("Concat", [own("begins"), own("missing"), own("ends")], [own("pads")], axis=0),
        helper.make_node("Pad", [own("unfilled"), own("pads")], [filled], mode="constant"),
    ]
    after = [
        helper.make_node("Slice", [own(f"filled_{name}"), own("first"), own("batch_size"), own("first")], [name])
        for name in (COUGH_OUTPUT, CLASS_OUTPUT)
    ]
    cast, *back = before_filling
    nodes = [node for node in graph.node if node is not cast]
    del graph.node[:]
    graph.node.extend([cast, *pads, *back, *nodes, *after])
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _filled(graph: onnx.GraphProto, own: Callable[[str], str]) -> tuple[str, list[onnx.NodeProto]]:
    """The name of the full batch in floats, and the nodes that go around the filling: the Cast before it, and where the
    network wants uint8 the Cast back.
    """
    users = [node for node in graph.node if INPUT in node.input]
    to = next((item.i for item in users[0].attribute if item.name == "to"), None) if len(users) == 1 else None
    if to in (TensorProto.FLOAT, TensorProto.FLOAT16) and users[0].op_type == "Cast" and not _inside(graph, INPUT):
        (cast,) = users
        filled, cast.output[0] = cast.output[0], own("unfilled")
        return filled, [cast]
    _rename(graph, INPUT, own("filled_input"))
    return own("filled_floats"), [
        helper.make_node("Cast", [INPUT], [own("unfilled")], to=TensorProto.FLOAT),
        helper.make_node("Cast", [own("filled_floats")], [own("filled_input")], to=TensorProto.UINT8),
    ]


def _own_names(graph: onnx.GraphProto) -> Callable[[str], str]:
    """A name for each of ours that the graph does not have yet."""
    taken = {item.name for item in (*graph.initializer, *graph.input)}
    taken |= {name for node in _nodes(graph) for name in (*node.input, *node.output)}
    taken |= {item.name for inner in _inner(graph) for item in (*inner.initializer, *inner.input)}

    def own(name: str) -> str:
        while name in taken:
            name += "_"
        return name

    return own


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Of a value, wherever a node takes or gives it; the graph's own inputs and outputs keep their names."""
    for node in _nodes(graph):
        node.input[:] = [new if item == old else item for item in node.input]
        node.output[:] = [new if item == old else item for item in node.output]
    for inner in _inner(graph):
        for item in inner.output:
            item.name = new if item.name == old else item.name


def _inside(graph: onnx.GraphProto, name: str) -> bool:
    """Whether a graph inside this one takes the value."""
    return any(name in node.input for inner in _inner(graph) for node in inner.node)


def _inner(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graphs inside the nodes (If, Loop, Scan), at any depth."""
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield inner
                yield from _inner(inner)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for one in (graph, *_inner(graph)):
        yield from one.node
