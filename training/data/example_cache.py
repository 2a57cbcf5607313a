"""Examples on disk: `make train` and `make crossval` cut and distort the same audio, which takes minutes; and networks
that are fitted in processes of their own read them from there without a copy.

Each recording's examples are a file whose name is the digest of everything that they depend on, the code included; a
folder puts those of one training together.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from runtime.atomic_write import atomic_folder, atomic_write
from runtime.config import ROOT, digest, preprocess_parameters
from training.data.dataset import Entry
from training.data.examples import Examples, Params, examples_of

CACHE = ROOT / "build" / "examples"
_COLUMNS = tuple(column.name for column in fields(Examples))
_CODE = (
    *(
        f"preprocess/{name}"
        for name in ("color", "color_table", "decode", "exact", "level", "mel", "resample", "segment")
    ),
    *(f"training/data/{name}" for name in ("augment", "codecs", "dataset", "examples", "lines")),
)


def cached_examples(
    entries: list[Entry],
    params: Params,
    n_variants: int,
    seed: int,
    progress: Callable[[Iterable[int], int], Iterable[int]],
    cache: Path = CACHE,
) -> Path:
    """The folder that holds the examples of all entries, made on two processes as far as they are not there."""
    shared = digest([preprocess_parameters(*params), n_variants, seed, _code_sha256()])
    names = [digest([shared, _content(entry)]) for entry in entries]
    folder = cache / digest(names)
    if folder.is_dir():
        return folder
    parts = cache / "recordings"
    parts.mkdir(parents=True, exist_ok=True)
    missing = [
        (entry, parts / name) for entry, name in zip(entries, names, strict=True) if not (parts / name).is_file()
    ]
    work = partial(_make, params=params, n_variants=n_variants, seed=seed)
    if missing:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            for _ in zip(
                progress(range(len(missing)), len(missing)), pool.map(work, missing, chunksize=4), strict=True
            ):
                pass
    found = [_read(parts / name, index) for index, name in enumerate(names)]
    with atomic_folder(folder) as beside:
        for column in _COLUMNS:
            np.save(beside / f"{column}.npy", np.concatenate([getattr(part, column) for part in found]))
    return folder


def open_examples(folder: Path) -> Examples:
    """The spectrograms stay on disk, the rest is read."""
    columns = {column: np.load(folder / f"{column}.npy") for column in _COLUMNS[1:]}
    return Examples(levels=np.load(folder / "levels.npy", mmap_mode="r"), **columns)


def _make(task: tuple[Entry, Path], *, params: Params, n_variants: int, seed: int) -> None:
    entry, path = task
    examples, buffer = examples_of(entry, params, n_variants, seed), io.BytesIO()
    np.savez_compressed(buffer, **{column: getattr(examples, column) for column in _COLUMNS})
    atomic_write(path, buffer.getvalue())


def _read(path: Path, index: int) -> Examples:
    with np.load(path) as columns:
        examples = {column: columns[column] for column in _COLUMNS}
    return Examples(**{**examples, "entry": np.full(len(examples["entry"]), index, dtype=np.int64)})


def _content(entry: Entry) -> list[object]:
    """What an entry's examples depend on."""
    files = [(file.name, hashlib.sha256(file.read_bytes()).hexdigest()) for file in entry.files]
    return [entry.path, files, entry.is_cough, entry.class_label, entry.marks]


def _code_sha256() -> str:
    """Of the modules that make examples."""
    modules = [*(ROOT / f"{name}.py" for name in _CODE), *sorted((ROOT / "preprocess" / "decoders").glob("*.py"))]
    return hashlib.sha256(b"".join(module.read_bytes() for module in modules)).hexdigest()
