"""What can be wrong with a recording that someone sent.

    AudioError
    ├── EmptyAudio               zero bytes
    ├── UnsupportedMedia         no decoder knows the format
    ├── UndecodableAudio         a known format, but broken, without samples, or with NaN or Inf
    ├── AudioTooLong
    ├── TooManyChannels
    └── UnsupportedSampleRate

An error holds no sentence but the key of one: people read it in their language (`runtime.messages`).
"""

from __future__ import annotations

import copyreg
from typing import ClassVar


class CodedError(Exception):
    """An error that names its sentence by a key, so that it can be said in any language.

    key: of the sentence, see `runtime.messages`; values: for the names in it
    code: stable, for programs; every leaf that a caller can meet has one of its own
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key, *(f"{name}={value!r}" for name, value in values.items()))
        self.key, self.values = key, values

    def __str__(self) -> str:
        """The key and the values."""
        return " ".join(map(str, self.args))

    def __reduce__(self) -> tuple[object, ...]:
        """Without `__init__`, which takes other arguments in some leaves: errors travel between processes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class AudioError(CodedError, ValueError):
    """The recording can't be diagnosed, and sending the same bytes again won't help."""


class EmptyAudio(AudioError):
    """The file has no bytes."""

    code = "empty_audio"


class UnsupportedMedia(AudioError):
    """The bytes are in no audio format that we decode."""

    code = "unsupported_media"


class UndecodableAudio(AudioError):
    """The format is known, but nothing usable comes out of it."""

    code = "undecodable_audio"


class AudioTooLong(AudioError):
    """The recording lasts longer than the limit."""

    code = "audio_too_long"


class TooManyChannels(AudioError):
    """The recording has more channels than the limit."""

    code = "too_many_channels"


class UnsupportedSampleRate(AudioError):
    """The sample rate lies outside the limits."""

    code = "unsupported_sample_rate"
