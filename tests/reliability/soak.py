"""`make soak`: every fault with its full counts, an hour at most; the table goes into docs/reliability.md."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from local_triton import TritonServer
from runtime.config import ROOT
from runtime.version import SOFTWARE_VERSION
from tests.intake.kills import killed_consumers
from tests.intake.rig import new_rig
from tests.reliability import scenarios
from tests.reliability.backends import AzureBackend, EmbeddedBackend
from tests.reliability.ledger import Counts, table
from tests.reliability.scenarios import World
from tests.services.azure import Azure
from tests.services.azurite import AzuriteQueues

CALLS, RESTARTS, KILLS, ROUNDS, WORKER_KILLS = 500, 20, 200, 200, 300
INTAKE_KILLS = 54  # each point three times
PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- make soak: from here -->", "<!-- make soak: to here -->"


def intake_killed(world: World) -> Counts:
    """Consumers of storage events, killed at each point of a message's life."""
    folder = world.folder / "intake"
    folder.mkdir()
    with AzuriteQueues(world.azure.azurite) as queues:
        rig = new_rig(world.azure, queues)
        return killed_consumers(rig, world.triton.grpc_url, folder, world.recording, CALLS, INTAKE_KILLS)


SCENARIOS: list[Callable[[World], Counts]] = [
    lambda world: scenarios.triton_killed_under_load(world, AzureBackend(world.azure), RESTARTS, CALLS),
    lambda world: scenarios.triton_killed_under_load(world, EmbeddedBackend(world.folder / "var-1"), RESTARTS, CALLS),
    lambda world: scenarios.killed_at_every_gap(world, AzureBackend(world.azure), KILLS),
    lambda world: scenarios.killed_at_every_gap(world, EmbeddedBackend(world.folder / "var-2"), KILLS),
    lambda world: scenarios.two_replicas_on_one_backlog(world, AzureBackend(world.azure), CALLS),
    lambda world: scenarios.two_replicas_on_one_backlog(world, EmbeddedBackend(world.folder / "var-3"), CALLS),
    lambda world: scenarios.frozen_replica(world, AzureBackend(world.azure)),
    lambda world: scenarios.frozen_replica(world, EmbeddedBackend(world.folder / "var-4")),
    lambda world: scenarios.cosmos_throttles(world, CALLS),
    lambda world: scenarios.blob_downloads_cut(world, CALLS),
    lambda world: scenarios.disk_full(world, CALLS),
    lambda world: scenarios.sqlite_killed(world, ROUNDS),
    intake_killed,
    lambda world: scenarios.workers_killed(world, EmbeddedBackend(world.folder / "var-5"), WORKER_KILLS),
]


def main() -> int:
    """0 where every scenario has held."""
    recording = (ROOT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes()
    started = time.monotonic()
    done: list[Counts] = []
    with tempfile.TemporaryDirectory() as folder, Azure() as azure:
        log = Path(folder) / "triton.log"
        with TritonServer(ROOT / "model_repository", log=log) as triton:
            world = World(triton, azure, Path(folder), recording)
            for scenario in tqdm(SCENARIOS, desc="soak", unit="scenario", file=sys.stderr):
                done.append(scenario(world))
                tqdm.write(" | ".join(done[-1].row()), file=sys.stderr)
    minutes = (time.monotonic() - started) / 60.0
    rows = table([counts.row() for counts in done])
    text = (
        f"{datetime.now(UTC):%Y-%m-%d}, version {SOFTWARE_VERSION}, {os.cpu_count()} cores ({platform.machine()}), "
        f"{minutes:.0f} min:\n\n{rows}"
    )
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    print(rows)
    return 0 if all(counts.good for counts in done) else 1


if __name__ == "__main__":
    sys.exit(main())
