"""The path at which `make publish` stores the release of this checkout; only the release's manifest determines it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

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


def _read(repository: Path) -> tuple[dict[str, object], bytes]:
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
