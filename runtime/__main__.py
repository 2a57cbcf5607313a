"""`python -m runtime`: diagnose files, or repeat a diagnosis from its record.

Exit codes: 0 all of it is done (replay: the answer is the same), 1 some of it is not (replay: it differs), 2 usage,
configuration, or (replay) something that can't be read.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

from runtime.cli.commands import complain, diagnose, replay
from runtime.replaying.replay import SCORE_TOLERANCE

_ASKS = "Asks Triton where TRITON_URL is set, else ONNX Runtime in process."


def main(arguments: list[str] | None = None) -> int:
    options = parse_arguments(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name outside the terminal's encoding must not raise
    try:
        if options.command == "replay":
            return replay(options.record, options.audio)
        return diagnose(options.files, options.json, options.output, options.figure)
    except KeyboardInterrupt:
        complain(options.command, "stopped.")
        return 1


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line. Invalid arguments end the process with code 2 and one line, as in argparse."""
    parser = argparse.ArgumentParser(
        prog="python -m runtime", description="Diagnoses without a server.", allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True)
    many = commands.add_parser(
        "diagnose",
        help="diagnose files",
        description=f"Diagnose files, one after the other, and print a line for each. {_ASKS} What is wrong with a "
        "file is "
        "told on stderr (exit code 1), and the others go on; where the model can't be asked any more, the run ends.",
        allow_abbrev=False,
    )
    many.add_argument("files", type=Path, nargs="+", metavar="FILE", help="a recording")
    many.add_argument("--json", action="store_true", help="print a JSON object for each file instead of a line")
    many.add_argument(
        "--output",
        type=_path,
        metavar="FILE.jsonl",
        help="add each file's JSON object (path, sha256, diagnosis, error) here; files that are there with the same "
        "path and "
        "content are not done again, whichever model it was, unless the model could not be asked",
    )
    many.add_argument(
        "--figure",
        type=_path,
        metavar="DIR",
        help="draw each recording with its coughs and scores to DIR/NAME-DIGITS.png, with the first digits of its "
        "SHA-256",
    )
    again = commands.add_parser(
        "replay",
        help="repeat a diagnosis from its record",
        description=f"Diagnose the audio again and compare every field. {_ASKS} Segments and spectrogram digest "
        "must be "
        f"identical, scores within {SCORE_TOLERANCE:g}. The digest alone may differ where a decoder computes "
        "otherwise on "
        "other processors, or a rule has changed since; both are named.",
        allow_abbrev=False,
    )
    again.add_argument("record", type=Path, help="JSON: a diagnosis, or a call's record that holds one")
    again.add_argument("audio", type=Path, help="the recording")
    return parser.parse_args(arguments)


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("give a path that is not empty")
    return Path(text)


if __name__ == "__main__":
    sys.exit(main())
