"""`python -m runtime replay RECORD.json AUDIO`: repeat a diagnosis from its record.

Exit codes: 0 the answer is the same, 1 it differs, 2 usage, configuration, or something that can't be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from runtime.config import load_config
from runtime.errors import AudioError, RuntimeFailure
from runtime.execute import execute
from runtime.replay import SCORE_TOLERANCE, Comparison, compare, is_repeated, read_record
from runtime.work_unit import WorkUnit


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m runtime")
    commands = parser.add_subparsers(dest="command", required=True)
    replay = commands.add_parser(
        "replay",
        help="repeat a diagnosis from its record",
        description="Diagnose the audio again and compare every field. Asks Triton where TRITON_URL is set, else ONNX "
        f"Runtime in process. Segments and spectrogram digest must be identical, scores within {SCORE_TOLERANCE:g}.",
    )
    replay.add_argument("record", type=Path, help="JSON: a diagnosis, or a call's record that holds one")
    replay.add_argument("audio", type=Path, help="the recording")
    options = parser.parse_args(arguments)
    try:
        return _replay(options.record, options.audio)
    except (RuntimeFailure, AudioError) as error:
        print(f"replay: {error}", file=sys.stderr)
    except UnicodeDecodeError:
        print(f"replay: {options.record} is not a text file: give the record first, then the audio.", file=sys.stderr)
    except OSError as error:
        print(f"replay: {error.filename} can't be read ({error.strerror}).", file=sys.stderr)
    return 2


def _replay(record: Path, audio: Path) -> int:
    recorded = read_record(record.read_text(encoding="utf-8"))
    comparisons = compare(recorded, execute(WorkUnit(audio, *load_config())))
    for one in comparisons:
        print(_line(one))
    if is_repeated(comparisons):
        print("The diagnosis is repeated.")
        return 0
    print(
        "The diagnosis is not repeated: see the lines that say `differs`, and above all what made it (model, parameters)."
    )
    return 1


def _line(one: Comparison) -> str:
    if one.same:
        return f"same     {one.field}"
    word = "differs" if one.binding else "other  "
    return f"{word}  {one.field}: recorded {_short(one.recorded)}, now {_short(one.found)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:197] + "..."


if __name__ == "__main__":
    sys.exit(main())
