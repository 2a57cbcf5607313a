"""`python -m bench.plan`: figures of this machine for `make plan`, or its simulation beside measured answers.

figures   planning/machines/NAME.json; about a minute and a half
check     measures figures anew, then answers at 50, 70, 90 % and 300 % of the capacity, each beside the simulation;
          docs/plan.json and build/plan-check.json; about two minutes

Exits 0 when all was measured, whether the simulation comes near enough or a row says short; 1 when something could not
be; the table says what is short.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from typing import Any

from bench.load.audio import mixed_notes
from bench.load.generator import BUILD, Generator, GeneratorError
from bench.load.served import API_KEY, our_service
from bench.page import table
from bench.plan.measure import cores_in_use, measure
from bench.plan.points import points, rows
from laptop.errors import LaptopError
from local_triton import TritonError
from planning.figures import FOLDER, checked, service_times
from planning.page import write_page
from runtime.config import ROOT

REPORT = BUILD / "plan-check.json"
COMMITTED = ROOT / "docs" / "plan.json"
FIGURES_ROUNDS, CHECK_ROUNDS = 5, 3
MOST_OTHERS = 0.1  # cores


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.plan", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("verb", choices=("figures", "check"))
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped, too
    try:
        return _figures() if options.verb == "figures" else _check()
    except (GeneratorError, LaptopError, TritonError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1


def _figures() -> int:
    others = cores_in_use()
    if others > MOST_OTHERS:
        print(f"bench: Other programs use {others:.1f} cores: figures need an idle machine.", file=sys.stderr)
        return 1
    notes = mixed_notes()[0]
    with our_service() as (service, ours), Generator(notes, API_KEY) as generator:
        figures = checked(measure(service, ours, generator, notes, FIGURES_ROUNDS))
    file = FOLDER / f"{figures['machine']['name']}.json"
    file.write_text(_text(figures), encoding="utf-8")
    print(f"written: {file.relative_to(ROOT)}")
    write_page()
    return 0


def _check() -> int:
    notes = mixed_notes()[0]
    with our_service() as (service, ours), Generator(notes, API_KEY) as generator:
        # Anew: a machine that others use beside us has another speed than on the day of its figures.
        figures = checked(measure(service, ours, generator, notes, CHECK_ROUNDS))
        found = points(generator, ours, service_times(figures, with_others=True))
    report = {
        "machine": figures["machine"],
        "figures": {"rounds": figures["rounds"], "batch_ms": figures["batch_ms"]},
        "points": [point.to_dict() for point in found],
        "rows": [row.to_dict() for row in rows(found)],
    }
    BUILD.mkdir(exist_ok=True)
    REPORT.write_text(_text(report), encoding="utf-8")
    COMMITTED.write_text(_text(report), encoding="utf-8")
    print(table(report))
    for row in report["rows"]:
        print(f"{row['name']}: {'' if row['met'] else 'short: '}{row['note']}")
    write_page()
    return 0


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


if __name__ == "__main__":
    sys.exit(main())
