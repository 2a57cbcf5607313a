"""What the C++ ONNX Runtime backend refuses at load, so that a config that loads here loads on the cluster, too.

Follows `ValidateInputs`, `ValidateOutputs`, `CompareDimsSupported` and the parameter parsing of
triton-inference-server/onnxruntime_backend (src/onnxruntime.cc, onnxruntime_utils.cc); where those are lax
(an output that the config leaves out, `4x` as a number), this is strict. What the stand-in does not do is refused.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from local_triton.backends.onnxruntime import gpu_settings
else:
    import gpu_settings  # Triton's stub has this folder on its path, and no package around it

ModelConfig = dict[str, Any]  # config.pbtxt as JSON, as Triton hands it over: every field filled in
Signature = dict[str, tuple[str, list[int]]]  # tensor name -> (type of ONNX Runtime, shape with -1 for any size)

ONNX_TYPES = {
    "TYPE_BOOL": "tensor(bool)",
    "TYPE_UINT8": "tensor(uint8)",
    "TYPE_UINT16": "tensor(uint16)",
    "TYPE_UINT32": "tensor(uint32)",
    "TYPE_UINT64": "tensor(uint64)",
    "TYPE_INT8": "tensor(int8)",
    "TYPE_INT16": "tensor(int16)",
    "TYPE_INT32": "tensor(int32)",
    "TYPE_INT64": "tensor(int64)",
    "TYPE_FP16": "tensor(float16)",
    "TYPE_FP32": "tensor(float)",
    "TYPE_FP64": "tensor(double)",
}
INTEGER_PARAMETERS = {
    "intra_op_thread_count": 1024,
    "inter_op_thread_count": 1024,
    "execution_mode": 1,
}  # and their max
BOOL_PARAMETERS = ("enable_mem_arena", "enable_mem_pattern", "share_session_between_instances")
NOT_DONE_HERE = ("sequence_batching", "batch_input", "batch_output", "model_operations", "cc_model_filenames")
NOT_DONE_FOR_A_TENSOR = ("optional", "allow_ragged_batch", "reshape", "is_shape_tensor")


class RefusedError(Exception):
    """The model must not load; the message is one line."""


def check_config(config: ModelConfig, config_text: str) -> None:
    """Refuses what the config alone shows to be wrong.

    config_text: config.pbtxt as it stands, since Triton writes `runtime` into the JSON of every Python-based backend.
    """
    if re.search(r"\bruntime\s*:", re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|#.*', "", config_text)):
        raise RefusedError(
            "remove `runtime` from config.pbtxt: it makes Triton look for a Python model in the C++ backend"
        )
    for field in NOT_DONE_HERE:
        if config.get(field):
            raise RefusedError(f"`{field}` is not supported by this stand-in for the ONNX Runtime backend")
    if config.get("model_transaction_policy", {}).get("decoupled"):
        raise RefusedError("the ONNX Runtime backend does not support decoupled models")
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    if accelerators.get("cpu_execution_accelerator"):
        raise RefusedError("unknown `cpu_execution_accelerator`: there is none here")
    # Those for a GPU have no effect here, and are looked at all the same.
    if wrong := gpu_settings.wrong_setting(config):
        raise RefusedError(wrong)
    if str(config.get("default_model_filename", "")).startswith("/"):
        raise RefusedError("`default_model_filename` must be a name in the version's folder, not an absolute path")
    _check_parameters(config.get("parameters", {}))
    _check_warmup(config.get("model_warmup", []), int(config["max_batch_size"]))


def _check_parameters(parameters: dict[str, dict[str, str]]) -> None:
    for name, most in INTEGER_PARAMETERS.items():
        value = parameters.get(name, {}).get("string_value", "0")
        if not re.fullmatch(r"[0-9]{1,9}", value, re.ASCII) or int(value) > most:
            raise RefusedError(f"parameter `{name}` is '{value}', not an integer from 0 to {most}")
    for name in BOOL_PARAMETERS:
        value = parameters.get(name, {}).get("string_value", "false")
        if value.lower() not in ("true", "false", "0", "1"):
            raise RefusedError(f"parameter `{name}` is '{value}', neither true nor false")


def _check_warmup(samples: Sequence[dict[str, Any]], max_batch_size: int) -> None:
    most = max(1, max_batch_size)
    for sample in samples:
        size = int(sample.get("batch_size", 0))
        if not 1 <= size <= most:  # 0 would silently warm nothing up
            raise RefusedError(f"model_warmup '{sample.get('name')}': batch_size is {size}, not from 1 to {most}")


def check_signature(config: ModelConfig, inputs: Signature, outputs: Signature) -> None:
    """Refuses tensors whose name, type or shape is not the ONNX graph's."""
    batched = int(config["max_batch_size"]) > 0
    for direction, tensors, graph in (("input", config["input"], inputs), ("output", config["output"], outputs)):
        _check_names(direction, [tensor["name"] for tensor in tensors], list(graph))
        for tensor in tensors:
            what = f"{direction} '{tensor['name']}'"
            onnx_type, shape = graph[tensor["name"]]
            _check_tensor(what, tensor, onnx_type)
            # The C++ backend lets a config fix an input axis that the graph leaves open, but never an output's.
            _check_shape(what, [int(dim) for dim in tensor["dims"]], shape, batched, exact=direction == "output")


def _check_names(direction: str, named: list[str], graph: list[str]) -> None:
    if unknown := [name for name in named if name not in graph]:
        raise RefusedError(f"unexpected {direction} '{unknown[0]}' in config.pbtxt, the ONNX graph has {graph}")
    if left_out := [name for name in graph if name not in named]:
        raise RefusedError(f"config.pbtxt lacks the {direction} '{left_out[0]}' of the ONNX graph")


def _check_tensor(what: str, tensor: dict[str, Any], onnx_type: str) -> None:
    for field in NOT_DONE_FOR_A_TENSOR:
        if tensor.get(field):
            raise RefusedError(f"{what}: `{field}` is not supported by this stand-in for the ONNX Runtime backend")
    if ONNX_TYPES.get(tensor["data_type"]) != onnx_type:
        raise RefusedError(f"{what}: config.pbtxt says {tensor['data_type']}, the ONNX graph {onnx_type}")


def _check_shape(what: str, dims: list[int], shape: list[int], batched: bool, *, exact: bool) -> None:
    if batched and shape[:1] != [-1]:
        raise RefusedError(
            f"{what}: with max_batch_size > 0 the ONNX graph's first axis must be open, its shape is {shape}"
        )
    configured = [-1, *dims] if batched else dims
    agree = len(configured) == len(shape) and all(
        dim == axis or (axis == -1 and not exact) for dim, axis in zip(configured, shape, strict=True)
    )
    if not agree:
        raise RefusedError(f"{what}: config.pbtxt makes its shape {configured}, the ONNX graph has {shape}")
