"""The one table from every error to its HTTP status and title."""

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
    """An answer's status, its stable code, and its title."""

    status: int
    code: str
    title: str


_STATUSES: dict[type[runtime_errors.WordedError], tuple[int, str]] = {
    Unauthorized: (401, "The API key is missing or wrong"),
    BodyTimeout: (408, "The body did not arrive"),
    CallNotFound: (404, "There is no such call"),
    CallErased: (410, "The call was erased"),
    CallConflict: (409, "The call exists with other audio"),
    NotDiagnosed: (409, "The call has no diagnosis"),
    BodyTooLarge: (413, "The body is too large"),
    RangeNotSatisfiable: (416, "The range lies outside the audio"),
    runtime_errors.UnsupportedMedia: (415, "The format is not supported"),
    MissingAudio: (422, "The form has no audio"),
    runtime_errors.EmptyAudio: (422, "The audio is empty"),
    runtime_errors.UndecodableAudio: (422, "The audio can't be decoded"),
    runtime_errors.AudioTooLong: (422, "The audio is too long"),
    runtime_errors.TooManyChannels: (422, "The audio has too many channels"),
    runtime_errors.UnsupportedSampleRate: (422, "The sample rate is not supported"),
    InvalidCallId: (422, "The call_id is not valid"),
    InvalidRequest: (422, "The request is not valid"),
    Overloaded: (503, "Too much is in work"),
    StoreUnavailable: (503, "The stores can't be reached"),
    NotReady: (503, "The service is not ready"),
}

HTTP_ERRORS: dict[type[Exception], HttpError] = {
    kind: HttpError(status, kind.code, title) for kind, (status, title) in _STATUSES.items()
}

# What no exception of ours stands for.
NOT_FOUND = HttpError(404, "not_found", "There is no such route")
METHOD_NOT_ALLOWED = HttpError(405, "method_not_allowed", "The route has no such method")
INTERNAL_ERROR = HttpError(500, "internal_error", "Something went wrong")

# Every code that a problem can have; callers may rely on them.
CODES = tuple(one.code for one in (*HTTP_ERRORS.values(), NOT_FOUND, METHOD_NOT_ALLOWED, INTERNAL_ERROR))


def http_error(error: Exception) -> HttpError:
    """The answer for an error in the table. Raises: KeyError for any other."""
    return HTTP_ERRORS[type(error)]
