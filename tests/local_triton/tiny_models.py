"""Tiny models for the real server: UINT8 `x` [batch, 4, 6] -> FP32 `mean` [batch, 1] and `twice` [batch, 2]."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper

CONFIG = """backend: "onnxruntime"
max_batch_size: 8
input { name: "x" data_type: TYPE_UINT8 dims: [4, 6] }
output { name: "mean" data_type: TYPE_FP32 dims: [1] }
output { name: "twice" data_type: TYPE_FP32 dims: [2] }
instance_group { kind: KIND_AUTO count: 1 }
parameters { key: "intra_op_thread_count" value: { string_value: "1" } }
"""


def save_model(file: Path, *, batch: str | int = "batch", opset: int = 21, ir: int = 10) -> None:
    """The mean over all 24 values, once and twice."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["float", "axes"], ["flat"], keepdims=0),
            helper.make_node("Reshape", ["flat", "column"], ["mean"]),
            helper.make_node("Concat", ["mean", "mean"], ["twice"], axis=1),
        ],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [batch, 4, 6])],
        [
            helper.make_tensor_value_info("mean", TensorProto.FLOAT, [batch, 1]),
            helper.make_tensor_value_info("twice", TensorProto.FLOAT, [batch, 2]),
        ],
        [
            helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
            helper.make_tensor("column", TensorProto.INT64, [2], [-1, 1]),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir), file)


def save_lookup(file: Path) -> None:
    """INT64 `index` [batch, 1] -> FP32 `value` [batch, 1] from a table of 4: an index of 9 is an error at run time."""
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", "index"], ["value"])],
        "lookup",
        [helper.make_tensor_value_info("index", TensorProto.INT64, ["batch", 1])],
        [helper.make_tensor_value_info("value", TensorProto.FLOAT, ["batch", 1])],
        [helper.make_tensor("table", TensorProto.FLOAT, [4], [10.0, 11.0, 12.0, 13.0])],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10), file)


def warmup(batch_size: int, dims: str = "[4, 6]") -> str:
    """A warm-up sample for the config, of zeros."""
    value = f"data_type: TYPE_UINT8 dims: {dims} zero_data: true"
    return f"model_warmup {{ name: 'w' batch_size: {batch_size} inputs {{ key: 'x' value {{ {value} }} }} }}\n"


def parameter(name: str, value: str) -> str:
    """One more of the model's parameters."""
    return f'parameters {{ key: "{name}" value: {{ string_value: "{value}" }} }}\n'


def accelerator(device: str, name: str, **parameters: str) -> str:
    """An execution accelerator for "cpu" or "gpu"."""
    keys = "".join(f" parameters {{ key: '{key}' value: '{value}' }}" for key, value in parameters.items())
    return (
        f"optimization {{ execution_accelerators {{ {device}_execution_accelerator {{ name: '{name}'{keys} }} }} }}\n"
    )


def add_model(repository: Path, name: str, config: str = CONFIG) -> Path:
    """Writes config.pbtxt and returns where the first version's model goes."""
    folder = repository / name / "1"
    folder.mkdir(parents=True)
    (folder.parent / "config.pbtxt").write_text(config)
    return folder / "model.onnx"
