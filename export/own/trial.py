"""The model is run, before any gate: what no file says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as runtime_errors

from export.errors import OwnModelError
from export.gate.golden_set import Spectrograms, random_spectrograms
from export.own.onnx_file import DYNAMIC, first_line
from export.parity import TOLERANCE
from runtime.classify import Scores
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT

SIZES = (1, 3, 64)  # of batches
ROUNDING = 1e-6  # by which a softmax may be above 1
SUM_TOLERANCE = 1e-3  # by which a row's sum may miss 1

_REFUSALS = (
    runtime_errors.EPFail,
    runtime_errors.Fail,
    runtime_errors.InvalidArgument,
    runtime_errors.InvalidGraph,
    runtime_errors.InvalidProtobuf,
    runtime_errors.NotImplemented,
    runtime_errors.RuntimeException,
)


def try_out(model: bytes, name: str, image: tuple[int, int], n_classes: int) -> None:
    """Run the ONNX file on noise in this process: in batches of each of SIZES, one again, one row alone.

    Raises: OwnModelError with the first thing that is wrong.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # our sentence says what is wrong
    noise = random_spectrograms(SIZES[-1], *image)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _REFUSALS as error:
        raise OwnModelError(f"{name} can't be loaded by ONNX Runtime ({_reason(error)}): export it again.") from error
    found = {size: _scores(session, noise[:size], name, n_classes) for size in SIZES}
    first, *_, full = found.values()
    again = _scores(session, noise, name, n_classes)
    if _difference(full, again) > TOLERANCE:
        raise OwnModelError(
            f"{name} gives other scores each time it is run: export it in evaluation mode (network.eval())."
        )
    if _difference(first, Scores(full.cough[:1], full.classes[:1])) > TOLERANCE:
        raise OwnModelError(
            f"{name} scores a spectrogram by its neighbours in the batch: export it in evaluation mode "
            "(network.eval()), and normalise within one spectrogram only."
        )


def require_probabilities(scores: Scores, name: str) -> Scores:
    """The same scores. Raises: OwnModelError where they are no probabilities."""
    for problem in _no_probabilities(scores):
        raise OwnModelError(f"{name} gives {problem}.")
    return scores


def _no_probabilities(scores: Scores) -> Iterator[str]:
    for output, values in ((COUGH_OUTPUT, scores.cough), (CLASS_OUTPUT, scores.classes)):
        wrong = values[~np.isfinite(values)]
        if wrong.size:
            yield f"{output} that is no number ({wrong[0]}): train it again, or look for a division by zero"
        low, high = float(values.min(initial=0.0)), float(values.max(initial=1.0))
        if low < -ROUNDING or high > 1.0 + ROUNDING:
            found = low if low < -ROUNDING else high
            yield f"{output} of {found:.3g}, which is no probability: put the sigmoid or the softmax into the network"
    sums = scores.classes.sum(axis=1, dtype=np.float64)
    if sums.size and (off := np.abs(sums - 1.0)).max() > SUM_TOLERANCE:
        yield f"{CLASS_OUTPUT} whose rows add up to {sums[off.argmax()]:.3g}, not 1: put a softmax into the network"


def _scores(session: onnxruntime.InferenceSession, batch: Spectrograms, name: str, n_classes: int) -> Scores:
    n = len(batch)
    try:
        cough, classes = session.run([COUGH_OUTPUT, CLASS_OUTPUT], {INPUT: batch})
    except _REFUSALS as error:
        raise OwnModelError(
            f"{name} can't be run with a batch of {n} ({_reason(error)}): export it with a dynamic batch ({DYNAMIC})."
        ) from error
    for output, found, expected in ((COUGH_OUTPUT, cough, (n, 1)), (CLASS_OUTPUT, classes, (n, n_classes))):
        if found.shape != expected:
            raise OwnModelError(
                f"{name} answers a batch of {n} with {output} of the shape {found.shape}, not {expected}: export it "
                f"with a dynamic batch ({DYNAMIC})."
            )
    return require_probabilities(Scores(cough[:, 0], classes), name)


def _difference(first: Scores, second: Scores) -> float:
    return float(max(np.abs(first.cough - second.cough).max(), np.abs(first.classes - second.classes).max()))


def _reason(error: Exception) -> str:
    """Where a node fails, its name; else what the runtime says, without the head `[ONNXRuntimeError] : 2 : ...`."""
    failed = re.search(r"running (\w+) node\. Name:'([^']*)'", str(error))
    return f"its {failed[1]} {failed[2]} fails" if failed else first_line(error).rsplit(" : ", 1)[-1]
