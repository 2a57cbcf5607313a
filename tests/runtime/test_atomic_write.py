"""A file or a folder is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.atomic_write import atomic_folder, atomic_write


def test_a_file_is_replaced_and_nothing_is_left_beside(tmp_path: Path) -> None:
    path = tmp_path / "file"
    atomic_write(path, b"first")
    atomic_write(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_can_not_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        atomic_write(tmp_path / "folder", b"content")  # a folder lies there
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_folder_appears_when_it_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with atomic_folder(target) as beside:
        (beside / "file").write_text("x")
        assert not target.exists()
    assert [path.name for path in target.iterdir()] == ["file"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_was_interrupted_is_not_there_and_the_next_try_begins_anew(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(KeyboardInterrupt), atomic_folder(target) as beside:
        (beside / "half").write_text("x")
        raise KeyboardInterrupt
    assert not target.exists()
    with atomic_folder(target) as beside:
        (beside / "whole").write_text("x")
    assert [path.name for path in target.iterdir()] == ["whole"]
