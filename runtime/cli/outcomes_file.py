"""The JSON Lines file of `diagnose --output`: one line for each finished file, so that a stopped run can continue."""

from __future__ import annotations

import fcntl
from io import FileIO
from pathlib import Path
from types import TracebackType

from runtime.cli.file_outcome import Outcome, outcome_from_json, printable
from runtime.errors import OutputError

_BEGINNING = b'{"path": "'  # the first bytes of every line


class OutcomesFile:
    """Reads and appends outcomes. Only one run appends at a time; lines of earlier runs stay.

    If a file has two lines, the last line counts.

    Raises: OutputError where the file can't be opened, or holds anything else.
    """

    def __init__(self, path: Path) -> None:
        self._name = printable(str(path))
        self._starts: dict[str, int] = {}  # the offset of each path's last line, in bytes
        if path.exists() and not path.is_file():
            raise OutputError(f"{self._name} is not a file: give another --output.")
        try:
            self._file = FileIO(path, "a+")
        except OSError as error:
            raise OutputError(f"{self._name} can't be opened ({error.strerror}): give another --output.") from error
        try:
            self._lock()
            self._size = self._read()
        except OSError as error:
            self.close()
            raise OutputError(f"{self._name} can't be read ({error.strerror}): give another --output.") from error
        except BaseException:
            self.close()
            raise

    def find(self, path: str, sha256: str) -> Outcome | None:
        """Return the outcome of this file with this content; None where it must be done for the first time or again."""
        start = self._starts.get(path)
        if start is None:
            return None
        self._file.seek(start)
        outcome = outcome_from_json(self._file.readline())
        again = outcome.sha256 != sha256 or (outcome.error is not None and outcome.error.retryable)
        return None if again else outcome

    def append(self, outcome: Outcome) -> None:
        """Append a line. Raises: OutputError; then no part of the line stays in the file."""
        line = outcome.to_json().encode() + b"\n"
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:]) or 0
        except OSError as error:
            self._file.truncate(self._size)
            raise OutputError(f"{self._name} can't be written ({error.strerror}).") from error
        self._starts[outcome.path] = self._size
        self._size += len(line)

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> OutcomesFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OutputError(f"{self._name} is being written by another run: wait for its end.") from error

    def _read(self) -> int:
        """Find the offsets of the lines, and cut off a killed run's incomplete last line; return the size in bytes."""
        size = 0
        with open(self._file.fileno(), "rb", closefd=False) as lines:
            lines.seek(0)
            for line in lines:
                if not line.endswith(b"\n"):
                    # Do not cut any other content without a line end, such as a recording.
                    if not (line.startswith(_BEGINNING) or _BEGINNING.startswith(line)):
                        raise self._refused()
                    self._file.truncate(size)
                    break
                try:
                    self._starts[outcome_from_json(line).path] = size
                except ValueError as error:
                    raise self._refused() from error
                size += len(line)
        return size

    def _refused(self) -> OutputError:
        return OutputError(f"{self._name} holds something else than diagnoses: give another --output.")
