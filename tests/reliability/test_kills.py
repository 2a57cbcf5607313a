"""A front end that is killed at each point of a call's life; a file of its own, since it takes as long as all other
faults.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.reliability import scenarios
from tests.reliability.backends import AzureBackend
from tests.reliability.front_end import POINTS, POINTS_OF_COSMOS
from tests.reliability.scenarios import World

KILLS = 20


def test_each_point_is_visited() -> None:
    assert len(POINTS + POINTS_OF_COSMOS) <= KILLS


@pytest.mark.system
@pytest.mark.timeout(400)
def test_no_accepted_call_is_lost_by_kills(world: World, record_property: Callable[[str, object], None]) -> None:
    counts = scenarios.killed_at_every_gap(world, AzureBackend(world.azure), KILLS)
    record_property("counts", counts.row())
    assert counts.good, counts
