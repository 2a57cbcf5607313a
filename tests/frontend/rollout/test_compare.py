"""Two diagnoses of one call, side by side."""

from __future__ import annotations

from typing import Any

from frontend.configuration.tuning import image_tuning
from frontend.domain.rollout import drawn
from frontend.rollout.compare import compare
from frontend.rollout.picture import draw_report
from frontend.rollout.report import Pair, report, share, suggested_bounds

SETTINGS = image_tuning().rollout


def diagnosis(
    status: str = "ok",
    label: str | None = "negative",
    probability: float = 0.2,
    starts: tuple[float, ...] = (0.5, 1.5),
    cough: float = 0.9,
    infer: float | None = 4.0,
) -> dict[str, Any]:
    return {
        "status": status,
        "result": {"label": label, "probability": probability} if label else None,
        "segments": [
            {"start_s": at, "end_s": at + 0.4, "cough_probability": cough, "spectrogram_crc32": f"{at}"}
            for at in starts
        ],
        "audio": {"channel": 0, "codec": "opus"},
        "timings_ms": {} if infer is None else {"infer": infer},
    }


def test_the_same_is_the_same() -> None:
    found = compare(diagnosis(), diagnosis())
    assert not found.flip
    assert not found.shift(0.0)
    assert not found.slow(1.0, 0.0)


def test_status_and_label() -> None:
    assert compare(diagnosis("no_cough", None), diagnosis()).status_flip
    assert not compare(diagnosis("no_cough", None), diagnosis()).label_flip  # told once
    assert compare(diagnosis(label="positive"), diagnosis()).label_flip


def test_scores_and_segments() -> None:
    assert compare(diagnosis(cough=0.85), diagnosis()).score_change == 0.9 - 0.85
    assert compare(diagnosis(probability=0.5), diagnosis()).score_change == 0.3
    moved = compare(diagnosis(starts=(0.52, 1.5)), diagnosis())
    assert (moved.segments_differ, moved.score_change) == (False, 0.0)
    for starts in ((0.5,), (0.5, 1.5, 2.5), (0.5, 1.7), ()):
        assert compare(diagnosis(starts=starts), diagnosis()).segments_differ


def test_slow_is_relative_and_absolute() -> None:
    assert compare(diagnosis(infer=40.0), diagnosis()).slow(3.0, 10.0)
    assert not compare(diagnosis(infer=13.0), diagnosis()).slow(3.0, 10.0)
    assert not compare(diagnosis(infer=None), diagnosis()).slow(3.0, 10.0)


def test_a_share_draws_by_the_id_and_grows_without_losing_any() -> None:
    ids = [f"call-{n}" for n in range(5_000)]
    tenth = {call for call in ids if drawn(call) < 0.1}
    assert 420 < len(tenth) < 580
    assert tenth < {call for call in ids if drawn(call) < 0.2}
    # The draw is for ever: other releases of this software must make the same.
    assert [round(drawn(call), 6) for call in ("a", "b", "call-1")] == [0.924501, 0.36602, 0.180746]


def test_the_report_names_what_flips() -> None:
    pairs = [Pair(f"call-{n}", diagnosis(), diagnosis()) for n in range(98)]
    pairs.append(Pair("lost", diagnosis("no_cough", None, starts=(0.5,), cough=0.1), diagnosis()))
    pairs.append(Pair("turned", diagnosis(label="positive", probability=0.8), diagnosis()))
    found = report(pairs, SETTINGS)
    assert found["flips"]["by_status"] == {"ok -> no_cough": {"count": 1, "calls": ["lost"]}}
    assert found["flips"]["by_label"] == {"negative -> positive": {"count": 1, "calls": ["turned"]}}
    assert (found["flips"]["count"], found["shifts"]["count"], found["calls"]) == (2, 2, 100)
    assert found["slow"]["count"] == 0
    assert found["flips"]["low"] < 0.02 < found["flips"]["high"] < 0.08
    assert found["statuses"]["ok"]["difference"]["mean"] == -0.01
    assert found["labels"]["positive"]["candidate"]["count"] == 1
    assert found["by_codec"]["opus"]["of"] == 100
    assert (found["segments"]["gone"], found["segments"]["came"]) == (1, 0)
    assert suggested_bounds(found)["flips"] == 0.08


def test_a_report_of_nothing() -> None:
    found = report([], SETTINGS)
    assert (found["calls"], found["flips"]["share"], found["scores"]["probability"]["calls"]) == (0, None, 0)


def test_an_interval_is_wilsons() -> None:
    found = share(10, 100)  # by hand: 0.0552 to 0.1744
    assert (round(found["low"], 4), round(found["high"], 4)) == (0.0552, 0.1744)
    assert share(0, 50)["low"] == 0.0
    # An end beyond the share itself could not be drawn.
    assert all(share(n, n)["high"] == 1.0 for n in range(1, 500))


def test_a_report_with_a_diagnosis_of_before_segments_had_digests() -> None:
    old = diagnosis()
    for segment in old["segments"]:
        del segment["spectrogram_crc32"]
    found = report([Pair("old", diagnosis(), old), Pair("new", diagnosis(), diagnosis())], SETTINGS)["segments"]
    assert (found["other_spectrogram"], found["same"], found["came"], found["gone"]) == (0, 2, 0, 0)


def test_a_picture_of_calls_that_are_all_alike() -> None:
    found = report([Pair(f"call-{n}", diagnosis(), diagnosis()) for n in range(4)], SETTINGS)
    assert draw_report(found).startswith(b"\x89PNG")


def test_a_report_says_how_many_are_slow() -> None:
    pairs = [Pair("slow", diagnosis(infer=40.0), diagnosis()), Pair("a", diagnosis(), diagnosis())]
    pairs.append(Pair("old", diagnosis(infer=40.0), diagnosis(infer=None)))  # not known
    assert (report(pairs, SETTINGS)["slow"]["count"], report(pairs, SETTINGS)["slow"]["of"]) == (1, 3)
