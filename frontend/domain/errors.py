"""The front end's errors, each with a stable code; `frontend/answers/http_errors.py` has their HTTP statuses.

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

from runtime import errors as runtime_errors


class FrontendError(runtime_errors.WordedError):
    """The root; every message is one sentence of advice, in the caller's language."""


class RequestError(FrontendError):
    """Sending the same request again won't help."""


class Unauthorized(RequestError):
    """The key is missing or unknown."""

    code = "unauthorized"


class BodyTooLarge(RequestError):
    """The body exceeds the limit."""

    code = "body_too_large"


class BodyTimeout(RequestError):
    """The sender stopped in the middle of the body."""

    code = "body_timeout"


class MissingAudio(RequestError):
    """The form has no file in its field `audio`."""

    code = "missing_audio"


class InvalidCallId(RequestError):
    """The call id has characters or a length that are not allowed."""

    code = "invalid_call_id"


class InvalidRequest(RequestError):
    """The form or the query can't be understood."""

    code = "invalid_request"


class CallNotFound(RequestError):
    """There is no such call."""

    code = "call_not_found"


class CallErased(RequestError):
    """The call was erased."""

    code = "call_erased"


class CallConflict(RequestError):
    """The call exists with other audio."""

    code = "call_conflict"


class NotDiagnosed(RequestError):
    """The call has no diagnosis to draw."""

    code = "not_diagnosed"


class RangeNotSatisfiable(RequestError):
    """The requested range lies outside the audio; size: of the audio in bytes."""

    code = "range_not_satisfiable"

    def __init__(self, size: int) -> None:
        super().__init__("range_outside", size=size)
        self.size = size


class ServiceError(FrontendError):
    """The service can't do the work now; retry_after_s: seconds until a retry may help."""

    def __init__(self, key: str, *, retry_after_s: int = 2, **values: object) -> None:
        super().__init__(key, **values)
        self.retry_after_s = retry_after_s


class Overloaded(ServiceError):
    """The limits allow no more work at present."""

    code = "overloaded"


class StoreUnavailable(ServiceError):
    """Audio or records can't be written or read now."""

    code = "store_unavailable"


class NotReady(ServiceError):
    """The model's parameters are not known yet, or differ from ours."""

    code = "not_ready"


# Errors of the recording by code, so that a failed call's record can be answered with the same problem again.
AUDIO_ERRORS_BY_CODE: dict[str, type[runtime_errors.AudioError]] = {
    kind.code: kind
    for kind in (
        runtime_errors.UnsupportedMedia,
        runtime_errors.EmptyAudio,
        runtime_errors.UndecodableAudio,
        runtime_errors.AudioTooLong,
        runtime_errors.TooManyChannels,
        runtime_errors.UnsupportedSampleRate,
    )
}
