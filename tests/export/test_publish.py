"""Publishing to a real blob service (Azurite): nothing is overwritten, half an upload is no release, a second run
completes it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient, ContainerClient

from export.errors import PublishError, ReleaseError
from export.manage import main
from export.releases.publish import container_of, fetch, path_of, publish
from export.releases.release import MANIFEST
from local_triton.ports import free_ports
from runtime.config import ROOT
from tests.export.parts import write
from tests.services.azurite import ACCOUNT, Azurite, require_azurite

CONTAINER = "calls"


@pytest.fixture(scope="module")
def azurite() -> Iterator[Azurite]:
    require_azurite()
    with Azurite() as running:
        with BlobServiceClient.from_connection_string(running.connection()) as service:
            service.create_container(CONTAINER)
        yield running


@pytest.fixture
def environment(azurite: Azurite) -> dict[str, str]:
    return {"BLOB_CONNECTION": azurite.connection(), "BLOB_CONTAINER": CONTAINER}


@pytest.fixture
def container(environment: dict[str, str]) -> Iterator[ContainerClient]:
    with container_of(environment) as client:
        yield client


def names(container: ContainerClient, path: str) -> list[str]:
    return [blob.name.removeprefix(f"{path}/") for blob in container.list_blobs(f"{path}/")]


def test_a_release_goes_up_and_comes_down_again(tmp_path: Path, container: ContainerClient) -> None:
    release = write(tmp_path / "releases", 7, model=os.urandom(100_000))
    sent: list[int] = []
    path = publish(release, container, sent.append)
    assert path == path_of(release)
    assert path.startswith("releases/7-")
    assert sorted(names(container, path)) == sorted([*release.manifest["files"], MANIFEST])
    assert sum(sent) > 100_000
    fetched = fetch(container, path, tmp_path / "fetched")
    assert fetched.manifest == release.manifest
    for name in release.manifest["files"]:
        assert (fetched.folder / name).read_bytes() == (release.folder / name).read_bytes()


def test_the_manifest_is_uploaded_last(tmp_path: Path, container: ContainerClient) -> None:
    seen: list[list[str]] = []
    second = write(tmp_path / "more", 1, model=os.urandom(64))
    publish(second, container, lambda _: seen.append(names(container, path_of(second))))
    assert [MANIFEST in item for item in seen] == [False] * len(second.manifest["files"]) + [True]


def test_the_same_again_changes_nothing(tmp_path: Path, container: ContainerClient) -> None:
    release = write(tmp_path / "releases", 1, model=os.urandom(64))
    path = publish(release, container)
    before = {blob.name: blob.etag for blob in container.list_blobs(f"{path}/")}
    assert publish(release, container) == path
    assert {blob.name: blob.etag for blob in container.list_blobs(f"{path}/")} == before


def test_another_release_of_the_same_number_has_another_path(tmp_path: Path, container: ContainerClient) -> None:
    first = publish(write(tmp_path / "a", 1, model=os.urandom(64)), container)
    second = publish(write(tmp_path / "b", 1, model=os.urandom(64)), container)
    assert first != second


def test_what_is_there_is_never_overwritten(tmp_path: Path, container: ContainerClient) -> None:
    release = write(tmp_path / "releases", 1, model=os.urandom(64))
    name = f"{path_of(release)}/cough_cnn/labels.txt"
    container.upload_blob(name, b"something else")
    with pytest.raises(PublishError, match=r"labels\.txt holds something else"):
        publish(release, container)
    assert container.download_blob(name).readall() == b"something else"
    assert MANIFEST not in names(container, path_of(release))


def test_a_stranger_under_the_path_is_said(tmp_path: Path, container: ContainerClient) -> None:
    release = write(tmp_path / "releases", 1, model=os.urandom(64))
    container.upload_blob(f"{path_of(release)}/cough_cnn/9/model.onnx", b"x")
    with pytest.raises(PublishError, match="no file of the release"):
        publish(release, container)


def test_an_altered_release_is_not_published(tmp_path: Path, container: ContainerClient) -> None:
    release = write(tmp_path / "releases", 1, model=os.urandom(64))
    (release.folder / "cough_cnn" / "labels.txt").write_text("others\n")
    with pytest.raises(ReleaseError, match=r"labels\.txt is not the file"):
        publish(release, container)
    assert names(container, path_of(release)) == []


def test_half_a_release_is_not_fetched(tmp_path: Path, container: ContainerClient) -> None:
    release = write(tmp_path / "releases", 1, model=os.urandom(64))
    path = publish(release, container)
    container.delete_blob(f"{path}/{MANIFEST}")
    with pytest.raises(PublishError, match="no release under"):
        fetch(container, path, tmp_path / "fetched")
    publish(release, container)
    container.upload_blob(f"{path}/cough_cnn/labels.txt", b"x", overwrite=True)
    with pytest.raises(ReleaseError, match=r"labels\.txt is not the file"):
        fetch(container, path, tmp_path / "fetched")


def test_names_that_lead_outside_are_not_fetched(tmp_path: Path, container: ContainerClient) -> None:
    """Who can write a blob must not write a file here."""
    for number, name in enumerate(("../outside", "/outside", "cough_cnn/../../outside")):
        manifest = {**write(tmp_path / f"r{number}", 1).manifest, "files": {name: "0" * 64}}
        container.upload_blob(f"releases/x{number}/{MANIFEST}", json.dumps(manifest))
        with pytest.raises(ReleaseError, match="no release of ours"):
            fetch(container, f"releases/x{number}", tmp_path / "a" / "b" / "fetched")
    assert not list(tmp_path.rglob("outside"))


def test_a_fetch_goes_on_after_an_interruption(tmp_path: Path, container: ContainerClient) -> None:
    release = write(tmp_path / "releases", 1, model=os.urandom(64))
    path = publish(release, container)
    (tmp_path / "fetched.part" / "cough_cnn").mkdir(parents=True)  # what a kill leaves
    (tmp_path / "fetched.part" / "cough_cnn" / "labels.txt").write_text("half")
    assert fetch(container, path, tmp_path / "fetched").manifest == release.manifest


@pytest.mark.system
def test_killed_at_every_request_it_is_no_release_and_goes_on_later(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.export.interrupted", "publish", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    attempts = [json.loads(line) for line in run.stdout.splitlines()]
    assert {attempt["files"] for attempt in attempts} == set(
        range(attempts[0]["of"] + 1)
    )  # each file was the last one once
    assert all(attempt["whole"] is (attempt["files"] == attempt["of"]) for attempt in attempts)
    assert all(attempt["problems"] == [] for attempt in attempts)


def test_the_command_prints_the_path_to_deploy(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    release = write(tmp_path / "releases", 1, model=os.urandom(64))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    arguments = ["--repository", str(release.folder), "--releases", str(tmp_path / "releases"), "publish"]
    assert main(arguments) == 0
    shown = capsys.readouterr()
    assert shown.out == f"as://{ACCOUNT}/{CONTAINER}/{path_of(release)}\n"
    assert "100%" in shown.err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BLOB_CONNECTION": None}, r"Set BLOB_CONNECTION \(or BLOB_ENDPOINT for an identity\) in the environment"),
        ({"BLOB_CONNECTION": None, "BLOB_CONTAINER": None}, "BLOB_CONNECTION .* and BLOB_CONTAINER"),
        ({"BLOB_CONNECTION": "nonsense"}, "can't be read"),
        ({"BLOB_CONTAINER": "nowhere"}, "does not exist"),
        ({"BLOB_CONNECTION": "wrong key"}, "refused the key"),
        ({"BLOB_CONNECTION": "closed port"}, "can't be reached"),
    ],
)
def test_a_container_that_cannot_be_used_gets_one_sentence_without_secrets(
    tmp_path: Path,
    azurite: Azurite,
    environment: dict[str, str],
    changes: dict[str, str | None],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("export.releases.publish.RETRIES", 0)
    special = {
        "wrong key": azurite.connection(key="d3Jvbmcga2V5"),
        "closed port": azurite.connection().replace(str(azurite.port), str(free_ports(1)[0])),
    }
    changed = {**environment, **{name: special.get(value or "", value) for name, value in changes.items()}}
    release = write(tmp_path / "releases", 1, model=os.urandom(64))
    with pytest.raises(PublishError, match=words) as caught:
        publish(release, container_of({name: value for name, value in changed.items() if value}))
    assert azurite.key not in str(caught.value)
    assert "\n" not in str(caught.value)
