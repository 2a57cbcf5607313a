"""The releases on disk, and the one that is selected: `releases/<n>/` and its copy `model_repository/`.

Selecting swaps the whole directory at once, so Triton finds the old release or the new one. Nothing is overwritten:
what `model_repository/` held lies in `releases/` before it is replaced.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from export.errors import ReleaseError
from export.releases.release import MANIFEST, file_digests
from export.releases.swap import recover, replace_directory
from runtime.atomic_write import atomic_folder
from runtime.config import ROOT, load_config
from runtime.contract import MODEL_NAME, read_contract
from runtime.errors import ModelContractError

RELEASES = ROOT / "releases"


class Manifest(BaseModel):
    """What manifest.json must say; it says more."""

    model_config = ConfigDict(strict=True, extra="allow")

    release: int = Field(ge=1)
    files: dict[str, str]
    checkpoint_sha256: str
    data_sha256: str
    software_version: str
    validated: bool
    metrics: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Release:
    """A directory with its manifest."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def number(self) -> int:
        return int(self.manifest["release"])

    @property
    def manifest_sha256(self) -> str:
        return hashlib.sha256((self.folder / MANIFEST).read_bytes()).hexdigest()

    @property
    def format(self) -> str:
        """`onnx` or `tensorrt`."""
        return str(self.manifest.get("format", "onnx"))


def read_release(folder: Path) -> Release:
    """Read a release. Raises: ReleaseError where the manifest is missing or invalid."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        Manifest.model_validate(manifest)
    except OSError as error:
        raise ReleaseError(f"{folder.name}/ holds no {MANIFEST}: `make export` makes a release.") from error
    except ValueError as error:
        raise ReleaseError(f"{folder.name}/{MANIFEST} can't be read: remove the folder, or restore it.") from error
    return Release(folder, manifest)


def releases_in(releases: Path) -> list[Release]:
    """Return the complete releases, by number. Raises: ReleaseError."""
    return [read_release(folder) for folder in folders_in(releases)]


def folders_in(releases: Path) -> list[Path]:
    """Return the folders of releases, by number, with any content."""
    folders = [path for path in releases.iterdir() if path.name.isdigit()] if releases.is_dir() else []
    return sorted(folders, key=lambda folder: int(folder.name))


@contextmanager
def one_at_a_time(releases: Path) -> Iterator[None]:
    """Held while a number is taken and a release is written or selected: a second command waits."""
    releases.mkdir(parents=True, exist_ok=True)
    with (releases / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed, by a kill, too
        yield


def next_number(releases: Path, repository: Path) -> int:
    """One above every release on disk and the selected one, so that no number is given twice."""
    numbers = [int(folder.name) for folder in folders_in(releases)]
    if (repository / MANIFEST).is_file():
        numbers.append(read_release(repository).number)
    return max(numbers, default=0) + 1


def select_release(release: Release, repository: Path, releases: Path) -> None:
    """Make `repository` a copy of the release, once every digest of it is right.

    Raises: ReleaseError where the release is altered or is a plan, or where `repository` holds what would be lost;
    ParametersDiffer where the release was trained with other parameters than config.yml holds.
    """
    recover(repository)
    if release.format != "onnx":
        raise ReleaseError(
            f"Release {release.number} is a plan for {release.manifest.get('gpu')}, which nothing else runs: "
            "publish it instead."
        )
    problems = list(problems_of(release))
    if problems:
        raise ReleaseError(f"Release {release.number} can't be selected: {problems[0]}")
    read_contract(release.folder).check_parameters(*load_config())
    if repository.exists():
        _keep(read_release(repository), releases)
    beside = repository.with_name(repository.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(release.folder, beside)
    replace_directory(beside, repository)


def release_before(repository: Path, releases: Path) -> Release:
    """Return the release with the next lower number that can be served here. Raises: ReleaseError without one."""
    serving = read_release(repository)
    _keep(serving, releases)
    onnx = [release for release in releases_in(releases) if release.format == "onnx"]
    lower = [release for release in onnx if release.number < serving.number]
    if not lower:
        raise ReleaseError(
            f"There is no release before {serving.number} in {releases.name}/, which git does not keep: check out "
            "the commit "
            f"that served it (`git log -- {repository.name}`), or export its checkpoint again."
        )
    return lower[-1]


def release_numbered(number: int, releases: Path) -> Release:
    """Return the release with that number. Raises: ReleaseError where it is not on disk."""
    known = releases_in(releases)
    for item in known:
        if item.number == number:
            return item
    raise ReleaseError(
        f"There is no release {number} in {releases.name}/ "
        f"({', '.join(str(item.number) for item in known) or 'none at all'})."
    )


def problems_of(release: Release) -> Iterator[str]:
    """What is wrong with a release, each in one sentence: digests, files too many or too few, a config that says
    otherwise.
    """
    found, promised = file_digests(release.folder), release.manifest["files"]
    if release.folder.name.isdigit() and int(release.folder.name) != release.number:
        yield f"the folder {release.folder.name} holds release {release.number}."
    for name in sorted(found.keys() | promised.keys()):
        if name not in found:
            yield f"{name} is missing."
        elif name not in promised:
            yield f"{name} is not in the manifest."
        elif found[name] != promised[name]:
            yield (
                f"{name} is not the file that the manifest names (SHA-256 {found[name][:12]}, not "
                f"{promised[name][:12]})."
            )
    try:
        contract = read_contract(release.folder)
    except ModelContractError as error:
        yield str(error)
        return
    served = {digest for name, digest in found.items() if name.startswith(f"{MODEL_NAME}/{release.number}/")}
    if contract.model.sha256 not in served:
        yield f"config.pbtxt names another model file than what is in {MODEL_NAME}/{release.number}/."
    for name, ours in (("checkpoint_sha256", contract.checkpoint_sha256), ("data_sha256", contract.data_sha256)):
        if release.manifest.get(name) != ours:
            yield f"the manifest's {name} is not the one in config.pbtxt."


def _keep(serving: Release, releases: Path) -> None:
    """A fresh clone has the selected release only: put it into `releases` before something else takes its place."""
    kept = releases / str(serving.number)
    problems = list(problems_of(serving))
    if problems:
        raise ReleaseError(
            f"{serving.folder.name}/ was altered and would be lost: {problems[0]} Restore it from git first."
        )
    if not kept.exists():
        releases.mkdir(exist_ok=True)
        with atomic_folder(kept) as beside:
            shutil.copytree(serving.folder, beside, dirs_exist_ok=True)
    elif read_release(kept).manifest["files"] != serving.manifest["files"]:
        raise ReleaseError(
            f"{serving.folder.name}/ serves another release {serving.number} than {releases.name}/{serving.number}: "
            f"move that folder away, so that neither is lost."
        )
