"""A recording may come as a path, bytes, or a file; and `execute` puts the three steps together."""

import io
from dataclasses import replace

import numpy as np
import pytest

from runtime import ParametersDiffer, WorkUnit, execute
from runtime.classify import Scores, checked_scores, join_scores, no_scores
from runtime.config import ROOT
from runtime.errors import AudioError, UnusableScores
from tests.runtime.parts import COLOR_SPEC, MEL_SPEC, SEGMENTATION, contract

PATH = ROOT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg"


class EveryCoughIsNegative:
    """Satisfies `runtime.classify.Classifier`, and keeps what it was asked."""

    def __init__(self):
        self.asked = []

    def contract(self):
        return contract(low=0.5, high=0.5)

    def classify(self, spectrograms):
        self.asked.append(spectrograms)
        n = len(spectrograms)
        return Scores(np.full(n, 0.9, dtype=np.float32), np.tile(np.float32([0.8, 0.2]), (n, 1)))


def work(source, **changes):
    params = {
        "segmentation_params": SEGMENTATION,
        "mel_spec_params": MEL_SPEC,
        "color_spec_params": COLOR_SPEC,
        **changes,
    }
    return WorkUnit(source_file=source, **params)


@pytest.mark.parametrize("kind", [str, bytes, lambda path: path, lambda path: io.BytesIO(path.read_bytes())])
def test_path_bytes_and_file_are_alike(kind):
    source = PATH.read_bytes() if kind is bytes else kind(PATH)
    assert work(source).read() == PATH.read_bytes()


def test_an_open_file_is_read_from_where_it_stands_to_its_end():
    with PATH.open("rb") as file:
        file.seek(100)
        assert work(file).read() == PATH.read_bytes()[100:]


def test_a_missing_path():
    with pytest.raises(FileNotFoundError):
        work("no/such/file.ogg").read()


def test_execute_with_a_classifier_of_ones_own():
    classifier = EveryCoughIsNegative()
    diagnosis = execute(work(PATH), classifier)
    assert diagnosis.status == "ok"
    assert diagnosis.result is not None
    assert (diagnosis.result.label, diagnosis.result.probability) == ("negative", pytest.approx(0.2, abs=1e-6))
    (asked,) = classifier.asked
    assert len(asked) == len(diagnosis.segments) == 6
    assert "infer" in diagnosis.timings_ms


def test_execute_refuses_other_parameters_before_it_decodes():
    classifier = EveryCoughIsNegative()
    with pytest.raises(ParametersDiffer, match=r"mel_spec\.n_fft"):
        execute(work(b"not audio", mel_spec_params=replace(MEL_SPEC, n_fft=512)), classifier)
    assert classifier.asked == []


def test_execute_hands_on_what_is_wrong_with_the_audio():
    with pytest.raises(AudioError):
        execute(work(b"not audio"), EveryCoughIsNegative())


def test_checked_scores():
    cough, classes = np.ones((2, 1), dtype=np.float32), np.full((2, 2), 0.5, dtype=np.float32)
    made = checked_scores(cough, classes, 2, contract())
    assert made.cough.shape == (2,)
    assert made.classes.shape == (2, 2)


HALVES, ONES = np.full((2, 2), 0.5, dtype=np.float32), np.ones((2, 1), dtype=np.float32)


@pytest.mark.parametrize(
    ("cough", "classes"),
    [
        (None, HALVES),
        (ONES, None),
        (ONES[:0], HALVES[:0]),
        (ONES[:, 0], HALVES),
        (ONES, HALVES[:1]),
        (ONES, HALVES[:, 0]),
        (ONES, np.full((2, 3), 1 / 3, dtype=np.float32)),
        (HALVES, ONES),
        (ONES.astype(np.float64), HALVES),
        (ONES, HALVES.astype(np.float16)),
        (ONES.astype(object), HALVES),
        (ONES * np.nan, HALVES),
        (ONES, HALVES * np.inf),
        (ONES, HALVES * np.nan),
        (ONES * 1.001, HALVES),
        (-ONES, HALVES),
        (ONES, np.float32([[0.5, 0.5], [-0.5, 1.5]])),
        (ONES, HALVES * 0.98),
        (ONES, HALVES * 2.0),
    ],
)
def test_answers_that_are_no_scores(cough, classes):
    """Triton 24.10 with NumPy 2 answers OK with zero bytes."""
    with pytest.raises(UnusableScores, match="check"):
        checked_scores(cough, classes, 2, contract())


def test_scores_in_half_precision_are_taken():
    classes = np.float32(np.float16([[0.1, 0.9], [1 / 3, 2 / 3]]))
    np.testing.assert_array_equal(checked_scores(ONES, classes, 2, contract()).classes, classes)


def test_scores_that_rounding_lifts_above_1_are_1():
    cough = np.float32([[1.0000001], [-1e-7]])
    classes = np.float32([[1.0000001, 0.0], [0.5, 0.5]])
    scores = checked_scores(cough, classes, 2, contract())
    np.testing.assert_array_equal(scores.cough, np.float32([1.0, 0.0]))
    np.testing.assert_array_equal(scores.classes, np.float32([[1.0, 0.0], [0.5, 0.5]]))


def test_no_scores_and_joined_scores():
    nothing = no_scores(contract())
    assert (nothing.cough.shape, nothing.classes.shape) == ((0,), (0, 2))
    one = Scores(np.float32([0.1]), np.float32([[0.2, 0.8]]))
    joined = join_scores([one, nothing, one])
    np.testing.assert_array_equal(joined.cough, np.float32([0.1, 0.1]))
    assert joined.classes.shape == (2, 2)
    assert join_scores([one]) is one
