"""Examples are made once, and anew whenever something that they depend on has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runtime.config import load_config
from training.data.dataset import read_dataset
from training.data.example_cache import cached_examples, open_examples
from training.progress import bar

pytestmark = pytest.mark.training


def test_the_folder_is_found_again_and_another_parameter_gives_another(data: Path, tmp_path: Path) -> None:
    entries, params = read_dataset([data])[:4], load_config()
    first = cached_examples(entries, params, 1, 0, bar("examples"), tmp_path)
    written = {path: path.stat().st_mtime_ns for path in first.iterdir()}
    assert cached_examples(entries, params, 1, 0, bar("examples"), tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in first.iterdir()} == written
    other = (replace(params[0], padding_ms=params[0].padding_ms + 10.0), *params[1:])
    second = cached_examples(entries, other, 1, 0, bar("examples"), tmp_path)
    assert second != first
    examples = open_examples(first)
    assert examples.levels.dtype == np.uint8
    assert set(examples.entry) <= set(range(4))
    assert not list(tmp_path.rglob("*.part"))


def test_a_recordings_examples_serve_every_set_that_holds_it(data: Path, tmp_path: Path) -> None:
    """`make crossval` takes what `make train` has made: they depend on the recording's path and the seed alone."""
    entries, params = read_dataset([data])[:4], load_config()
    few = open_examples(cached_examples(entries[2:], params, 2, 0, bar("examples"), tmp_path))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "recordings").iterdir()}
    every = open_examples(cached_examples(entries, params, 2, 0, bar("examples"), tmp_path))
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert np.array_equal(every.levels[every.entry >= 2], few.levels)
    assert np.array_equal(every.entry[every.entry >= 2] - 2, few.entry)
