"""Hold a Triton configuration to the ONNX file that it describes: names, types and dims of every tensor, and that
nothing else than the ONNX file is computed.
"""

from __future__ import annotations

import onnx
from tritonclient.grpc import model_config_pb2 as pb

from export.errors import GateError

Signature = dict[str, tuple[str, list[int]]]

_TYPES: dict[int, str] = {onnx.TensorProto.UINT8: "TYPE_UINT8", onnx.TensorProto.FLOAT: "TYPE_FP32"}


def check_config(config: pb.ModelConfig, model: onnx.ModelProto) -> None:
    """Raises: GateError naming an accelerator, the first tensor that differs, or an axis that must be the batch and is
    not.
    """
    accelerators = config.optimization.execution_accelerators
    named = [item.name for item in (*accelerators.gpu_execution_accelerator, *accelerators.cpu_execution_accelerator)]
    if config.optimization.HasField("execution_accelerators"):
        # TensorRT as an accelerator builds its engine on the node, at the first start, where nobody judges what comes
        # out (docs/decisions/0011-releases.md). A plan is judged before it is published.
        raise GateError(
            f"The configuration asks for execution_accelerators ({', '.join(named) or 'none named'}): the gate judges "
            "the ONNX file, not what one of these makes of it. Build a plan (make -C k8s tensorrt-plan)."
        )
    for kind, of_config, of_model in (
        ("input", config.input, model.graph.input),
        ("output", config.output, model.graph.output),
    ):
        promised: Signature = {item.name: (pb.DataType.Name(item.data_type), list(item.dims)) for item in of_config}
        found: Signature = {item.name: _signature(kind, item) for item in of_model}
        for name in sorted(promised.keys() | found.keys()):
            if promised.get(name) != found.get(name):
                raise GateError(
                    f"config.pbtxt says of the {kind} {name} {promised.get(name)}, the ONNX file {found.get(name)}: "
                    "make export/triton_config.py and export/formats/to_onnx.py agree."
                )


def _signature(kind: str, value: onnx.ValueInfoProto) -> tuple[str, list[int]]:
    """Type and dims without the batch axis, as Triton counts them."""
    tensor = value.type.tensor_type
    batch, *dims = tensor.shape.dim
    if not batch.dim_param:
        raise GateError(
            f"The {kind} {value.name} has a fixed batch of {batch.dim_value}: export it with a dynamic one."
        )
    return _TYPES.get(tensor.elem_type, str(tensor.elem_type)), [dim.dim_value for dim in dims]
