"""Run the command of the command line (diagnose many files, or repeat a diagnosis), and return the exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from runtime.cli.diagnose_files import DiagnoseFiles, make_folder
from runtime.cli.outcomes_file import OutcomesFile
from runtime.config import load_config
from runtime.errors import AudioError, InferenceError, OutputError, RuntimeFailure
from runtime.execute import classifier_from_environment
from runtime.messages.catalogue import say_error
from runtime.messages.languages import Language
from runtime.prepare import headerless_by_name
from runtime.replaying.replay import Comparison, Verdict, read_record
from runtime.replaying.replay import replay as replay_record
from runtime.work_unit import WorkUnit

_VERDICTS = {
    Verdict.IDENTICAL: "The diagnosis is repeated: identical.",
    Verdict.WITHIN_ROUNDING: "The diagnosis is repeated: the same within rounding.",
    Verdict.RULE_CHANGED: "The same answer, by a rule that has changed since.",
    Verdict.DIFFERENT: "The diagnosis is not repeated: see the lines that say `differs`, first what made it (model, "
    "parameters).",
}


@dataclass(slots=True)
class _Tally:
    """Counts of files: given, diagnosed now, diagnosed before, not to be diagnosed."""

    given: int
    diagnosed: int = 0
    before: int = 0
    failed: int = 0

    @property
    def left(self) -> int:
        return self.given - self.diagnosed - self.before - self.failed


def diagnose(given: Sequence[Path], as_json: bool, output: Path | None, figures: Path | None) -> int:
    """Diagnose files, one after the other. An error of one file is printed on stderr, and the other files follow.

    Returns 0 if every file has its diagnosis; 1 if not; 2 if no file can have one, because of the configuration, the
    model, or the place for the results.
    """
    files = list(dict.fromkeys(given))
    tally = _Tally(len(files))
    with ExitStack() as stack:
        try:
            classifier = classifier_from_environment()
            outcomes = stack.enter_context(OutcomesFile(output)) if output else None
            if figures:
                make_folder(figures)
            work = DiagnoseFiles(classifier, outcomes, figures)
        except RuntimeFailure as error:
            complain("diagnose", error)
            return 1 if isinstance(error, InferenceError) else 2
        untold = False
        try:
            _each(work, files, as_json, tally)
        except OutputError as error:
            complain("diagnose", error)
            untold = True
        except RuntimeFailure as error:
            complain("diagnose", error)  # config.yml or the model has changed since the start
            return 2
        except KeyboardInterrupt:
            pass  # reported below, like any other end before the last file
    if tally.left:
        again = "the same command goes on from here" if output else "with --output it could go on from here"
        complain("diagnose", f"stopped with {tally.left} of {tally.given} files left; {again}.")
    elif output:
        complain("diagnose", f"{tally.diagnosed} diagnosed, {tally.before} diagnosed before, {tally.failed} failed.")
    return 1 if tally.left or tally.failed or untold else 0


def _each(work: DiagnoseFiles, files: list[Path], as_json: bool, tally: _Tally) -> None:
    # None: show the bar only on a terminal.
    with tqdm(total=len(files), unit="file", disable=None if sys.stderr else True, file=sys.stderr) as bar:
        for file in files:
            outcome, was_there = work.outcome(file)
            if outcome.error:
                tally.failed += 1
                complain("diagnose", outcome.line())
            elif was_there:
                tally.before += 1
            else:
                tally.diagnosed += 1
            if not was_there and (as_json or outcome.diagnosis):
                tell(outcome.to_json() if as_json else outcome.line())
            if outcome.model_failed:
                return  # the next file would fail, too
            bar.update()


def replay(record: Path, audio: Path) -> int:
    """Diagnose a record's audio again and compare. Return 0 for the same answer, 1 for another, 2 if a file can't be
    read.
    """
    try:
        recorded = read_record(record.read_text(encoding="utf-8"))
        repeated = replay_record(recorded, WorkUnit(audio, *load_config(), headerless_by_name(audio.name)))
        for comparison in repeated.comparisons:
            tell(_line(comparison))
        for sentence in repeated.why:
            tell(sentence)
        tell(_VERDICTS[repeated.verdict])
        return 1 if repeated.verdict is Verdict.DIFFERENT else 0
    except (RuntimeFailure, AudioError) as error:
        complain("replay", error)
    except UnicodeDecodeError:
        complain("replay", f"{record} is not a text file: give the record first, then the audio.")
    except OSError as error:
        complain("replay", f"{error.filename} can't be read ({error.strerror}).")
    return 2


def tell(text: str) -> None:
    """Print a line on stdout without damage to the progress bar. Raises: OutputError."""
    if sys.stdout is None:
        return  # the parent process has closed it
    try:
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()
    except OSError as error:
        # Python would write the rest of the buffer at its exit again, and fail again, with a trace.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise OutputError(f"Standard output can't be written ({error.strerror}).") from error


def complain(command: str, what: object) -> None:
    """Print a line on stderr without damage to the progress bar; an error of stderr is ignored."""
    if sys.stderr is not None:
        with suppress(OSError):
            said = say_error(what, Language.ENGLISH) if isinstance(what, Exception) else what
            tqdm.write(f"{command}: {said}", file=sys.stderr)


def _line(one: Comparison) -> str:
    if one.same:
        return f"same     {one.field}"
    word = "differs" if one.binding else "other  "
    return f"{word}  {one.field}: recorded {_short(one.recorded)}, now {_short(one.found)}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 200 else text[:197] + "..."
