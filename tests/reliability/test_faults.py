"""Every fault but the kills (test_kills.py), reduced; `make soak` runs the full counts.

Two of them in `make test`, the others in `make test-system`. That SQLite's file stays whole when its writer is killed
is in tests/frontend/calls/test_crash_safety.py.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.reliability import scenarios
from tests.reliability.backends import AzureBackend, EmbeddedBackend
from tests.reliability.ledger import Counts
from tests.reliability.scenarios import World

CALLS = 50
RESTARTS = 3
WORKER_KILLS = 20

SCENARIOS: dict[str, Callable[[World], Counts]] = {
    "triton": lambda world: scenarios.triton_killed_under_load(world, AzureBackend(world.azure), RESTARTS, CALLS),
    "disk": lambda world: scenarios.disk_full(world, CALLS),
    "backlog": lambda world: scenarios.two_replicas_on_one_backlog(world, EmbeddedBackend(world.folder / "var"), CALLS),
    "frozen": lambda world: scenarios.frozen_replica(world, AzureBackend(world.azure)),
    "cosmos": lambda world: scenarios.cosmos_throttles(world, CALLS),
    "workers": lambda world: scenarios.workers_killed(world, EmbeddedBackend(world.folder / "workers"), WORKER_KILLS),
    "blob": lambda world: scenarios.blob_downloads_cut(world, CALLS),
}
QUICK = ("triton", "disk", "workers")


@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.system) for name in SCENARIOS]
)
def test_no_accepted_call_is_lost(world: World, name: str, record_property: Callable[[str, object], None]) -> None:
    counts = SCENARIOS[name](world)
    record_property("counts", counts.row())
    assert counts.good, counts
