"""Examples on disk: `make train` and `make crossval` cut and distort the same audio, which takes minutes; and networks
that are fitted in processes of their own read them from there without a copy.

The folder's name is the digest of everything that the examples depend on, the code included.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path

import numpy as np

from runtime.atomic_write import atomic_folder
from runtime.config import ROOT, digest, preprocess_parameters
from training.data.dataset import Entry
from training.data.examples import Examples, Params, build_examples

CACHE = ROOT / "build" / "examples"


def cached_examples(
    entries: list[Entry],
    data_sha256: str,
    params: Params,
    n_variants: int,
    seed: int,
    progress: Callable[[Iterable[int], int], Iterable[int]],
    cache: Path = CACHE,
) -> Path:
    """The folder that holds the examples of `build_examples`, made if it is not there."""
    files = [(entry.path, len(entry.files), entry.files[0].stat().st_size) for entry in entries]
    depends_on = [data_sha256, preprocess_parameters(*params), n_variants, seed, _code_sha256(), files]
    folder = cache / digest(depends_on)
    if not folder.is_dir():
        with atomic_folder(folder) as beside:
            examples = build_examples(entries, params, n_variants, seed, progress)
            for column in fields(Examples):
                np.save(beside / f"{column.name}.npy", getattr(examples, column.name))
    return folder


def open_examples(folder: Path) -> Examples:
    """The spectrograms stay on disk, the rest is read."""
    columns = {column.name: np.load(folder / f"{column.name}.npy") for column in fields(Examples)[1:]}
    return Examples(levels=np.load(folder / "levels.npy", mmap_mode="r"), **columns)


def _code_sha256() -> str:
    """Of the modules that make examples."""
    modules = [*sorted((ROOT / "preprocess").glob("*.py"))]
    modules += [ROOT / "training" / "data" / f"{name}.py" for name in ("augment", "codecs", "dataset", "examples")]
    return hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()
