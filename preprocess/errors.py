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


class AudioError(ValueError):
    """The recording can't be diagnosed, and sending the same bytes again won't help."""


class EmptyAudio(AudioError):
    """The file has no bytes."""


class UnsupportedMedia(AudioError):
    """The bytes are in no audio format that we decode."""


class UndecodableAudio(AudioError):
    """The format is known, but nothing usable comes out of it."""


class AudioTooLong(AudioError):
    """The recording lasts longer than the limit."""


class TooManyChannels(AudioError):
    """The recording has more channels than the limit."""


class UnsupportedSampleRate(AudioError):
    """The sample rate lies outside the limits."""
