"""`make fuzz`: damaged recordings and requests for minutes or hours, against the real front end and the real Triton.

Prints counts and kinds; with --write the table goes into docs/reliability.md. Bodies that end a worker or get an answer
that they must not get are kept in build/fuzz/, which git ignores: they may do the same to software that is not ours.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom

from local_triton import TritonServer
from runtime.config import ROOT
from tests.fuzz import report
from tests.fuzz.campaign import Campaign
from tests.integration.processes import front_end, wait_for

KEEP = ROOT / "build" / "fuzz"


def main(arguments: list[str]) -> int:
    """0 where nothing was found that must not be, 1 where something was, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog="make fuzz ARGS=...", description="fuzz the running system")
    parser.add_argument("--minutes", type=float, default=12.0, help="how long (default: 12)")
    parser.add_argument("--seed", type=int, help="makes the same bodies again (default: another one each time)")
    parser.add_argument("--bodies", type=int, help="so many, instead of minutes")
    parser.add_argument("--write", action="store_true", help="write the table into docs/reliability.md")
    asked = parser.parse_args(arguments)
    seed = SystemRandom().randrange(2**31) if asked.seed is None else asked.seed
    shutil.rmtree(KEEP, ignore_errors=True)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        var = Path(folder)
        with (
            TritonServer(ROOT / "model_repository", log=var / "triton.log") as triton,
            front_end(var, triton.grpc_url) as one,
        ):
            one.start()
            wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")
            campaign = Campaign(one, seed, KEEP)
            found = campaign.run(asked.bodies, time.monotonic() + 60.0 * asked.minutes)
    text = report.page(found, (time.monotonic() - begun) / 60.0, seed)
    print(text)
    if found.kept:
        print(f"\n{found.kept} bodies are in {KEEP.relative_to(ROOT)}. Don't commit or publish them.", file=sys.stderr)
    if asked.write:
        report.write(text)
    return 1 if found.troubles else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
