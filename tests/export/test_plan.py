"""From a plan to its release.

There is no GPU here: a config that names the plan's digest serves the ONNX file in its place, which shows every step
but TensorRT's own.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from azure.storage.blob import BlobServiceClient

from export.plan import main
from export.releases.publish import container_of, fetch, publish
from export.releases.release import HALF_FILE
from export.releases.repository import read_release
from local_triton import TritonServer
from runtime.config import MODEL_REPOSITORY
from runtime.contract import newest_version, read_contract
from tests.export.parts import write
from tests.services.azurite import ACCOUNT, Azurite, require_azurite

GPU, TENSORRT = "NVIDIA A100 80GB PCIe", "10.13.3.9"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    require_azurite()
    with Azurite() as running:
        with BlobServiceClient.from_connection_string(running.connection()) as service:
            service.create_container("calls")
        monkeypatch.setenv("BLOB_CONNECTION", running.connection())
        monkeypatch.setenv("BLOB_CONTAINER", "calls")
        yield


PLAN = b"a plan"


def standing_in(folder: Path, digest: str) -> Path:
    """A repository that says it serves the model with that digest."""
    repository = shutil.copytree(MODEL_REPOSITORY, folder / "model_repository")
    config = repository / "cough_cnn" / "config.pbtxt"
    config.write_text(config.read_text().replace(read_contract(MODEL_REPOSITORY).model.sha256, digest))
    return repository


@pytest.fixture
def built(tmp_path: Path) -> tuple[str, str]:
    """What trtexec and nvidia-smi leave on the volume."""
    (tmp_path / "model.plan").write_bytes(PLAN)
    (tmp_path / "built-on.json").write_text(json.dumps({"gpu": GPU + "\n", "tensorrt": TENSORRT}))
    return str(tmp_path / "model.plan"), str(tmp_path / "built-on.json")


def test_fetched_judged_written_and_published(
    environment: None, built: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    container = container_of()
    path = publish(read_release(MODEL_REPOSITORY), container)
    source, trial, finished = (tmp_path / name for name in ("source", "trial", "finished"))
    assert main(["fetch", path, str(source)]) == 0
    assert (source / "cough_cnn" / HALF_FILE).is_file()  # what trtexec is given
    assert main(["trial", str(source), *built, str(trial)]) == 0
    version = str(newest_version(source))
    assert (trial / "cough_cnn" / version / "model.plan").read_bytes() == PLAN
    repository = standing_in(tmp_path, hashlib.sha256(PLAN).hexdigest())
    with TritonServer(repository, log=tmp_path / "triton.log") as triton:
        assert main(["finish", str(source), *built, triton.grpc_url, str(finished)]) == 0
    printed = capsys.readouterr().out.strip()
    assert printed.startswith(f"as://{ACCOUNT}/calls/releases/{version}-tensorrt-")
    release = fetch(container, printed.removeprefix(f"as://{ACCOUNT}/calls/"), tmp_path / "again")
    assert [release.manifest[name] for name in ("format", "gpu", "tensorrt")] == ["tensorrt", GPU, TENSORRT]
    configs = [release.folder / "cough_cnn" / name for name in ("config.pbtxt", "configs/cuda.pbtxt")]
    assert configs[0].read_bytes() == configs[1].read_bytes()  # --model-config-name=cuda serves a plan, too
    assert release.manifest["made_of"] == read_contract(source).model.sha256
    assert release.manifest["parity"][0]["what"] == f"TensorRT on {GPU}, served by Triton"
    assert release.manifest["metrics"] == read_release(source).manifest["metrics"]
    assert path not in printed  # a path of its own


@pytest.mark.system
def test_a_plan_that_decides_otherwise_is_not_published(
    environment: None, built: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server whose cough head is biased stands for a plan that went wrong."""
    repository = standing_in(tmp_path, hashlib.sha256(PLAN).hexdigest())
    file = repository / "cough_cnn" / str(newest_version(repository)) / "model.onnx"
    model = onnx.load(file)
    bias = next(item for item in model.graph.initializer if item.name == "cough_head.bias")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.array([3.0], dtype=np.float32), bias.name))
    onnx.save(model, file)
    with TritonServer(repository, log=tmp_path / "triton.log") as triton:
        assert main(["finish", str(MODEL_REPOSITORY), *built, triton.grpc_url, str(tmp_path / "finished")]) == 1
    assert "differs from the reference" in capsys.readouterr().err
    assert not (tmp_path / "finished").exists()
    assert list(container_of().list_blobs()) == []


@pytest.mark.system
def test_a_server_with_another_model_judges_nothing(
    environment: None, built: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with TritonServer(MODEL_REPOSITORY, log=tmp_path / "triton.log") as triton:
        assert main(["finish", str(MODEL_REPOSITORY), *built, triton.grpc_url, str(tmp_path / "finished")]) == 1
    assert "serves another model" in capsys.readouterr().err
    assert list(container_of().list_blobs()) == []


def test_what_is_missing_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = [str(tmp_path / "no.plan"), str(tmp_path / "gpu.json")]
    assert main(["trial", str(MODEL_REPOSITORY), *missing, str(tmp_path / "t")]) == 1
    assert "No such file or directory (gpu.json)" in capsys.readouterr().err
    assert main(["trial", str(tmp_path), "x", "y", str(tmp_path / "t")]) == 1
    assert "holds no manifest.json" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("noted", "words"),
    [
        ("NVIDIA T4", "does not say where the plan was built"),
        ('{"gpu": "Tesla T4"}', "does not say where the plan was built"),
        ('{"gpu": "Tesla T4", "tensorrt": 10}', "does not say where the plan was built"),
        ('{"gpu": "", "tensorrt": "10.13"}', "lacks the name of the GPU"),
    ],
)
def test_a_plan_of_unknown_origin_is_refused(
    noted: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.plan").write_bytes(PLAN)
    (tmp_path / "built-on.json").write_text(noted)
    arguments = [str(MODEL_REPOSITORY), str(tmp_path / "model.plan"), str(tmp_path / "built-on.json")]
    assert main(["trial", *arguments, str(tmp_path / "trial")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "trial").exists()


def test_of_a_release_without_half_precision_no_plan_is_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model that was made elsewhere may have none."""
    release = write(tmp_path / "releases", 3, half=None)
    monkeypatch.setattr("export.plan.container_of", lambda: None)
    monkeypatch.setattr("export.plan.fetch", lambda *_: release)
    assert main(["fetch", "releases/3-0123456789ab", str(release.folder)]) == 1
    assert "Release 3 has no half.onnx, of which a plan is built" in capsys.readouterr().err
    assert not release.folder.exists()
