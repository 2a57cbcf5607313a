"""The front end's errors, and the one table from every error to its HTTP answer.

    FrontendError
    ├── RequestError         the request has to change
    │   ├── Unauthorized
    │   ├── BodyTooLarge
    │   ├── BodyTimeout      the sender stopped in the middle of the body
    │   ├── MissingAudio
    │   ├── InvalidCallId
    │   ├── InvalidRequest
    │   ├── CallNotFound
    │   ├── CallErased
    │   ├── CallConflict     the same call_id with other audio
    │   ├── NotDiagnosed
    │   └── RangeNotSatisfiable
    └── ServiceError         trying again later helps
        ├── Overloaded       refused before anything was stored
        ├── StoreUnavailable
        └── NotReady

Errors about the recording and about inference come from `runtime.errors`.
"""

from __future__ import annotations

from dataclasses import dataclass

from runtime import errors as runtime_errors


class FrontendError(runtime_errors.WordedError):
    """The root; every message is one sentence that says what to do and is fit for the caller."""


class RequestError(FrontendError):
    """Sending the same request again won't help."""


class Unauthorized(RequestError):
    """No key, or not one of ours."""


class BodyTooLarge(RequestError):
    """The body exceeds the limit."""


class BodyTimeout(RequestError):
    """The sender stopped in the middle of the body."""


class MissingAudio(RequestError):
    """The form has no file in its field `audio`."""


class InvalidCallId(RequestError):
    """The call id has characters or a length that are not allowed."""


class InvalidRequest(RequestError):
    """The form or the query can't be understood."""


class CallNotFound(RequestError):
    """There is no such call."""


class CallErased(RequestError):
    """The call was erased."""


class CallConflict(RequestError):
    """The call exists with other audio."""


class NotDiagnosed(RequestError):
    """The call has no diagnosis to draw."""


class RangeNotSatisfiable(RequestError):
    """The asked range lies outside the audio; size: of the audio in bytes."""

    def __init__(self, size: int) -> None:
        super().__init__("The audio has {size} bytes: ask for a range inside it.", size=size)
        self.size = size


class ServiceError(FrontendError):
    """The service can't do it now; retry_after_s: when trying again may help."""

    def __init__(self, template: str, *, retry_after_s: int = 2, **values: object) -> None:
        super().__init__(template, **values)
        self.retry_after_s = retry_after_s


class Overloaded(ServiceError):
    """As much is in work as the limits allow."""


class StoreUnavailable(ServiceError):
    """Audio or records can't be written or read now."""


class NotReady(ServiceError):
    """The model's parameters have not been seen yet, or differ."""


@dataclass(frozen=True, slots=True)
class HttpError:
    """An answer's status, its stable code, and its title."""

    status: int
    code: str
    title: str


HTTP_ERRORS: dict[type[Exception], HttpError] = {
    Unauthorized: HttpError(401, "unauthorized", "The API key is missing or wrong"),
    BodyTimeout: HttpError(408, "body_timeout", "The body did not arrive"),
    CallNotFound: HttpError(404, "call_not_found", "There is no such call"),
    CallErased: HttpError(410, "call_erased", "The call was erased"),
    CallConflict: HttpError(409, "call_conflict", "The call exists with other audio"),
    NotDiagnosed: HttpError(409, "not_diagnosed", "The call has no diagnosis"),
    BodyTooLarge: HttpError(413, "body_too_large", "The body is too large"),
    RangeNotSatisfiable: HttpError(416, "range_not_satisfiable", "The range lies outside the audio"),
    runtime_errors.UnsupportedMedia: HttpError(415, "unsupported_media", "The format is not supported"),
    MissingAudio: HttpError(422, "missing_audio", "The form has no audio"),
    runtime_errors.EmptyAudio: HttpError(422, "empty_audio", "The audio is empty"),
    runtime_errors.UndecodableAudio: HttpError(422, "undecodable_audio", "The audio can't be decoded"),
    runtime_errors.AudioTooLong: HttpError(422, "audio_too_long", "The audio is too long"),
    runtime_errors.TooManyChannels: HttpError(422, "too_many_channels", "The audio has too many channels"),
    runtime_errors.UnsupportedSampleRate: HttpError(422, "unsupported_sample_rate", "The sample rate is not supported"),
    InvalidCallId: HttpError(422, "invalid_call_id", "The call_id is not valid"),
    InvalidRequest: HttpError(422, "invalid_request", "The request is not valid"),
    Overloaded: HttpError(503, "overloaded", "Too much is in work"),
    StoreUnavailable: HttpError(503, "store_unavailable", "The stores can't be reached"),
    NotReady: HttpError(503, "not_ready", "The service is not ready"),
}

# What no exception of ours stands for.
NOT_FOUND = HttpError(404, "not_found", "There is no such route")
METHOD_NOT_ALLOWED = HttpError(405, "method_not_allowed", "The route has no such method")
INTERNAL_ERROR = HttpError(500, "internal_error", "Something went wrong")

# Every code that a problem can have; callers may rely on them.
CODES = tuple(one.code for one in (*HTTP_ERRORS.values(), NOT_FOUND, METHOD_NOT_ALLOWED, INTERNAL_ERROR))

# Errors of the recording by code, so that a failed call's record can be answered with the same problem again.
AUDIO_ERRORS_BY_CODE: dict[str, type[Exception]] = {
    HTTP_ERRORS[kind].code: kind for kind in HTTP_ERRORS if issubclass(kind, runtime_errors.AudioError)
}


# What is said of a failed call when it is asked for again: its first sentence is not kept.
REFUSED = {
    "unsupported_media": "No decoder knows this format: send OGG, WebM, WAV, FLAC, MP3, M4A/AAC or AMR.",
    "empty_audio": "The file is empty: send the recording's bytes.",
    "undecodable_audio": "The file is broken or holds no usable samples: record again and send the whole file.",
    "audio_too_long": "The recording is longer than the limit: send only the part with the coughs.",
    "too_many_channels": "The recording has too many channels: send one, or the two parties of a call.",
    "unsupported_sample_rate": "The sample rate lies outside the limits: record at 8 to 48 kHz.",
}


def http_error(error: Exception) -> HttpError:
    """The answer for an error in the table. Raises: KeyError for any other."""
    return HTTP_ERRORS[type(error)]
