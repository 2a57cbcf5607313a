"""The tasks of a worker process.

A task is a function below: from bytes, parameters and further arguments to an answer's two parts (`wire`). Those that
decode run in the cage; those that draw get samples and run outside of it, since matplotlib opens files.

Parameters are sent to a worker once for each digest, not with each task. So a second release with other parameters can
be served beside the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from frontend.inference import wire
from runtime.config import Limits, Parameters, parameters_sha256
from runtime.diagnosis import diagnosis_from_dict
from runtime.figures.playback import at_model_rate, channel_wav
from runtime.prepare import AudioFile, Container, DecodeLimits, prepare_file

Parts = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class WorkerParameters:
    """Parameters of a task. sha256: of the model's parameters, see `runtime.config.parameters_sha256`."""

    sha256: str
    preprocess: Parameters
    decode_limits: DecodeLimits

    @staticmethod
    def of(preprocess: Parameters, limits: Limits) -> WorkerParameters:
        return WorkerParameters(parameters_sha256(*preprocess), preprocess, limits.decode)


Function = Callable[..., Parts]


@dataclass(frozen=True, slots=True)
class Task:
    """Work for a worker: `function(data, parameters, *arguments)`."""

    function: Function
    data: bytes
    arguments: tuple[Any, ...] = ()


def prepare(data: bytes, parameters: WorkerParameters, sha256: str, container: Container | None) -> Parts:
    """Prepare a recording: facts and spectrograms. Raises: AudioError."""
    file = AudioFile(data, sha256, container)
    return wire.of_prepared(prepare_file(file, parameters.preprocess, parameters.decode_limits))


def diagnosed_channel(
    data: bytes, parameters: WorkerParameters, diagnosis: dict[str, Any], container: Container | None
) -> Parts:
    """Return the diagnosed channel as a WAV file. container: of a file without a header. Raises: AudioError."""
    return b"", channel_wav(data, diagnosis_from_dict(diagnosis), parameters.decode_limits, container)


def diagnosed_samples(
    data: bytes, parameters: WorkerParameters, diagnosis: dict[str, Any], container: Container | None
) -> Parts:
    """Return the diagnosed channel at the model's rate, for the tasks that draw. Raises: AudioError."""
    _, mel_spec, _ = parameters.preprocess
    found = at_model_rate(data, diagnosis_from_dict(diagnosis), mel_spec, parameters.decode_limits, container)
    return b"", found.astype(np.float32).tobytes()


def draw_figure(samples: bytes, parameters: WorkerParameters, diagnosis: dict[str, Any], language: str) -> Parts:
    """Draw a PNG. samples: of `diagnosed_samples`; language: of `runtime.figures.labels`."""
    from runtime.figures.drawing import draw_figure  # noqa: PLC0415 - import matplotlib only for figures
    from runtime.figures.labels import WORDS  # noqa: PLC0415

    _, mel_spec, color_spec = parameters.preprocess
    heard = np.frombuffer(samples, np.float32)
    return b"", draw_figure(heard, diagnosis_from_dict(diagnosis), mel_spec, color_spec, WORDS[language])


def draw_segment(samples: bytes, parameters: WorkerParameters, diagnosis: dict[str, Any], n: int) -> Parts:
    """Draw one candidate's spectrogram as a PNG. samples: of `diagnosed_samples`."""
    from runtime.figures.drawing import draw_segment  # noqa: PLC0415

    _, mel_spec, color_spec = parameters.preprocess
    heard = np.frombuffer(samples, np.float32)
    return b"", draw_segment(heard, diagnosis_from_dict(diagnosis), n, mel_spec, color_spec)
