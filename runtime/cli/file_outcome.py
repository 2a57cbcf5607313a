"""What became of one file of many: its diagnosis, or the one sentence that says why there is none; for programs and
people.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from runtime.diagnosis import Diagnosis, diagnosis_from_dict
from runtime.errors import AudioError, InferenceError
from runtime.messages.catalogue import say_error
from runtime.messages.languages import Language
from runtime.model_facts import LABELS


@dataclass(frozen=True, slots=True)
class Failure:
    """code: as the REST API calls what is wrong with a recording; retryable: whether asking again may help."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """Either `diagnosis` or `error` is there. sha256: of the file, lower-case hexadecimal; None where it can't
    be read.
    """

    path: str
    sha256: str | None
    diagnosis: Diagnosis | None
    error: Failure | None

    @property
    def model_failed(self) -> bool:
        """Whether the model couldn't be asked: then the next file would fare no better.

        (What can't be read has no digest.)
        """
        return self.error is not None and self.error.retryable and self.sha256 is not None

    def to_json(self) -> str:
        """One line of ASCII; bytes of a path that are no text are escaped and come back from `json.loads`."""
        error = self.error
        document = {
            "path": self.path,
            "sha256": self.sha256,
            "diagnosis": self.diagnosis.to_dict() if self.diagnosis else None,
            "error": {name: getattr(error, name) for name in Failure.__slots__} if error else None,
        }
        return json.dumps(document, ensure_ascii=True, allow_nan=False)

    def line(self) -> str:
        """For people: file, status, result, coughs, reasons; or what is wrong."""
        if self.diagnosis is None:
            return f"{printable(self.path)}: {self.error.message if self.error else ''}"
        parts = [self.diagnosis.status.value]
        if self.diagnosis.result:
            result = self.diagnosis.result
            validated = "" if result.validated else ", not validated"
            parts.append(f"{result.label} (probability of {LABELS[-1]} {result.probability:.2f}{validated})")
        coughs = len(self.diagnosis.coughs)
        parts.append(f"{coughs} cough{'' if coughs == 1 else 's'}")
        reasons = f"; {', '.join(self.diagnosis.reasons)}" if self.diagnosis.reasons else ""
        return f"{printable(self.path)}: {', '.join(parts)}{reasons}"


def outcome_from_json(line: str | bytes) -> Outcome:
    """The inverse of `Outcome.to_json`. Raises: ValueError where it is none."""
    try:
        document: dict[str, Any] = json.loads(line)
        path, sha256, diagnosis, error = (document[name] for name in Outcome.__slots__)
        outcome = Outcome(
            path,
            sha256,
            None if diagnosis is None else diagnosis_from_dict(diagnosis),
            None if error is None else Failure(**error),
        )
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError("This is no outcome.") from error
    if not isinstance(path, str) or not isinstance(sha256, str | None) or (diagnosis is None) == (error is None):
        raise ValueError("This is no outcome.")
    return outcome


def failure(error: AudioError | InferenceError | OSError) -> Failure:
    """Of a recording that can't be diagnosed, a model that can't be asked now, a file that can't be read."""
    if isinstance(error, OSError):
        return Failure("unreadable", f"The file can't be read ({error.strerror}).", retryable=True)
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    return Failure(code, say_error(error, Language.ENGLISH), isinstance(error, InferenceError))


def too_large(most_bytes: int) -> Failure:
    """Of a file of which no more is read than the service takes."""
    return Failure(
        "body_too_large", f"The file is larger than {most_bytes / 2**20:g} MiB: compress it or send less of it.", False
    )


def printable(path: str) -> str:
    """A path on one line, whatever is in it: line ends, control characters and bytes that are no text are escaped."""
    return "".join(item if item.isprintable() else item.encode("unicode_escape").decode() for item in path)
