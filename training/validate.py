"""`make validate`: does the serving release hold on your own labelled calls?

Reads the same folders as `make train`, and judges each recording alone with the release in model_repository/, as it is
served. Prints sensitivity and false alarms by recording with 95 % intervals, by subgroup, source and kind, and whether
the bounds that the release states hold here; writes build/validate/index.html, the worst mistakes. Needs no torch.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from runtime.classify import Classifier
from runtime.config import MODEL_REPOSITORY, ROOT, load_config
from runtime.errors import RuntimeFailure
from runtime.onnx_classifier import OnnxClassifier
from training.data.dataset import DatasetError, manifest_sha256
from training.validation.page import write_page
from training.validation.recordings import judge, read_recordings
from training.validation.report import report

OUT = ROOT / "build" / "validate"


def main(arguments: list[str] | None = None, classifier: Classifier | None = None) -> int:
    """Exit code 0 where the release could be judged, whatever the verdict; 2 with one line where it could not.

    classifier: instead of the release's, for tests
    """
    parser = argparse.ArgumentParser(prog="make validate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="one or more folders")
    parser.add_argument("--split", choices=("train", "val"), help="only this one; both without")
    parser.add_argument("--repository", type=Path, default=MODEL_REPOSITORY, help="another release, e.g. releases/8")
    parser.add_argument("--out", type=Path, default=OUT, help="folder of the page")
    options = parser.parse_args(arguments)
    try:
        classifier = classifier or OnnxClassifier(options.repository)
        print(validate(options.data, classifier, options.split, options.out))
    except (DatasetError, RuntimeFailure, OSError) as error:
        print(f"validate: {error}", file=sys.stderr)
        return 2
    return 0


def validate(data: Sequence[Path], classifier: Classifier, split: str | None, out: Path) -> str:
    """Judge, write the page, and return the report, lines of text.

    Raises: DatasetError, RuntimeFailure, OSError.
    """
    contract = classifier.contract()
    contract.check_parameters(*load_config())  # before anything is read
    judged = judge(read_recordings(data, split), classifier)
    page = write_page(out, judged, contract.cough_threshold)
    lines = [report(contract, judged)]
    if split != "val" and manifest_sha256(data) == contract.data_sha256:
        lines.append("The release was trained on the train split of this very data: only --split val says what it is.")
    lines.append(f"Worst mistakes, to listen to: {page}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
