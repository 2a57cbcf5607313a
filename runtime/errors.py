"""Errors between bytes and diagnosis.

Errors of the recording itself are in the tree of `preprocess.errors`; this module exports them again for the front end.

WordedError                    its text is an English sentence
└── RuntimeFailure
    ├── ConfigError            config.yml can't be used
    ├── ModelContractError     the model is not one that this code can serve
    │   └── ParametersDiffer   it was trained with other parameters
    ├── RecordUnreadable       a record can't be replayed
    ├── OutputError            what was asked for can't be written
    └── InferenceError         the model can't be asked now; asking again may help
        ├── InferenceTimeout   it did not answer before the deadline
        └── UnusableScores     it answered, but not with probabilities
"""

from __future__ import annotations

from preprocess.errors import (
    AudioError,
    AudioTooLong,
    CodedError,
    EmptyAudio,
    TooManyChannels,
    UndecodableAudio,
    UnsupportedMedia,
    UnsupportedSampleRate,
)
from runtime.messages.catalogue import say_error, sections
from runtime.messages.languages import Language

__all__ = [
    "AudioError",
    "AudioTooLong",
    "CodedError",
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
    "UnusableScores",
    "WordedError",
]


class WordedError(CodedError):
    """An error whose text is its English sentence. An operator's error may have its sentence instead of a key."""

    def __str__(self) -> str:
        return self.key if self._has_own_sentence else say_error(self, Language.ENGLISH)

    @property
    def _has_own_sentence(self) -> bool:
        return self.key not in sections(Language.ENGLISH)["detail"]


class RuntimeFailure(WordedError):
    """The root; every message is one sentence of advice."""


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
            "parameters_differ",
            field=field,
            found=found,
            expected=expected,
        )
        self.field, self.expected, self.found = field, expected, found


class RecordUnreadable(RuntimeFailure):
    """The given document is not a diagnosis record."""


class OutputError(RuntimeFailure):
    """A file or standard output can't be written, or the file has other content."""


class InferenceError(RuntimeFailure):
    """The inference server can't be reached or refuses."""

    code = "inference_unavailable"


class InferenceTimeout(InferenceError):
    """The inference server did not answer before the deadline."""


class UnusableScores(InferenceError):
    """The inference server answered with something else than probabilities."""
