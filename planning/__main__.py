"""`python -m planning CALLS_PER_HOUR=20000 PEAK=3 P99_S=1 [SECONDS=] [BURST=] [PRICES=file] [MACHINE=] [SEED=]`

Prints the plan. Exits 1 where no number of pods meets the target, 2 for input that can't be used, and says why in one
sentence.
`python -m planning --page` writes the tables of docs/capacity.md again.
"""

from __future__ import annotations

import sys
from pathlib import Path

from planning.deployment import deployment
from planning.errors import BadQuestion, PlanError
from planning.figures import figures_of
from planning.page import write_page
from planning.plan import make_plan
from planning.prices import read_prices
from planning.question import question
from planning.text import say_plan

NAMES = ("CALLS_PER_HOUR", "PEAK", "P99_S", "SECONDS", "BURST", "PRICES", "MACHINE", "SEED")


def main(arguments: list[str]) -> int:
    try:
        if arguments == ["--page"]:
            write_page()
            return 0
        texts = _texts(arguments)
        deployed = deployment()
        asked = question(texts, deployed)
        figures = figures_of(texts.get("MACHINE") or None)
        prices = read_prices(Path(texts["PRICES"])) if texts.get("PRICES") else None
        print(say_plan(make_plan(asked, figures, deployed, prices)))
    except PlanError as error:
        print(f"plan: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _texts(arguments: list[str]) -> dict[str, str]:
    """Return the values by name. Raises: BadQuestion."""
    texts = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name not in NAMES or not equals:
            raise BadQuestion(f"{argument!r} is not understood: give {', '.join(f'{known}=' for known in NAMES)}.")
        texts[name] = value
    return texts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
