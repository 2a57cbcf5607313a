"""The small data set, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training.recordings import write_data


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))
