"""What can be wrong with a recording that someone sent.

    AudioError
    ├── EmptyAudio               zero bytes
    ├── UnsupportedMedia         no decoder knows the format
    ├── UndecodableAudio         a known format, but broken, without samples, or with NaN or Inf
    ├── AudioTooLong
    ├── TooManyChannels
    └── UnsupportedSampleRate

Every message is one sentence that says what to do and is fit for the person who sent the recording.
"""

from __future__ import annotations

import copyreg
from typing import ClassVar


class WordedError(Exception):
    """An error that keeps its wording apart from its values, so that whoever shows it can say it in another language.

    template: English, with the names of `values` in braces; where there are no values it is the message itself
    code: stable, for programs; every leaf that a caller can meet has one of its own
    """

    code: ClassVar[str] = "internal_error"

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template.format(**values) if values else template)
        self.template, self.values = template, values

    def __reduce__(self) -> tuple[object, ...]:
        """Without `__init__`, which takes other arguments in some leaves: errors travel between processes."""
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class AudioError(WordedError, ValueError):
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
