"""`python -m tests.processors.replays RECORDINGS RECORDS`: each record repeated on this processor, a line of
JSON each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from runtime.config import load_config
from runtime.onnx_classifier import default_classifier
from runtime.replaying.replay import read_record, replay
from runtime.work_unit import WorkUnit


def main(recordings: Path, records: Path) -> None:
    classifier = default_classifier()
    for path in sorted(recordings.iterdir()):
        recorded = read_record((records / path.name).read_text())
        repeated = replay(recorded, WorkUnit(path, *load_config()), classifier)
        scores = [comparison for comparison in repeated.comparisons if comparison.field.endswith("cough_probability")]
        found = {
            "name": path.name,
            "verdict": repeated.verdict.value,
            "recorded_on": recorded["processor"],
            "score_difference": max((abs(score.recorded - score.found) for score in scores), default=0.0),
            "why": repeated.why,
            "differing": [comparison.field for comparison in repeated.comparisons if not comparison.same],
        }
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
