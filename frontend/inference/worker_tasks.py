"""The tasks of a worker process, and its copy of the parameters.

Parameters are sent to a worker once for each digest, not with each task: a task names the digest, and a worker without
these parameters raises UnknownParameters. So a second release with other parameters can be served beside the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from runtime.config import Limits, Parameters, parameters_sha256
from runtime.diagnosis import diagnosis_from_dict
from runtime.figures.playback import channel_wav
from runtime.prepare import DecodeLimits

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class WorkerParameters:
    """Parameters of a task. sha256: of the model's parameters, see `runtime.config.parameters_sha256`."""

    sha256: str
    preprocess: Parameters
    decode_limits: DecodeLimits

    @staticmethod
    def of(preprocess: Parameters, limits: Limits) -> WorkerParameters:
        return WorkerParameters(parameters_sha256(*preprocess), preprocess, limits.decode)


Task = Callable[[Parameters, DecodeLimits], Answer]
"""`partial(runtime.prepare.prepare_file, audio)`, or a function below with all but its last two arguments."""

_known: dict[str, WorkerParameters] = {}  # the parameters of this worker, by digest


class UnknownParameters(Exception):
    """This worker has not received the parameters yet."""


def learn(*parameters: WorkerParameters) -> None:
    """Store parameters; runs when a worker starts."""
    _known.update({known.sha256: known for known in parameters})


def run_task(task: Task[Answer], sha256: str, parameters: WorkerParameters | None) -> Answer:
    """Run a task. parameters: sent again where a worker has raised UnknownParameters. Raises: UnknownParameters."""
    if parameters is not None:
        learn(parameters)
    if sha256 not in _known:
        raise UnknownParameters(sha256)
    return task(_known[sha256].preprocess, _known[sha256].decode_limits)


def draw_figure(
    data: bytes, diagnosis: dict[str, Any], language: str, parameters: Parameters, limits: DecodeLimits
) -> bytes:
    """Draw a PNG; language: of `runtime.figures.labels`."""
    from runtime.figures.drawing import draw_figure  # noqa: PLC0415 - import matplotlib only for figures
    from runtime.figures.labels import WORDS  # noqa: PLC0415

    _, mel_spec, color_spec = parameters
    return draw_figure(data, diagnosis_from_dict(diagnosis), mel_spec, color_spec, limits, WORDS[language])


def draw_segment(data: bytes, diagnosis: dict[str, Any], n: int, parameters: Parameters, limits: DecodeLimits) -> bytes:
    """Draw one candidate's spectrogram as a PNG. Raises: IndexError."""
    from runtime.figures.drawing import draw_segment  # noqa: PLC0415

    _, mel_spec, color_spec = parameters
    return draw_segment(data, diagnosis_from_dict(diagnosis), n, mel_spec, color_spec, limits)


def diagnosed_channel(data: bytes, diagnosis: dict[str, Any], _: Parameters, limits: DecodeLimits) -> bytes:
    """Return the diagnosed channel as a WAV file."""
    return channel_wav(data, diagnosis_from_dict(diagnosis), limits)


def wait_a_moment(*_: object) -> None:
    """Wait long enough that each of the tasks at the start runs on another worker."""
    time.sleep(0.05)
