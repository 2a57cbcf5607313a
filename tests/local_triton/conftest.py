"""Servers and model repositories for the tests of local_triton."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_triton import TritonServer
from tests.local_triton.tiny_models import CONFIG, accelerator, add_model, save_lookup, save_model, warmup

QUEUE = """dynamic_batching {
  max_queue_delay_microseconds: 400000
  preferred_batch_size: 8
  default_queue_policy { max_queue_size: %d default_timeout_microseconds: %d timeout_action: REJECT }
}
"""


@pytest.fixture(scope="session")
def good_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models that must load. The blank in the path is one of the tests."""
    repository = tmp_path_factory.mktemp("good") / "model repository"
    save_model(add_model(repository, "batching", CONFIG + "dynamic_batching { max_queue_delay_microseconds: 20000 }\n"))
    save_model(add_model(repository, "short_queue", CONFIG + QUEUE % (2, 10_000_000)))
    save_model(add_model(repository, "impatient", CONFIG + QUEUE % (64, 1000)))
    save_model(
        add_model(
            repository,
            "fixed",
            CONFIG.replace("max_batch_size: 8", 'default_model_filename: "other.onnx"')
            .replace("dims: [", "dims: [1, ")
            .replace("KIND_AUTO", "KIND_CPU"),
        ).with_name("other.onnx"),
        batch=1,
    )
    save_model(add_model(repository, "warm", CONFIG + accelerator("gpu", "tensorrt") + warmup(8)))
    save_lookup(
        add_model(
            repository,
            "lookup",
            """backend: "onnxruntime"
max_batch_size: 8
input { name: "index" data_type: TYPE_INT64 dims: [1] }
output { name: "value" data_type: TYPE_FP32 dims: [1] }
dynamic_batching { max_queue_delay_microseconds: 200000 preferred_batch_size: 4 }
""",
        )
    )
    return repository


@pytest.fixture(scope="session")
def triton(good_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """A running server with the good models."""
    with TritonServer(good_repository, log=tmp_path_factory.mktemp("log") / "triton.log") as server:
        yield server


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One good model, for tests that start a server of their own."""
    repository = tmp_path_factory.mktemp("tiny")
    save_model(add_model(repository, "tiny"))
    return repository
