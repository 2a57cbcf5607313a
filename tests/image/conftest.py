"""Building an image takes minutes, root and Debian's buildah: `make image-test` does it, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if collection_path.name == "test_image.py" and config.option.markexpr != "image" else None
