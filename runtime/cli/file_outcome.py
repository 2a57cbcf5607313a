"""The outcome of one file of many, for programs and people: its diagnosis, or one sentence about its failure."""

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
    """A failure. code: the REST API's code for an error of a recording; retryable: whether another try may help."""

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """A file's outcome: either `diagnosis` or `error` is set. sha256: of the file, lower-case hexadecimal; None where
    it can't be read.
    """

    path: str
    sha256: str | None
    diagnosis: Diagnosis | None
    error: Failure | None

    @property
    def model_failed(self) -> bool:
        """Whether the model couldn't be reached: then the next file would fail, too.

        (A file that can't be read has no digest.)
        """
        return self.error is not None and self.error.retryable and self.sha256 is not None

    def to_json(self) -> str:
        """Return one line of ASCII; bytes of a path that are not text are escaped, and `json.loads` restores them."""
        error = self.error
        document = {
            "path": self.path,
            "sha256": self.sha256,
            "diagnosis": self.diagnosis.to_dict() if self.diagnosis else None,
            "error": {name: getattr(error, name) for name in Failure.__slots__} if error else None,
        }
        return json.dumps(document, ensure_ascii=True, allow_nan=False)

    def line(self) -> str:
        """Return a line for people: file, status, result, coughs, reasons; or the error."""
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
    """Invert `Outcome.to_json`. Raises: ValueError where the line is no outcome."""
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
    """Return the failure for a bad recording, a model that can't be reached now, or an unreadable file."""
    if isinstance(error, OSError):
        return Failure("unreadable", f"The file can't be read ({error.strerror}).", retryable=True)
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
    return Failure(code, say_error(error, Language.ENGLISH), isinstance(error, InferenceError))


def too_large(most_bytes: int) -> Failure:
    """Return the failure for a file above the service's limit; such a file is not read to its end."""
    return Failure(
        "body_too_large", f"The file is larger than {most_bytes / 2**20:g} MiB: compress it or send less of it.", False
    )


def printable(path: str) -> str:
    """Return a path on one line: line ends, control characters and bytes that are not text are escaped."""
    return "".join(item if item.isprintable() else item.encode("unicode_escape").decode() for item in path)
