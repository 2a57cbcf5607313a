"""Every status and every reason, and the rules between them."""

import hashlib
import json
import zlib
from dataclasses import FrozenInstanceError, asdict, replace

import numpy as np
import pytest

from preprocess.tones import Hum, Tone
from runtime.conclude import accepted_candidates, conclude
from runtime.diagnosis import Diagnosis, NearThreshold, Reason, Status, diagnosis_from_dict
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


def uncertain_from(threshold):
    return replace(contract(validated=True), uncertain_threshold=threshold)


@pytest.mark.parametrize(("likeliest", "status"), [(0.24, "no_cough"), (0.25, "inconclusive"), (0.49, "inconclusive")])
def test_without_a_cough_the_likeliest_candidate_may_be_one(likeliest, status):
    diagnosis = judged(prepared(channel(2)), scores([likeliest, 0.1], [0.9, 0.9]), uncertain_from(0.25))
    assert (diagnosis.status, diagnosis.result) == (status, None)
    assert diagnosis.reasons == ((Reason.UNCERTAIN_COUGH,) if status == "inconclusive" else ())
    assert not diagnosis.coughs


def test_beside_a_sure_cough_what_may_be_one_counts():
    diagnosis = judged(prepared(channel(3)), scores([0.4, 0.5, 0.2], [0.9, 0.9, 0.9]), uncertain_from(0.25))
    assert (diagnosis.status, diagnosis.reasons) == (Status.OK, ())
    assert [segment.is_cough for segment in diagnosis.segments] == [True, True, False]
    assert [segment.class_probabilities is not None for segment in diagnosis.segments] == [True, True, False]
    few = judged(prepared(channel(3)), scores([0.4, 0.5, 0.2], [0.9] * 3), uncertain_from(0.25), min_coughs=3)
    assert few.reasons == (Reason.TOO_FEW_COUGHS,)


def test_what_may_be_coughs_without_a_sure_one_are_none():
    diagnosis = judged(prepared(channel(2)), scores([0.4, 0.49], [0.9, 0.9]), uncertain_from(0.25))
    assert (diagnosis.status, diagnosis.reasons) == (Status.INCONCLUSIVE, (Reason.UNCERTAIN_COUGH,))
    assert not diagnosis.coughs


@pytest.mark.parametrize(
    ("cough", "expected"),
    [([], []), ([0.4], [False]), ([0.6], [True]), ([0.3, 0.6, 0.29], [True, True, False]), ([0.5, 0.3], [True, True])],
)
def test_which_candidates_are_accepted(cough, expected):
    assert accepted_candidates(np.array(cough, np.float32), 0.5, 0.3).tolist() == expected


def test_without_candidates_nothing_is_uncertain():
    assert judged(prepared(channel(0, snr_db=None)), scores([], []), uncertain_from(0.0)).status == Status.NO_COUGH


def test_equal_cough_thresholds_leave_nothing_uncertain():
    assert judged(prepared(channel(1)), scores([0.4999], [0.9]), uncertain_from(0.5)).status == Status.NO_COUGH


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


@pytest.mark.parametrize(("quality", "reason"), BAD)
def test_what_hides_coughs_comes_before_what_may_be_one(quality, reason):
    diagnosis = judged(prepared(channel(1, **quality)), scores([0.4], [0.9]), uncertain_from(0.25))
    assert (diagnosis.status, diagnosis.reasons) == (Status.POOR_QUALITY, (reason,))


def test_a_narrow_band_hides_no_uncertain_cough():
    diagnosis = judged(prepared(channel(1, **NARROW)), scores([0.4], [0.9]), uncertain_from(0.25))
    assert diagnosis.status == Status.INCONCLUSIVE
    assert diagnosis.reasons == (Reason.NARROWBAND, Reason.UNCERTAIN_COUGH)


def test_a_narrow_band_hides_no_cough():
    diagnosis = judged(prepared(channel(1, **NARROW)), scores([0.1], [0.9]))
    assert diagnosis.status == Status.NO_COUGH
    assert diagnosis.reasons == (Reason.NARROWBAND,)


LOUD_HUM = Hum(60, QUALITY_LIMITS.max_hum_db + 0.1)
LONG_TONE = (Tone(0.0, 10.0 * QUALITY_LIMITS.max_tone_fraction + 0.1, (425.0,)),)
COVERS = [({"hum": LOUD_HUM}, Reason.HUM), ({"tones": LONG_TONE}, Reason.TONE)]


@pytest.mark.parametrize(("sounds", "reason"), COVERS)
@pytest.mark.parametrize("n", [0, 2])
def test_hum_and_tones_may_hide_coughs(sounds, reason, n):
    diagnosis = judged(prepared(channel(n, **sounds)), scores([0.1] * n, [0.9] * n))
    assert (diagnosis.status, diagnosis.reasons) == (Status.POOR_QUALITY, (reason,))


@pytest.mark.parametrize(("sounds", "reason"), COVERS)
def test_a_cough_that_is_heard_beside_them_is_heard(sounds, reason):
    diagnosis = judged(prepared(channel(2, **sounds)), scores([0.9, 0.9], [0.9, 0.9]))
    assert (diagnosis.status, diagnosis.reasons) == (Status.OK, (reason,))


def test_hum_and_tones_at_their_cut_offs_hide_nothing():
    edge = 10.0 * QUALITY_LIMITS.max_tone_fraction
    work = prepared(channel(0, hum=Hum(50, QUALITY_LIMITS.max_hum_db), tones=(Tone(0.0, edge, (425.0,)),)))
    assert (judged(work, scores([], [])).status, judged(work, scores([], [])).reasons) == (Status.NO_COUGH, ())


@pytest.mark.parametrize(
    ("sounds", "named"),
    [
        ({"hum": Hum(60, -19.0)}, (Reason.HUM,)),
        ({"hum": Hum(60, -21.0)}, ()),
        ({"tones": (Tone(1.0, 4.5, (425.0,)),)}, (Reason.TONE,)),
        ({"tones": (Tone(1.0, 1.6, (425.0,)),)}, ()),
    ],
)
def test_beside_too_much_noise_what_hums_is_named(sounds, named):
    noisy = channel(1, snr_db=QUALITY_LIMITS.min_snr_db - 1.0, **sounds)
    assert judged(prepared(noisy), scores([0.1], [0.9])).reasons == (Reason.LOW_SNR, *named)


@pytest.mark.parametrize(("over_db", "low"), [(-0.1, True), (0.1, False)])
def test_without_candidates_the_loud_moments_tell_noise(over_db, low):
    work = prepared(channel(0, snr_db=QUALITY_LIMITS.min_snr_without_candidates_db + over_db))
    diagnosis = judged(work, scores([], []))
    assert (diagnosis.status is Status.POOR_QUALITY) is low
    assert (Reason.LOW_SNR in diagnosis.reasons) is low
    assert diagnosis.audio.snr_db == pytest.approx(QUALITY_LIMITS.min_snr_without_candidates_db + over_db)


def test_the_record_has_tones_and_hum():
    tones = (Tone(0.0, 0.6, (425.0,)), Tone(2.0, 2.1, (697.0, 1209.0)))
    diagnosis = judged(prepared(channel(1, tones=tones, hum=Hum(50, -12.5))), scores([0.9], [0.9]))
    document = json.loads(diagnosis.to_json())
    assert document["audio"]["tones"] == [
        {"start_s": 0.0, "end_s": 0.6, "frequencies_hz": [425.0]},
        {"start_s": 2.0, "end_s": 2.1, "frequencies_hz": [697.0, 1209.0]},
    ]
    assert (document["audio"]["hum_hz"], document["audio"]["hum_db"]) == (50, -12.5)
    assert diagnosis_from_dict(document) == diagnosis
    quiet = json.loads(judged(prepared(channel(1)), scores([0.9], [0.9])).to_json())["audio"]
    assert (quiet["tones"], quiet["hum_hz"], quiet["hum_db"]) == ([], None, None)
    older = {key: value for key, value in document["audio"].items() if key not in ("tones", "hum_hz", "hum_db")}
    assert diagnosis_from_dict({**document, "audio": older}).to_dict()["audio"]["tones"] is None


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


@pytest.mark.parametrize(
    ("cough", "segments"), [([0.24995, 0.1], (0,)), ([0.25005, 0.49995], (0, 1)), ([0.25005, 0.9], ()), ([0.2502], ())]
)
def test_without_a_cough_the_uncertain_threshold_counts_too(cough, segments):
    found = judged(prepared(channel(len(cough))), scores(cough, [0.9] * len(cough)), uncertain_from(0.25))
    assert found.near_threshold == NearThreshold(1e-4, segments, False)


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
        *("too_short", "silent", "clipped", "low_snr", "narrowband", "dropouts", "hum", "tone", "truncated"),
        "too_few_coughs",
        *("between_thresholds", "uncertain_cough", "unvalidated_model"),
    }


def test_the_same_input_gives_the_same_answer():
    work, found = prepared(channel(3)), scores([0.9, 0.8, 0.7], [0.2, 0.9, 0.7])
    assert judged(work, found) == judged(work, found)
    assert np.array_equal(found.cough, np.array([0.9, 0.8, 0.7], dtype=np.float32))
