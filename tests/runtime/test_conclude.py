"""Every status and every reason, and the rules between them."""

import hashlib
import json
import zlib
from dataclasses import FrozenInstanceError, asdict, replace

import numpy as np
import pytest

from runtime.conclude import conclude
from runtime.diagnosis import Diagnosis, NearThreshold, Reason, Status
from tests.runtime.parts import QUALITY_LIMITS, channel, contract, prepared, scores


def judged(work, found, model=None, min_coughs=1) -> Diagnosis:
    return conclude(work, found, model or contract(validated=True), QUALITY_LIMITS, min_coughs, 2.5)


def test_ok_positive():
    diagnosis = judged(prepared(channel(3)), scores([0.9, 0.1, 0.8], [0.9, 0.0, 0.7]))
    assert diagnosis.status == Status.OK
    assert diagnosis.reasons == ()
    assert diagnosis.result is not None
    assert diagnosis.result.label == "positive"
    assert diagnosis.result.probability == pytest.approx(0.8, abs=1e-6)  # median of two: their mean; float32's digits
    assert (diagnosis.result.thresholds.low, diagnosis.result.thresholds.high) == (0.4, 0.6)
    assert diagnosis.result.validated is True
    assert [segment.is_cough for segment in diagnosis.segments] == [True, False, True]
    assert len(diagnosis.coughs) == 2


def test_ok_negative():
    diagnosis = judged(prepared(channel(1)), scores([0.9], [0.1]))
    assert diagnosis.status == Status.OK
    assert diagnosis.result is not None
    assert diagnosis.result.label == "negative"
    assert diagnosis.result.probability == pytest.approx(0.1, abs=1e-6)


def test_the_median_is_not_moved_by_one_odd_cough():
    diagnosis = judged(prepared(channel(5)), scores([0.9] * 5, [0.1, 0.12, 0.1, 0.11, 1.0]))
    assert diagnosis.result is not None
    assert diagnosis.result.probability == pytest.approx(0.11, abs=1e-6)


@pytest.mark.parametrize(
    ("probability", "status", "label"),
    [
        (0.39, Status.OK, "negative"),
        (0.41, Status.INCONCLUSIVE, None),
        (0.59, Status.INCONCLUSIVE, None),
        (0.61, Status.OK, "positive"),
    ],
)
def test_between_the_thresholds(probability, status, label):
    diagnosis = judged(prepared(channel(1)), scores([0.9], [probability]))
    assert diagnosis.status == status
    assert (diagnosis.result and diagnosis.result.label) == label
    assert (Reason.BETWEEN_THRESHOLDS in diagnosis.reasons) == (label is None)


@pytest.mark.parametrize(("probability", "label"), [(0.25, "negative"), (0.5, "positive"), (0.75, "positive")])
def test_equal_thresholds_leave_nothing_between(probability, label):
    """0.5 and its like are exact in float32, so the border itself can be tried: from `high` on positive."""
    diagnosis = judged(prepared(channel(1)), scores([0.9], [probability]), contract(validated=True, low=0.5, high=0.5))
    assert diagnosis.status == Status.OK
    assert diagnosis.result is not None
    assert diagnosis.result.label == label


def test_the_lower_border_belongs_to_the_middle_and_the_upper_to_positive():
    model = contract(validated=True, low=0.25, high=0.75)
    assert judged(prepared(channel(1)), scores([0.9], [0.25]), model).status == Status.INCONCLUSIVE
    upper = judged(prepared(channel(1)), scores([0.9], [0.75]), model)
    assert upper.result is not None
    assert upper.result.label == "positive"


def test_no_candidates():
    diagnosis = judged(prepared(channel(0, snr_db=None)), scores([], []))
    assert (diagnosis.status, diagnosis.result, diagnosis.segments) == (Status.NO_COUGH, None, ())


def test_candidates_but_no_cough():
    diagnosis = judged(prepared(channel(2)), scores([0.49, 0.1], [0.9, 0.9]))
    assert diagnosis.status == Status.NO_COUGH
    assert diagnosis.result is None
    assert len(diagnosis.segments) == 2
    assert all(segment.class_probabilities is None for segment in diagnosis.segments)


def test_the_cough_threshold_itself_is_a_cough():
    assert judged(prepared(channel(1)), scores([0.5], [0.9])).segments[0].is_cough


BAD = [
    ({"clipped_fraction": QUALITY_LIMITS.max_clipped_fraction + 0.001}, Reason.CLIPPED),
    ({"snr_db": QUALITY_LIMITS.min_snr_db - 0.1}, Reason.LOW_SNR),
    ({"dropout_fraction": QUALITY_LIMITS.max_dropout_fraction + 0.001}, Reason.DROPOUTS),
]
NARROW = {"bandwidth_hz": QUALITY_LIMITS.min_bandwidth_hz - 1.0}


@pytest.mark.parametrize(("quality", "reason"), [*BAD, (NARROW, Reason.NARROWBAND)])
def test_coughs_heard_too_badly(quality, reason):
    diagnosis = judged(prepared(channel(2, **quality)), scores([0.9, 0.9], [0.9, 0.9]))
    assert diagnosis.status == Status.POOR_QUALITY
    assert diagnosis.reasons == (reason,)
    assert diagnosis.result is None
    assert len(diagnosis.coughs) == 2


@pytest.mark.parametrize(("quality", "reason"), BAD)
def test_bad_sound_may_hide_coughs(quality, reason):
    diagnosis = judged(prepared(channel(2, **quality)), scores([0.1, 0.1], [0.9, 0.9]))
    assert diagnosis.status == Status.POOR_QUALITY
    assert diagnosis.reasons == (reason,)


def test_a_narrow_band_hides_no_cough():
    diagnosis = judged(prepared(channel(1, **NARROW)), scores([0.1], [0.9]))
    assert diagnosis.status == Status.NO_COUGH
    assert diagnosis.reasons == (Reason.NARROWBAND,)


@pytest.mark.parametrize(
    "quality",
    [
        {"clipped_fraction": QUALITY_LIMITS.max_clipped_fraction},
        {"snr_db": QUALITY_LIMITS.min_snr_db + 1e-6},  # made from levels: not exact
        {"snr_db": None},
        {"bandwidth_hz": QUALITY_LIMITS.min_bandwidth_hz},
        {"dropout_fraction": QUALITY_LIMITS.max_dropout_fraction},
    ],
)
def test_cut_offs_themselves_are_good_enough(quality):
    assert judged(prepared(channel(1, **quality)), scores([0.9], [0.9])).reasons == ()


def test_too_short_says_nothing_else():
    work = prepared(channel(1, clipped_fraction=0.5, peak=0.0), duration_s=0.19)
    diagnosis = judged(work, scores([0.9], [0.9]))
    assert (diagnosis.status, diagnosis.reasons) == (Status.POOR_QUALITY, (Reason.TOO_SHORT,))
    assert judged(prepared(channel(1), duration_s=0.2), scores([0.9], [0.9])).status == Status.OK


@pytest.mark.parametrize("peak", [0.0, 3e-4])
def test_silent_says_nothing_else(peak):
    """-70 dBFS is 3.16e-4, ten steps of 16 bits."""
    diagnosis = judged(prepared(channel(0, peak=peak, snr_db=None, bandwidth_hz=0.0)), scores([], []))
    assert (diagnosis.status, diagnosis.reasons) == (Status.POOR_QUALITY, (Reason.SILENT,))


def test_truncated_is_said_and_spoils_nothing():
    diagnosis = judged(prepared(channel(1), truncated=True), scores([0.9], [0.9]))
    assert (diagnosis.status, diagnosis.reasons) == (Status.OK, (Reason.TRUNCATED,))


def test_too_few_coughs():
    diagnosis = judged(prepared(channel(3)), scores([0.9, 0.9, 0.1], [0.9] * 3), min_coughs=3)
    assert (diagnosis.status, diagnosis.reasons) == (Status.INCONCLUSIVE, (Reason.TOO_FEW_COUGHS,))
    assert diagnosis.result is None


UNVALIDATED = [
    (prepared(channel(1)), [0.9], [0.9], 1),
    (prepared(channel(1)), [0.9], [0.5], 1),
    (prepared(channel(1)), [0.9], [0.9], 2),
    (prepared(channel(1)), [0.1], [0.9], 1),
    (prepared(channel(1, clipped_fraction=0.5)), [0.9], [0.9], 1),
    (prepared(channel(1, clipped_fraction=0.5)), [0.1], [0.9], 1),
    (prepared(channel(1), duration_s=0.1), [0.9], [0.9], 1),
    (prepared(channel(0, peak=0.0)), [], [], 1),
]


@pytest.mark.parametrize(("work", "cough", "positive", "min_coughs"), UNVALIDATED)
def test_an_unvalidated_model_is_always_among_the_reasons(work, cough, positive, min_coughs):
    diagnosis = judged(work, scores(cough, positive), contract(validated=False), min_coughs)
    assert diagnosis.reasons.count(Reason.UNVALIDATED_MODEL) == 1
    assert diagnosis.model.validated is False
    assert diagnosis.result is None or diagnosis.result.validated is False
    validated = judged(work, scores(cough, positive), contract(validated=True), min_coughs)
    assert Reason.UNVALIDATED_MODEL not in validated.reasons
    assert validated.status == diagnosis.status


def test_the_channel_with_the_better_coughs():
    work = prepared(channel(2, 0), channel(3, 1))
    diagnosis = judged(work, scores([0.9, 0.1, 0.9, 0.8, 0.1], [0.1, 0.1, 0.9, 0.9, 0.1]))
    assert diagnosis.audio.channel == 1
    assert diagnosis.audio.channels == 2
    assert [segment.cough_probability for segment in diagnosis.segments] == pytest.approx([0.9, 0.8, 0.1], abs=1e-6)
    assert diagnosis.result is not None
    assert diagnosis.result.probability == pytest.approx(0.9, abs=1e-6)
    assert diagnosis.spectrogram_sha256 == hashlib.sha256(work.spectrograms[2:].tobytes()).hexdigest()


@pytest.mark.parametrize("quiet", [0, 1])
def test_a_cough_that_leaks_into_the_other_channel(quiet):
    """The copy scores alike, even a little better, but is 20 dB quieter: the louder one is the patient's."""
    levels = [0.1, 0.1]
    levels[quiet] = 0.01
    found = [0.9, 0.9]
    found[quiet] = 0.95
    diagnosis = judged(prepared(*(channel(1, i, levels[i]) for i in range(2))), scores(found, [0.9, 0.9]))
    assert diagnosis.audio.channel == 1 - quiet


def test_without_coughs_the_likeliest_candidate_then_the_louder_channel_then_the_first():
    likelier = judged(prepared(channel(1, 0), channel(1, 1)), scores([0.1, 0.3], [0.5, 0.5]))
    louder = judged(prepared(channel(0, 0, peak=0.1), channel(0, 1, peak=0.2)), scores([], []))
    alike = judged(prepared(channel(0, 0), channel(0, 1)), scores([], []))
    assert [item.audio.channel for item in (likelier, louder, alike)] == [1, 1, 0]


def test_a_channel_of_noise_is_no_evidence_against_the_other_ones_cough():
    work = prepared(channel(8, 0, rms=0.9), channel(1, 1, rms=0.01))
    assert judged(work, scores([0.49] * 8 + [0.51], [0.5] * 9)).audio.channel == 1


def test_json_round_trip():
    work = prepared(channel(2, "mix", snr_db=None))
    diagnosis = judged(work, scores([0.9, 0.1], [0.9, 0.1]), contract())
    document = json.loads(diagnosis.to_json())
    assert document == diagnosis.to_dict() == json.loads(json.dumps(asdict(diagnosis)))
    assert set(document) == {
        *("status", "reasons", "result", "segments", "audio", "model", "preprocess_sha256", "spectrogram_sha256"),
        *("software_version", "timings_ms", "processor", "near_threshold"),
    }
    assert document["status"] == "ok"
    assert document["reasons"] == ["unvalidated_model"]
    assert document["audio"]["channel"] == "mix"
    assert document["audio"]["snr_db"] is None
    assert document["segments"][1]["class_probabilities"] is None
    assert list(document["segments"][0]["class_probabilities"]) == ["negative", "positive"]
    assert sum(document["segments"][0]["class_probabilities"].values()) == pytest.approx(1.0, abs=1e-6)
    assert document["model"] == {"name": "cough_cnn", "version": "3", "sha256": "a" * 64, "validated": False}
    assert document["timings_ms"] == {"decode": 1.0, "infer": 2.5}
    assert document["processor"] == "x86-64-v3"
    assert document["near_threshold"] == {"margin": 0.0001, "segments": [], "class_probability": False}
    images = [np.full((64, 96), n, dtype=np.uint8) for n in range(2)]
    assert [segment["spectrogram_crc32"] for segment in document["segments"]] == [
        f"{zlib.crc32(image):08x}" for image in images
    ]


@pytest.mark.parametrize(
    ("cough", "positive", "segments", "class_probability"),
    [
        ([0.9, 0.1], 0.9, (), False),
        ([0.50009, 0.49991, 0.5002, 0.4998, 0.9], 0.9, (0, 1), False),
        ([0.9], 0.40009, (), True),
        ([0.9], 0.39991, (), True),
        ([0.9], 0.60009, (), True),
        ([0.9], 0.4002, (), False),
        ([0.1], 0.4, (), False),  # no cough, so no class
    ],
)
def test_scores_next_to_their_threshold_are_known_as_such(cough, positive, segments, class_probability):
    """Thresholds 0.5 for a cough, 0.4 and 0.6 for the class; the margin is 1e-4."""
    found = judged(prepared(channel(len(cough))), scores(cough, [positive] * len(cough)), contract())
    assert found.near_threshold == NearThreshold(1e-4, segments, class_probability)


def test_a_model_in_half_precision_has_a_wider_margin():
    wide = replace(contract(), score_margin=0.02)
    found = judged(prepared(channel(2)), scores([0.519, 0.521], [0.9, 0.9]), wide)
    assert found.near_threshold == NearThreshold(0.02, (0,), False)


@pytest.mark.parametrize(("over_db", "low"), [(1e-9, False), (-1e-9, True)])
def test_noise_is_judged_at_the_cut_off_itself(over_db, low):
    work = prepared(channel(1, snr_db=QUALITY_LIMITS.min_snr_db + over_db))
    assert (Reason.LOW_SNR in judged(work, scores([0.9], [0.9]), contract()).reasons) is low


def test_a_diagnosis_cannot_be_changed():
    diagnosis = judged(prepared(channel(1)), scores([0.9], [0.9]))
    with pytest.raises(FrozenInstanceError):
        diagnosis.status = Status.NO_COUGH  # type: ignore[misc]


def test_the_lists_are_closed():
    assert {statu.value for statu in Status} == {"ok", "no_cough", "poor_quality", "inconclusive"}
    assert {item.value for item in Reason} == {
        *("too_short", "silent", "clipped", "low_snr", "narrowband", "dropouts", "truncated", "too_few_coughs"),
        *("between_thresholds", "unvalidated_model"),
    }


def test_the_same_input_gives_the_same_answer():
    work, found = prepared(channel(3)), scores([0.9, 0.8, 0.7], [0.2, 0.9, 0.7])
    assert judged(work, found) == judged(work, found)
    assert np.array_equal(found.cough, np.array([0.9, 0.8, 0.7], dtype=np.float32))
