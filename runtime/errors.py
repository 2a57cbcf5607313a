"""What can go wrong between bytes and diagnosis.

What is wrong with the recording itself is the tree of `preprocess.errors`, handed on from here for the front end.

RuntimeFailure
├── ConfigError          config.yml can't be used
├── ModelContractError   the model is not one that this code can serve
│   └── ParametersDiffer   it was trained with other parameters
├── RecordUnreadable     a record can't be replayed
├── OutputError          what was asked for can't be written
└── InferenceError       the model can't be asked now; asking again may help
    └── InferenceTimeout   it did not answer before the deadline
"""

from __future__ import annotations

from preprocess.errors import (
    AudioError,
    AudioTooLong,
    EmptyAudio,
    TooManyChannels,
    UndecodableAudio,
    UnsupportedMedia,
    UnsupportedSampleRate,
    WordedError,
)

__all__ = [
    "AudioError",
    "AudioTooLong",
    "ConfigError",
    "EmptyAudio",
    "InferenceError",
    "InferenceTimeout",
    "ModelContractError",
    "OutputError",
    "ParametersDiffer",
    "RecordUnreadable",
    "RuntimeFailure",
    "TooManyChannels",
    "UndecodableAudio",
    "UnsupportedMedia",
    "UnsupportedSampleRate",
    "WordedError",
]


class RuntimeFailure(WordedError):
    """The root; every message is one sentence that says what to do."""


class ConfigError(RuntimeFailure):
    """config.yml is missing, unreadable or holds a wrong value."""


class ModelContractError(RuntimeFailure):
    """The model's inputs, outputs or parameters are not those of the contract."""


class ParametersDiffer(ModelContractError):
    """The parameters in use are not the ones that the model was trained with.

    field: dotted name, e.g. `mel_spec.hop_length`
    """

    def __init__(self, field: str, expected: object, found: object) -> None:
        super().__init__(
            "{field} is {found!r}, but the model was trained with {expected!r}: "
            "use the model's parameters, or train and export a model with yours.",
            field=field,
            found=found,
            expected=expected,
        )
        self.field, self.expected, self.found = field, expected, found


class RecordUnreadable(RuntimeFailure):
    """What is given as a diagnosis record is none."""


class OutputError(RuntimeFailure):
    """A file or standard output can't be written, or the file holds something else."""


class InferenceError(RuntimeFailure):
    """The inference server can't be reached or refuses."""

    code = "inference_unavailable"


class InferenceTimeout(InferenceError):
    """The inference server did not answer before the deadline."""
