"""Queues for the intake's tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.intake.rig import Rig, new_rig
from tests.services.azure import Azure
from tests.services.azurite import AzuriteQueues


@pytest.fixture(scope="session")
def queues(azure: Azure) -> Iterator[AzuriteQueues]:
    with AzuriteQueues(azure.azurite) as running:
        yield running


@pytest.fixture
def rig(azure: Azure, queues: AzuriteQueues) -> Iterator[Rig]:
    one = new_rig(azure, queues)
    yield one
    one.service.close()
