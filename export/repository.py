"""The releases on disk, and the one that is selected: `releases/<n>/` and its copy `model_repository/`.

Selecting swaps the whole directory at once, so Triton finds the old release or the new one. Nothing is overwritten: what
`model_repository/` held lies in `releases/` before it is replaced.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from export.errors import ReleaseError
from export.release import MANIFEST, file_digests
from export.swap import recover, replace_directory
from runtime.contract import MODEL_NAME, read_contract
from runtime.errors import ModelContractError


@dataclass(frozen=True, slots=True)
class Release:
    """A directory with its manifest."""

    folder: Path
    manifest: dict[str, Any]

    @property
    def number(self) -> int:
        return int(self.manifest["release"])


def read_release(folder: Path) -> Release:
    """Raises: ReleaseError where there is no manifest or it is none."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        int(manifest["release"])
        dict(manifest["files"])
    except OSError as error:
        raise ReleaseError(f"{folder.name}/ holds no {MANIFEST}: `make export` makes a release.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ReleaseError(f"{folder.name}/{MANIFEST} can't be read: remove the folder, or restore it.") from error
    return Release(folder, manifest)


def releases_in(releases: Path) -> list[Release]:
    """Whole ones, by number. Raises: ReleaseError."""
    folders = [one for one in releases.iterdir() if one.name.isdigit()] if releases.is_dir() else []
    return [read_release(one) for one in sorted(folders, key=lambda one: int(one.name))]


def next_number(releases: Path, repository: Path) -> int:
    """One above every release on disk and the selected one, so that no number is given twice."""
    numbers = [one.number for one in releases_in(releases)]
    if (repository / MANIFEST).is_file():
        numbers.append(read_release(repository).number)
    return max(numbers, default=0) + 1


def select_release(release: Release, repository: Path, releases: Path) -> None:
    """Make `repository` a copy of the release, once every digest of it is right.

    Raises: ReleaseError where the release is altered, or `repository` holds one that is not kept in `releases`.
    """
    recover(repository)
    problems = list(problems_of(release))
    if problems:
        raise ReleaseError(f"Release {release.number} can't be selected: {problems[0]}")
    if repository.exists():
        _keep(read_release(repository), releases)
    beside = repository.with_name(repository.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(release.folder, beside)
    replace_directory(beside, repository)


def release_before(repository: Path, releases: Path) -> Release:
    """The one with the next lower number. Raises: ReleaseError where there is none."""
    recover(repository)
    serving = read_release(repository)
    _keep(serving, releases)
    lower = [one for one in releases_in(releases) if one.number < serving.number]
    if not lower:
        raise ReleaseError(
            f"There is no release before {serving.number} in {releases.name}/, which git does not keep: check out the commit "
            f"that served it (`git log -- {repository.name}`), or export its checkpoint again."
        )
    return lower[-1]


def release_numbered(number: int, repository: Path, releases: Path) -> Release:
    """Raises: ReleaseError where it is not on disk."""
    recover(repository)
    known = releases_in(releases)
    for one in known:
        if one.number == number:
            return one
    raise ReleaseError(
        f"There is no release {number} in {releases.name}/ ({', '.join(str(one.number) for one in known) or 'none at all'})."
    )


def problems_of(release: Release) -> Iterator[str]:
    """What is wrong with a release, each in one sentence: digests, files too many or too few, a config that says otherwise."""
    found, promised = file_digests(release.folder), release.manifest["files"]
    for name in sorted(found.keys() | promised.keys()):
        if name not in found:
            yield f"{name} is missing."
        elif name not in promised:
            yield f"{name} is not in the manifest."
        elif found[name] != promised[name]:
            yield f"{name} is not the file that the manifest names (SHA-256 {found[name][:12]}, not {promised[name][:12]})."
    try:
        contract = read_contract(release.folder)
    except ModelContractError as error:
        yield str(error)
        return
    model = [digest for name, digest in found.items() if name.startswith(f"{MODEL_NAME}/{release.number}/")]
    if model != [contract.model.sha256]:
        yield f"config.pbtxt names another model file than the one in {MODEL_NAME}/{release.number}/."
    for name, ours in (("checkpoint_sha256", contract.checkpoint_sha256), ("data_sha256", contract.data_sha256)):
        if release.manifest.get(name) != ours:
            yield f"the manifest's {name} is not the one in config.pbtxt."


def _keep(serving: Release, releases: Path) -> None:
    """A fresh clone has the selected release only: put it into `releases` before something else takes its place."""
    kept = releases / str(serving.number)
    if not kept.exists():
        releases.mkdir(exist_ok=True)
        beside = kept.with_name(kept.name + ".part")
        shutil.rmtree(beside, ignore_errors=True)
        shutil.copytree(serving.folder, beside)
        beside.replace(kept)
    elif read_release(kept).manifest["files"] != serving.manifest["files"]:
        raise ReleaseError(
            f"{serving.folder.name}/ serves another release {serving.number} than {releases.name}/{serving.number}: "
            f"move that folder away, so that neither is lost."
        )
