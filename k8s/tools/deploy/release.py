"""The path at which `make publish` stores the release of this checkout; only the release's manifest determines it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

FOLDER = "releases"


class ReleaseError(ValueError):
    """The folder is no release; the message is one line."""


def release_path(repository: Path) -> str:
    """Return the path in the container, as `export.releases.publish.path_of` (a test compares the two).

    Raises: ReleaseError.
    """
    manifest, data = _read(repository)
    kind = "" if manifest["format"] == "onnx" else f"{manifest['format']}-"
    return f"{FOLDER}/{manifest['release']}-{kind}{hashlib.sha256(data).hexdigest()[:12]}"


def is_validated(repository: Path) -> bool:
    """Whether the release is marked as validated. Raises: ReleaseError."""
    return _read(repository)[0]["validated"] is True


def configs(repository: Path) -> tuple[str, ...]:
    """Return the names that `tritonserver --model-config-name=` can take with this release: `cuda`, `tensorrt`.

    Raises: ReleaseError.
    """
    files = _read(repository)[0].get("files", {})
    found = (re.fullmatch(r"cough_cnn/configs/([a-z0-9_-]+)\.pbtxt", str(name)) for name in files)
    return tuple(sorted(match.group(1) for match in found if match and (repository / match.group(0)).is_file()))


def known_configs(path: str, checkout: Path) -> tuple[str, ...] | None:
    """Return the names for a release at `as://ACCOUNT/CONTAINER/path`; None where this machine has no such release.

    Only kubectl and Python are here, so a release in Blob Storage can't be opened; its path names its manifest by
    digest, and whoever exported it has that manifest.
    """
    for repository in (checkout / "model_repository", *sorted((checkout / FOLDER).glob("*"))):
        try:
            if path.endswith(f"/{release_path(repository)}"):
                return configs(repository)
        except ReleaseError:
            continue  # a folder that was left half way
    return None


def _read(repository: Path) -> tuple[dict[str, Any], bytes]:
    try:
        data = (repository / "manifest.json").read_bytes()
        manifest = json.loads(data)
        if not {"release", "format", "validated"} <= manifest.keys():
            raise ValueError
    except (OSError, ValueError, AttributeError) as error:
        raise ReleaseError(
            f"{repository.name}/manifest.json can't be read: restore it from git, or give RELEASE"
        ) from error
    return manifest, data
