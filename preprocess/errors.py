"""Errors of a recording.

    AudioError
    ├── EmptyAudio               zero bytes
    ├── UnsupportedMedia         no decoder knows the format
    ├── UndecodableAudio         a known format, but broken, without samples, or with NaN or Inf
    ├── AudioTooLong
    ├── TooManyChannels
    └── UnsupportedSampleRate

An error holds the key of a sentence, not the sentence: people read it in their language (`runtime.messages`).
"""

from __future__ import annotations

import copyreg
from typing import ClassVar


class CodedError(Exception):
    """An error with the key of its sentence, so that the sentence can be shown in any language.

    key: of the sentence, see `runtime.messages`; values: for the names in it
    code: stable, for programs; every leaf that a caller can receive has its own code
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, key: str, **values: object) -> None:
        super().__init__(key, *(f"{name}={value!r}" for name, value in values.items()))
        self.key, self.values = key, values

    def __str__(self) -> str:
        """The key and the values."""
        return " ".join(map(str, self.args))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle without `__init__`, which has other arguments in some leaves: errors are sent between processes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class AudioError(CodedError, ValueError):
    """The recording can't be diagnosed, and sending the same bytes again won't help."""


class EmptyAudio(AudioError):
    """The file has no bytes."""

    code = "empty_audio"


class UnsupportedMedia(AudioError):
    """The bytes are in an audio format that we don't decode, or in none."""

    code = "unsupported_media"


class UndecodableAudio(AudioError):
    """The format is known, but decoding gives nothing usable."""

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
