"""`make run CANDIDATE=folder`: the release that a second Triton serves beside the first."""

from __future__ import annotations

import json
from pathlib import Path

from laptop.errors import SetupError

MANIFEST = "manifest.json"  # export writes it into every release


def release_folder(name: str) -> Path:
    """Return the folder of a release, as export makes it: `releases/9`, or a copy of `model_repository`.

    Raises: SetupError where it is none, or not whole. Whether its model loads, Triton says.
    """
    folder = Path(name).absolute()
    where = f"CANDIDATE={name}"
    if not folder.is_dir():
        raise SetupError(f"{where} is no folder: give a release's, such as releases/9 (`make releases` lists them).")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        files = [str(file) for file in manifest["files"]]
        if not files or not isinstance(manifest["release"], int):
            raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SetupError(
            f"{where} is no release: it has no {MANIFEST} of one; give a folder such as releases/9 (`make releases` "
            "lists them)."
        ) from error
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise SetupError(f"{where} is not whole: {missing[0]} is missing; export it again, or give another release.")
    return folder
