"""The table that maps every error to its HTTP status."""

from __future__ import annotations

from dataclasses import dataclass

from frontend.domain.errors import (
    BodyTimeout,
    BodyTooLarge,
    CallConflict,
    CallErased,
    CallNotFound,
    InvalidCallId,
    InvalidRequest,
    MissingAudio,
    NotDiagnosed,
    NotReady,
    Overloaded,
    RangeNotSatisfiable,
    StoreUnavailable,
    Unauthorized,
)
from runtime import errors as runtime_errors


@dataclass(frozen=True, slots=True)
class HttpError:
    """An answer's status and its stable code; the code selects the title."""

    status: int
    code: str


_STATUSES: dict[type[runtime_errors.CodedError], int] = {
    Unauthorized: 401,
    BodyTimeout: 408,
    CallNotFound: 404,
    CallErased: 410,
    CallConflict: 409,
    NotDiagnosed: 409,
    BodyTooLarge: 413,
    RangeNotSatisfiable: 416,
    runtime_errors.UnsupportedMedia: 415,
    MissingAudio: 422,
    runtime_errors.EmptyAudio: 422,
    runtime_errors.UndecodableAudio: 422,
    runtime_errors.AudioTooLong: 422,
    runtime_errors.TooManyChannels: 422,
    runtime_errors.UnsupportedSampleRate: 422,
    InvalidCallId: 422,
    InvalidRequest: 422,
    Overloaded: 503,
    StoreUnavailable: 503,
    NotReady: 503,
}

HTTP_ERRORS: dict[type[Exception], HttpError] = {
    kind: HttpError(status, kind.code) for kind, status in _STATUSES.items()
}

# Errors without an exception class of ours.
NOT_FOUND = HttpError(404, "not_found")
METHOD_NOT_ALLOWED = HttpError(405, "method_not_allowed")
INTERNAL_ERROR = HttpError(500, "internal_error")

# Every code that a problem can have; callers may rely on them.
CODES = tuple(answer.code for answer in (*HTTP_ERRORS.values(), NOT_FOUND, METHOD_NOT_ALLOWED, INTERNAL_ERROR))


def http_error(error: Exception) -> HttpError:
    """Return the answer for an error in the table. Raises: KeyError for any other."""
    return HTTP_ERRORS[type(error)]
