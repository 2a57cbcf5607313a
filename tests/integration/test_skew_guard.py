"""Training and serving can't drift apart: with a config.yml or a model that differs nothing is diagnosed, and the field
is named.

With the real Triton, and a checkout of its own whose config.yml is edited.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest

from laptop.service import CHECKOUT
from local_triton import TritonServer
from runtime.config import MODEL_REPOSITORY
from runtime.contract import newest_version
from tests.integration.problems import assert_problem, post
from tests.integration.processes import front_end, wait_for
from tests.laptop.checkouts import copy_checkout

EXECUTE = """
from runtime import ParametersDiffer, WorkUnit, execute, load_config
from runtime.errors import ModelContractError
try:
    execute(WorkUnit(%r, *load_config()))
except ParametersDiffer as error:
    print(error.field, error.expected, error.found)
except ModelContractError as error:
    print(error)
"""
SAMPLE = CHECKOUT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg"


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    with TritonServer(MODEL_REPOSITORY, log=tmp_path_factory.mktemp("log") / "triton.log") as server:
        yield server


def checkout_with(folder: Path, old: str, new: str) -> Path:
    """This checkout's code and release, and its config.yml with one value changed."""
    copy_checkout(folder, "config.yml")
    text = (CHECKOUT / "config.yml").read_text()
    assert text.count(old) == 1
    (folder / "config.yml").write_text(text.replace(old, new))
    return folder


@pytest.mark.parametrize(
    ("old", "new", "field", "expected", "found"),
    [
        ("hop_length: 80 ", "hop_length: 96 ", "mel_spec.hop_length", "80", "96"),
        pytest.param(
            *("n_frames: 96 ", "n_frames: 97 ", "mel_spec.n_frames", "96", "97"),
            marks=pytest.mark.system,
        ),
    ],
)
def test_one_field_of_config_yml(
    triton: TritonServer, tmp_path: Path, benchmark: bytes, old: str, new: str, field: str, expected: str, found: str
) -> None:
    checkout = checkout_with(tmp_path / "checkout", old, new)
    for address in ("", triton.grpc_url):  # ONNX Runtime in process, and Triton
        environment = {**os.environ, "TRITON_URL": address} if address else dict(os.environ)
        run = subprocess.run(
            [sys.executable, "-c", EXECUTE % str(SAMPLE)],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.split() == [field, expected, found]
    (tmp_path / "var").mkdir()
    with front_end(tmp_path / "var", triton.grpc_url, checkout) as one:
        one.start("--workers", "1")
        wait_for(lambda: "trained" in one.api.get("/readyz").text, "the model's parameters are seen")
        answer = one.api.get("/readyz")
        assert_problem(answer, 503, "not_ready")
        assert answer.json()["detail"].startswith(f"{field} is {found}, but the model was trained with {expected}")
        assert_problem(post(one.api, benchmark, "skewed"), 503, "not_ready")
        assert one.get("/v1/calls/skewed") == 404


def other_labels(folder: Path) -> None:
    """Served all the same: Triton does not know what they mean."""
    edit(folder / "config.pbtxt", r"[\"negative\", \"positive\"]", r"[\"healthy\", \"ill\"]")
    (folder / "labels.txt").write_text("healthy\nill\n")


def other_shape(folder: Path) -> None:
    """A model for four frames more, whose parameters were left as they are."""
    file = folder / str(newest_version(folder.parent)) / "model.onnx"
    model = onnx.load(file)
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 100
    del model.graph.value_info[:]
    onnx.save(model, file)
    edit(folder / "config.pbtxt", "dims: 96", "dims: 100")


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_labels, "labels are ['healthy', 'ill'] in the model, but a diagnosis has ['negative', 'positive']"),
        pytest.param(
            other_shape,
            "The model's tensor spectrogram is ('TYPE_UINT8', [64, 100]), but the contract says ('TYPE_UINT8', [64, "
            "96])",
            marks=pytest.mark.system,
        ),
    ],
)
def test_a_model_with_other_labels_or_shapes(
    tmp_path: Path, benchmark: bytes, change: Callable[[Path], None], words: str
) -> None:
    repository = shutil.copytree(MODEL_REPOSITORY, tmp_path / "model_repository")
    change(repository / "cough_cnn")
    with TritonServer(repository, log=tmp_path / "triton.log") as server, front_end(tmp_path, server.grpc_url) as one:
        one.start("--workers", "1")
        wait_for(lambda: "Triton has not answered" not in one.api.get("/readyz").text, "the model was seen")
        answer = one.api.get("/readyz")
        assert_problem(answer, 503, "not_ready")
        assert answer.json()["detail"].startswith(words)
        assert_problem(post(one.api, benchmark, "other-model"), 503, "not_ready")
        run = subprocess.run(
            [sys.executable, "-c", EXECUTE % str(SAMPLE)],
            cwd=CHECKOUT,
            env={**os.environ, "TRITON_URL": server.grpc_url},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.startswith(words)
