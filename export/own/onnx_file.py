"""An ONNX file that was made elsewhere, held to the tensor contract and to what every runtime of a release can load.

It is released byte for byte as it came, so that its digest is the one that its makers know.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from export.errors import OwnModelError
from export.formats.to_onnx import IR_VERSION
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT

MAX_BYTES = 100 * 1024 * 1024  # a release is kept in git and read by Triton over the network; ours has 1 MB
OPSETS = range(15, 22)  # formats/to_padded.py needs 15; ONNX Runtime 1.19.2 (Triton 24.10) takes 21 at most

DYNAMIC = "torch.onnx.export(..., dynamo=True, dynamic_shapes=({0: torch.export.Dim('batch')},))"

Dims = list[int | str | None]  # a size, a name, or neither


def read_onnx(path: Path) -> bytes:
    """The file's bytes. Raises: OwnModelError where it is missing or too large."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise OwnModelError(
                f"{path.name} has {size / 2**20:.0f} MiB, and a release takes {MAX_BYTES // 2**20} MiB at most: make "
                "the network smaller."
            )
        return path.read_bytes()
    except OSError as error:
        reason = "it is not there" if isinstance(error, FileNotFoundError) else error.strerror
        raise OwnModelError(f"{path.name} can't be read ({reason}): give ONNX= the file.") from error


def check_onnx(data: bytes, name: str, image: tuple[int, int], n_classes: int) -> onnx.ModelProto:
    """The model that the file holds. name: as sentences call it; image: n_mels, n_frames.

    Raises: OwnModelError with the first thing that does not fit.
    """
    if len(data) > MAX_BYTES:
        raise OwnModelError(f"{name} gives more than {MAX_BYTES // 2**20} MiB of ONNX: make the network smaller.")
    try:
        model = onnx.load_model_from_string(data)
    except (DecodeError, ValueError) as error:
        raise OwnModelError(f"{name} is not an ONNX file, or is cut off: export it again.") from error
    if not model.ir_version or not model.graph.node:
        raise OwnModelError(f"{name} is not an ONNX file, or holds no graph: export it again.")
    for problem in (*_cannot_load(model), *_wrong_tensors(model, image, n_classes)):
        raise OwnModelError(f"{name} {problem}.")
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError, ValueError) as error:
        raise OwnModelError(f"{name} is no valid ONNX model ({first_line(error)}): export it again.") from error
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """Of the standard operators; 0 where none is named."""
    return max((item.version for item in model.opset_import if item.domain in ("", "ai.onnx")), default=0)


def first_line(error: BaseException) -> str:
    """What an error of another library says first, short enough for a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:200].rstrip(".: ")


def _cannot_load(model: onnx.ModelProto) -> Iterator[str]:
    """What some runtime of a release refuses, each without the file's name and a full stop."""
    outside = [tensor.name or "unnamed" for tensor in _tensors(model) if tensor.data_location == TensorProto.EXTERNAL]
    if outside:
        yield (
            f"keeps {_some(outside)} in another file, and a release has one file a network: save it with its weights "
            "inside (torch.onnx.export(..., external_data=False))"
        )
    if model.functions:
        names = [function.name for function in model.functions]
        yield f"holds functions of its own ({_some(names)}): put them in line (onnx.inliner.inline_local_functions)"
    nodes = list(_nodes(model.graph))
    foreign = {f"{node.domain}.{node.op_type}" for node in nodes if node.domain not in ("", "ai.onnx")}
    if foreign:
        yield f"uses custom operators ({_some(sorted(foreign))}): export it with the standard operators of ONNX alone"
    opset = opset_of(model)
    if opset not in OPSETS:
        yield (
            f"uses opset {opset}, and the runtimes of a release share {OPSETS[0]} to {OPSETS[-1]}: export it with one "
            "of these (opset_version=18)"
        )
    if model.ir_version > IR_VERSION:
        yield (
            f"has IR version {model.ir_version}, and ONNX Runtime 1.19.2 (Triton 24.10) takes {IR_VERSION} at most: "
            f"save it with model.ir_version = {IR_VERSION}"
        )
    unknown = {node.op_type for node in nodes if not onnx.defs.has(node.op_type, opset, "")}
    if unknown:
        yield f"uses operators that opset {opset} of ONNX does not have ({_some(sorted(unknown))}): export it again"


def _wrong_tensors(model: onnx.ModelProto, image: tuple[int, int], n_classes: int) -> Iterator[str]:
    """Where inputs and outputs are not the contract's, each without the file's name and a full stop."""
    for kind, found, expected in (
        ("input", model.graph.input, {INPUT: (TensorProto.UINT8, list(image))}),
        (
            "output",
            model.graph.output,
            {COUGH_OUTPUT: (TensorProto.FLOAT, [1]), CLASS_OUTPUT: (TensorProto.FLOAT, [n_classes])},
        ),
    ):
        given = {item.name: item for item in found}
        if given.keys() != expected.keys():
            yield (
                f"has the {kind}s {_some(sorted(given)) or 'none'}, but the contract has {_some(list(expected))}: name "
                f"them so when you export (torch.onnx.export(..., {kind}_names=[...]))"
            )
            return
        for name, (elem_type, dims) in expected.items():
            yield from _wrong_tensor(f"{kind} {name}", given[name], elem_type, dims)


def _wrong_tensor(what: str, value: onnx.ValueInfoProto, elem_type: int, dims: list[int]) -> Iterator[str]:
    tensor = value.type.tensor_type
    if tensor.elem_type != elem_type:
        found, wanted = (TensorProto.DataType.Name(item).lower() for item in (tensor.elem_type, elem_type))
        yield f"has the {what} in {found}, not {wanted}: convert it inside the network"
    shape = [_size(item) for item in tensor.shape.dim]
    wanted_shape = ", ".join(["batch", *map(str, dims)])
    if len(shape) != len(dims) + 1:
        yield f"has the {what} with {len(shape)} axes, not {len(dims) + 1} ({wanted_shape}): reshape it inside"
        return
    if isinstance(shape[0], int):
        yield f"has the {what} with a fixed batch of {shape[0]}: export it with a dynamic one ({DYNAMIC})"
    elif shape[0] is None:
        yield f"does not name the first axis of the {what}: export it with a dynamic batch ({DYNAMIC})"
    if shape[1:] != dims:
        found = ", ".join("?" if item is None else str(item) for item in shape[1:])
        yield f"has the {what} of the size {found} behind the batch, not {', '.join(map(str, dims))}: give it that size"


def _size(dim: onnx.TensorShapeProto.Dimension) -> int | str | None:
    kind = dim.WhichOneof("value")
    return None if kind is None else dim.dim_value if kind == "dim_value" else dim.dim_param


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Of the graph and of all graphs inside it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _graphs(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _graphs(inner)


def _tensors(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """Every constant: initializers, sparse ones, and those in attributes, of functions too."""
    for graph in _graphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in (*_nodes(model.graph), *(node for function in model.functions for node in function.node)):
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)


def _some(names: Iterable[str], most: int = 3) -> str:
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
