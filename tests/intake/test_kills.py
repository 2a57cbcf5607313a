"""Consumers that are killed at each point of a message's life."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from laptop.service import Service
from tests.intake.faulty_intake import POINTS
from tests.intake.kills import killed_consumers
from tests.intake.rig import Rig

MESSAGES = 100


@pytest.mark.system
@pytest.mark.timeout(600)
def test_every_blob_has_one_result(
    rig: Rig, service: Service, tmp_path: Path, benchmark: bytes, record_property: Callable[[str, object], None]
) -> None:
    counts = killed_consumers(rig, service.triton_url, tmp_path, benchmark, MESSAGES, len(POINTS))
    record_property("counts", counts.row())
    assert counts.good, counts
