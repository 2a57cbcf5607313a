"""What the faults are done to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from laptop.service import CHECKOUT
from local_triton import TritonServer
from tests.reliability.scenarios import World
from tests.services.azure import Azure


@pytest.fixture(scope="module")
def world(azure: Azure, benchmark: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("reliability")
    with TritonServer(CHECKOUT / "model_repository", log=folder / "triton.log") as triton:
        yield World(triton, azure, folder, benchmark)
