"""`python -m bench.against COMMIT`: this checkout against a commit, each with its own release and locked environments.

Interleaved rounds, a table on stdout, build/bench-against.json. Exits 0 when everything was measured, whether targets
are met or not; 1 when something could not be; 2 for a commit that can't be used.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys

from bench.against.builds import build_of, checkout_of, commit_of
from bench.against.compare import compare
from bench.against.environments import AgainstError
from bench.load.audio import mixed_notes
from bench.load.generator import BUILD, GeneratorError
from bench.page import table
from bench.report.machine import machine
from bench.report.rows import ROUNDS
from bench.report.targets import AGAINST, AGAINST_COMMIT
from laptop.service import CHECKOUT

REPORT = BUILD / "bench-against.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.against", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("commit", help=f"of this checkout, such as {AGAINST_COMMIT}, for which there are targets")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"interleaved rounds (default: {ROUNDS})")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what was started is stopped, too
    try:
        commit = commit_of(options.commit)
        with checkout_of(commit) as folder:
            this, other = build_of("this build", CHECKOUT), build_of("the other build", folder)
            targets = AGAINST if commit.startswith(AGAINST_COMMIT) else {}
            recordings, what = mixed_notes()
            try:
                rows = compare(this, other, recordings, what, options.rounds, targets)
            except (AgainstError, GeneratorError) as error:
                print(f"bench: {error}", file=sys.stderr)
                return 1
    except AgainstError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    report = {"machine": machine(), "other": commit, "rows": [row.to_dict() for row in rows]}
    REPORT.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    print(f"this: this checkout as it stands; other: commit {commit[:7]}")
    print(table(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
