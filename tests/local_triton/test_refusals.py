"""What Triton with the C++ ONNX Runtime backend refuses at load must be refused here, with the reason."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_triton import ServerFailedError, TritonServer
from local_triton.load_failures import load_failures
from tests.local_triton.tiny_models import CONFIG, accelerator, add_model, parameter, save_model, warmup


@dataclass(frozen=True)
class Broken:
    """A config or a graph that must not load. Replaces `old` by `new` in the good config, and adds `added`."""

    reason: str
    old: str = ""
    new: str = ""
    added: str = ""
    graph: dict[str, Any] | None = None

    @property
    def config(self) -> str:
        assert self.old in CONFIG
        return CONFIG.replace(self.old, self.new, 1) + self.added


THREADS = 'string_value: "1"'
BROKEN = {
    # the stand-in's own checks, as in the C++ backend
    "output_too_short": Broken("output 'twice': config.pbtxt makes its shape [-1, 1]", "dims: [2]", "dims: [1]"),
    "output_wildcard": Broken("output 'twice': config.pbtxt makes its shape [-1, -1]", "dims: [2]", "dims: [-1]"),
    "output_extra_dim": Broken("output 'mean': config.pbtxt makes its shape [-1, 1, 1]", "dims: [1]", "dims: [1, 1]"),
    "input_wildcard": Broken("input 'x': config.pbtxt makes its shape [-1, 4, -1]", "[4, 6]", "[4, -1]"),
    "input_extra_dim": Broken("input 'x': config.pbtxt makes its shape [-1, 1, 4, 6]", "[4, 6]", "[1, 4, 6]"),
    "input_name": Broken("unexpected input 'y' in config.pbtxt", '"x"', '"y"'),
    "output_name": Broken("unexpected output 'median' in config.pbtxt", '"mean"', '"median"'),
    "input_extra": Broken("unexpected input 'y'", added='input { name: "y" data_type: TYPE_UINT8 dims: [1] }\n'),
    "output_left_out": Broken(
        "lacks the output 'twice'", 'output { name: "twice" data_type: TYPE_FP32 dims: [2] }\n', ""
    ),
    "input_type": Broken("input 'x': config.pbtxt says TYPE_INT8, the ONNX graph tensor(uint8)", "UINT8", "INT8"),
    "output_type": Broken("output 'mean': config.pbtxt says TYPE_FP64", "TYPE_FP32", "TYPE_FP64"),
    "fixed_batch_axis": Broken("the ONNX graph's first axis must be open", graph={"batch": 1}),
    "intra_threads": Broken("`intra_op_thread_count` is 'all'", THREADS, 'string_value: "all"'),
    "intra_threads_cut": Broken("`intra_op_thread_count` is '4x'", THREADS, 'string_value: "4x"'),
    "inter_threads": Broken("`inter_op_thread_count` is 'two'", added=parameter("inter_op_thread_count", "two")),
    "execution_mode": Broken("`execution_mode` is '2'", added=parameter("execution_mode", "2")),
    "mem_arena": Broken("`enable_mem_arena` is 'yes'", added=parameter("enable_mem_arena", "yes")),
    "ir_too_new": Broken("Unsupported model IR version: 11, max supported IR version: 10", graph={"ir": 11}),
    "opset_too_new": Broken("till opset 21", graph={"opset": 22}),
    "warmup_too_large": Broken("model_warmup 'w': batch_size is 9, not from 1 to 8", added=warmup(9)),
    "warmup_of_none": Broken("model_warmup 'w': batch_size is 0, not from 1 to 8", added=warmup(0)),
    "runtime": Broken("remove `runtime` from config.pbtxt", added='runtime: "model.py"\n'),
    "cpu_accelerator": Broken("unknown `cpu_execution_accelerator`", added=accelerator("cpu", "fast")),
    "gpu_accelerator": Broken("unknown gpu_execution_accelerator 'tensor_rt'", added=accelerator("gpu", "tensor_rt")),
    "gpu_key": Broken(
        "unknown parameter 'trt_engine_cache' of the accelerator tensorrt",
        added=accelerator("gpu", "tensorrt", trt_engine_cache="true"),
    ),
    "precision": Broken(
        "parameter 'precision_mode' of the accelerator tensorrt is 'HALF'",
        added=accelerator("gpu", "tensorrt", precision_mode="HALF"),
    ),
    "cuda_search": Broken(
        "parameter 'cudnn_conv_algo_search' of the accelerator cuda is 'FAST'",
        added=accelerator("gpu", "cuda", cudnn_conv_algo_search="FAST"),
    ),
    "cuda_overwritten": Broken(
        "'gpu_mem_limit' of the accelerator cuda has no effect", added=accelerator("gpu", "cuda", gpu_mem_limit="1")
    ),
    "cuda_key": Broken(
        "unknown parameter 'cudnn_conv_search'", added=accelerator("gpu", "cuda", cudnn_conv_search="1")
    ),
    "old_search": Broken("`cudnn_conv_algo_search` is '3'", added=parameter("cudnn_conv_algo_search", "3")),
    "shrinkage": Broken(
        "`memory.enable_memory_arena_shrinkage` is 'all'",
        added=parameter("memory.enable_memory_arena_shrinkage", "all"),
    ),
    "absolute_file": Broken("not an absolute path", added='default_model_filename: "/model.onnx"\n'),
    "reshape": Broken("output 'mean': `reshape` is not supported", "dims: [1]", "dims: [1] reshape { shape: [1] }"),
    "file_missing": Broken("there is no 1/other.onnx", added='default_model_filename: "other.onnx"\n'),
    # the server's own checks
    "unknown_field": Broken('no field named "max_batch"', "max_batch_size", "max_batch"),
    "no_label_file": Broken("labels.txt: No such file", "dims: [2]", 'dims: [2] label_filename: "labels.txt"'),
    "warmup_batch_axis": Broken("unexpected shape for input 'x'", added=warmup(1, "[1, 4, 6]")),
    "no_such_kind": Broken("KIND_NPU", "KIND_AUTO", "KIND_NPU"),
}


@pytest.fixture(scope="module")
def reasons(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """One server is given all of them, and says of each why not."""
    repository = tmp_path_factory.mktemp("broken")
    for name, broken in BROKEN.items():
        save_model(add_model(repository, name, broken.config), **(broken.graph or {}))
    save_model(add_model(repository, "good"))
    stay = ["--exit-on-error=false", "--strict-readiness=false"]
    with TritonServer(repository, log=tmp_path_factory.mktemp("log") / "triton.log", extra_args=stay) as server:
        return load_failures(Path(server.log).read_text())


@pytest.mark.parametrize("name", BROKEN)
def test_refused_with_the_reason(name: str, reasons: dict[str, str]) -> None:
    assert BROKEN[name].reason in reasons.get(name, "it was loaded")
    assert "\n" not in reasons[name]


def test_the_good_one_beside_them_loads(reasons: dict[str, str]) -> None:
    assert set(reasons) == set(BROKEN)


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"gpu": accelerator("gpu", "tensor_rt")}, "unknown gpu_execution_accelerator 'tensor_rt'"),
        ({"gpu": 'runtime: "model.py"\n'}, "remove `runtime`"),
        ({}, "there is no configs/gpu.pbtxt"),
    ],
    ids=["its own mistake", "its own text is looked at", "it is missing"],
)
def test_the_configuration_that_was_chosen_is_the_one_that_is_checked(
    tmp_path: Path, chosen: dict[str, str], reason: str
) -> None:
    """And not config.pbtxt, which is good; Triton itself falls back to it without a word."""
    model = add_model(tmp_path / "repository", "good")
    save_model(model)
    for name, added in chosen.items():
        folder = model.parent.parent / "configs"
        folder.mkdir()
        (folder / f"{name}.pbtxt").write_text(CONFIG + added)
    server = TritonServer(tmp_path / "repository", log=tmp_path / "triton.log", extra_args=["--model-config-name=gpu"])
    with pytest.raises(ServerFailedError, match=re.escape(reason)):
        server.start()


@pytest.mark.parametrize("name", ["no versions", "first"])
def test_a_model_without_a_version_that_can_be_served_is_named(tmp_path: Path, name: str) -> None:
    model = add_model(tmp_path / "repository", "lost")
    if name == "no versions":
        model.parent.rmdir()
    else:
        save_model(model)
        model.parent.rename(model.parent.parent / name)
    server = TritonServer(tmp_path / "repository", log=tmp_path / "triton.log")
    with pytest.raises(ServerFailedError, match="it refuses the model lost: it has no version"):
        server.start()
