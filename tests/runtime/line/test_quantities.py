"""Where a diagnosis lies in each quantity: by its bins' edges, once for each call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from preprocess.decoders.ffmpeg import codec_name
from runtime.diagnosis import Diagnosis
from runtime.execute import execute
from runtime.line.quantities import CODECS, KINDS, OTHER, QUANTITIES, bins_of, codec_family, count, no_counts
from runtime.work_unit import WorkUnit
from tests.conftest import SAMPLES
from tests.runtime.parts import PARAMS

THRESHOLD = 0.6


@pytest.fixture(scope="module")
def coughs() -> Diagnosis:
    """A recording with several coughs, judged by the release of the checkout."""
    return execute(WorkUnit(SAMPLES / "benchmark_1" / "raw.ogg", *PARAMS))


@pytest.fixture(scope="module")
def silence() -> Diagnosis:
    return execute(WorkUnit(SAMPLES / "silence" / "raw.flac", *PARAMS))


def named(diagnosis: Diagnosis) -> dict[str, str]:
    bins = {one.name: one.bins for one in QUANTITIES}
    return {name: bins[name][number] for name, number in bins_of(diagnosis, THRESHOLD).items()}


def test_a_recording_with_coughs_has_every_quantity(coughs: Diagnosis) -> None:
    found = named(coughs)
    assert found.keys() == {one.name for one in QUANTITIES}
    assert found["codec"] == "opus"
    for name, value in (("bandwidth_hz", coughs.audio.bandwidth_hz), ("duration_s", coughs.audio.duration_s)):
        edges = next(one for one in QUANTITIES if one.name == name).edges
        assert value <= float(found[name].replace("+Inf", "inf"))
        assert all(edge < value for edge in edges if edge < float(found[name].replace("+Inf", "inf")))


def test_a_recording_without_coughs_has_no_length_of_them_and_no_score(silence: Diagnosis) -> None:
    assert {"cough_s", "class_score", "score", "distance"}.isdisjoint(named(silence))
    assert named(silence)["coughs"] == "0"


def test_an_upper_edge_lies_inside_its_bin(coughs: Diagnosis) -> None:
    for hz, name in ((2500.0, "2500"), (2500.1, "2750"), (0.0, "1000"), (4000.0, "+Inf")):
        changed = replace(coughs, audio=replace(coughs.audio, bandwidth_hz=hz))
        assert named(changed)["bandwidth_hz"] == name


def test_no_hum_and_hum_are_apart(coughs: Diagnosis) -> None:
    for level_db, name in ((None, "-100"), (-39.9, "-30"), (3.0, "+Inf")):
        changed = replace(coughs, audio=replace(coughs.audio, hum_hz=50, hum_db=level_db))
        assert named(changed)["hum_db"] == name


def test_the_score_is_of_the_likeliest_candidate_and_a_call_counts_once(coughs: Diagnosis) -> None:
    near = replace(coughs.coughs[0], cough_probability=0.52)
    one = replace(coughs, segments=(near, replace(near, cough_probability=0.1, is_cough=False)))
    assert (named(one)["score"], named(one)["distance"]) == ("0.6", "0.1")
    counts = no_counts()
    count(bins_of(one, THRESHOLD), counts)
    assert {name: sum(found) for name, found in counts.items()} == dict.fromkeys(counts, 1)


@pytest.mark.parametrize(
    ("decoder", "family"),
    [
        ("pcm_s16le", "lossless"),
        ("flac", "lossless"),
        ("pcm_u8", OTHER),
        ("pcm_mulaw", "g711"),
        ("gsm_ms", "gsm"),
        ("libopencore_amrnb", "amr_nb"),
        ("libopencore_amrwb", "amr_wb"),
        ("aac", "aac"),
        ("wmav2", OTHER),
    ],
)
def test_a_codec_has_one_bin_whichever_decoder_was_used(decoder: str, family: str) -> None:
    assert codec_family(codec_name(decoder)) == family


def test_no_recording_makes_a_bin() -> None:
    assert codec_family("anything that a file may claim") == OTHER
    assert CODECS[-1] == OTHER
    assert len(set(KINDS)) == len(KINDS)
