"""Every fault once, reduced; `make soak` runs the full counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from laptop.service import CHECKOUT
from local_triton import TritonServer
from tests.reliability import scenarios
from tests.reliability.backends import AzureBackend, EmbeddedBackend
from tests.reliability.front_end import POINTS, POINTS_OF_COSMOS
from tests.reliability.ledger import Counts
from tests.reliability.scenarios import World
from tests.services.azure import Azure

CALLS = 50
RESTARTS = 3
KILLS = 20

SCENARIOS: dict[str, Callable[[World], Counts]] = {
    "triton": lambda world: scenarios.triton_killed_under_load(world, AzureBackend(world.azure), RESTARTS, CALLS),
    "kills": lambda world: scenarios.killed_at_every_gap(world, AzureBackend(world.azure), KILLS),
    "backlog": lambda world: scenarios.two_replicas_on_one_backlog(world, EmbeddedBackend(world.folder / "var"), CALLS),
    "frozen": lambda world: scenarios.frozen_replica(world, AzureBackend(world.azure)),
    "cosmos": lambda world: scenarios.cosmos_throttles(world, CALLS),
    "blob": lambda world: scenarios.blob_downloads_cut(world, CALLS),
    "disk": lambda world: scenarios.disk_full(world, CALLS),
    "sqlite": lambda world: scenarios.sqlite_killed(world, 12),
}


@pytest.fixture(scope="module")
def world(azure: Azure, benchmark: bytes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("reliability")
    with TritonServer(CHECKOUT / "model_repository", log=folder / "triton.log") as triton:
        yield World(triton, azure, folder, benchmark)


def test_each_point_is_visited() -> None:
    assert len(POINTS + POINTS_OF_COSMOS) <= KILLS


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", SCENARIOS)
def test_nothing_accepted_is_lost(world: World, name: str, record_property: Callable[[str, object], None]) -> None:
    counts = SCENARIOS[name](world)
    record_property("counts", counts.row())
    assert counts.good, counts
