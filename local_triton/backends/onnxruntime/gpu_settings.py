"""What the C++ ONNX Runtime backend refuses in settings for a GPU, looked at here without one.

Otherwise a misspelt key in a configuration for GPU nodes is found on the cluster only. This stands for the backend,
whatever it is given; that no release of ours has an accelerator is held where releases are judged.

The names are those that `ModelState::LoadModel` in triton-inference-server/onnxruntime_backend (src/onnxruntime.cc,
read in 2026-11) takes for TensorRT, and those of ONNX Runtime's CUDA provider for `cuda`.
"""

import re
from collections.abc import Mapping

BOOLEAN, INTEGER, TEXT = "true or false", "an integer", "a text"
PRECISIONS = ("FP32", "FP16", "BF16", "INT8")
SEARCHES = ("EXHAUSTIVE", "HEURISTIC", "DEFAULT")
STRATEGIES = ("kNextPowerOfTwo", "kSameAsRequested")

_BOOLEANS_OF_TENSORRT = (
    "int8_use_native_calibration_table", "trt_dla_enable", "trt_engine_cache_enable", "trt_dump_subgraphs",
    "trt_force_sequential_engine_build", "trt_context_memory_sharing_enable", "trt_layer_norm_fp32_fallback",
    "trt_timing_cache_enable", "trt_force_timing_cache", "trt_detailed_build_log", "trt_build_heuristics_enable",
    "trt_sparsity_enable", "trt_cuda_graph_enable", "trt_dump_ep_context_model",
)  # fmt: skip
_INTEGERS_OF_TENSORRT = (
    "max_workspace_size_bytes", "trt_max_partition_iterations", "trt_min_subgraph_size", "trt_dla_core",
    "trt_builder_optimization_level", "trt_auxiliary_streams", "trt_ep_context_embed_mode",
)  # fmt: skip
_TEXTS_OF_TENSORRT = (
    "int8_calibration_table_name", "trt_engine_cache_path", "trt_engine_cache_prefix", "trt_timing_cache_path",
    "trt_tactic_sources", "trt_extra_plugin_lib_paths", "trt_profile_min_shapes", "trt_profile_max_shapes",
    "trt_profile_opt_shapes", "trt_ep_context_file_path",
)  # fmt: skip
_BOOLEANS_OF_CUDA = (
    "do_copy_in_default_stream", "use_ep_level_unified_stream", "cudnn_conv_use_max_workspace", "enable_cuda_graph",
    "cudnn_conv1d_pad_to_nc1d", "tunable_op_enable", "tunable_op_tuning_enable", "enable_skip_layer_norm_strict_mode",
    "prefer_nhwc", "use_tf32", "fuse_conv_bias",
)  # fmt: skip
Kind = str | tuple[str, ...]
ACCELERATORS: dict[str, dict[str, Kind]] = {
    "tensorrt": {
        "precision_mode": PRECISIONS,
        **dict.fromkeys(_BOOLEANS_OF_TENSORRT, BOOLEAN),
        **dict.fromkeys(_INTEGERS_OF_TENSORRT, INTEGER),
        **dict.fromkeys(_TEXTS_OF_TENSORRT, TEXT),
    },
    "cuda": {
        "cudnn_conv_algo_search": SEARCHES,
        "arena_extend_strategy": STRATEGIES,
        "gpu_mem_limit": INTEGER,
        "tunable_op_max_tuning_duration_ms": INTEGER,
        "sdpa_kernel": INTEGER,
        **dict.fromkeys(_BOOLEANS_OF_CUDA, BOOLEAN),
    },
}
# The C++ backend reads these a second time, from the model's own `parameters`, as soon as there are any at all, and
# then takes its defaults for those that are not there (src/onnxruntime.cc, `ModelState::LoadModel`, read in 2026-11).
OVERWRITTEN = ("cudnn_conv_algo_search", "arena_extend_strategy", "gpu_mem_limit", "do_copy_in_default_stream")
# The older place of CUDA's options: the model's own `parameters`, where the two choices are numbers.
PARAMETERS: dict[str, Kind] = {
    "cudnn_conv_algo_search": ("0", "1", "2"),
    "arena_extend_strategy": ("0", "1"),
    "gpu_mem_limit": INTEGER,
    "do_copy_in_default_stream": BOOLEAN,
    # Of ONNX Runtime: devices whose arena shrinks after a run.
    "memory.enable_memory_arena_shrinkage": "devices such as cpu:0 or cpu:0;gpu:0",
}


def wrong_setting(config: Mapping[str, object]) -> str | None:
    """What is wrong with the first wrong setting, or None. config: config.pbtxt as JSON."""
    optimization = config.get("optimization")
    accelerators = optimization.get("execution_accelerators") if isinstance(optimization, dict) else None
    for accelerator in (accelerators or {}).get("gpu_execution_accelerator", []):
        name = accelerator.get("name", "")
        if name not in ACCELERATORS:
            return f"unknown gpu_execution_accelerator '{name}': there are {' and '.join(ACCELERATORS)}"
        for key, value in accelerator.get("parameters", {}).items():
            if key not in ACCELERATORS[name]:
                return f"unknown parameter '{key}' of the accelerator {name}"
            if not _fits(value, ACCELERATORS[name][key]):
                return f"parameter '{key}' of the accelerator {name} is '{value}', not {_said(ACCELERATORS[name][key])}"
    parameters = config.get("parameters")
    overwritten = [
        key
        for accelerator in (accelerators or {}).get("gpu_execution_accelerator", [])
        if accelerator.get("name") == "cuda" and parameters
        for key in accelerator.get("parameters", {})
        if key in OVERWRITTEN
    ]
    if overwritten:
        return f"'{overwritten[0]}' of the accelerator cuda has no effect: give it as a parameter of the model"
    for key, kind in PARAMETERS.items():
        entry = parameters.get(key) if isinstance(parameters, dict) else None
        if entry is not None and not _fits(entry.get("string_value", ""), kind):
            return f"parameter `{key}` is '{entry.get('string_value', '')}', not {_said(kind)}"
    return None


def _fits(value: str, kind: Kind) -> bool:
    if isinstance(kind, tuple):
        return value in kind
    if kind == BOOLEAN:
        return value.lower() in ("true", "false", "0", "1")
    if kind == INTEGER:
        return re.fullmatch(r"-?[0-9]{1,19}", value, re.ASCII) is not None
    if kind == TEXT:
        return True
    return re.fullmatch(r"(cpu:0|gpu:[0-9]+)(;(cpu:0|gpu:[0-9]+))*", value, re.ASCII) is not None


def _said(kind: Kind) -> str:
    return kind if isinstance(kind, str) else f"one of {', '.join(kind)}"
