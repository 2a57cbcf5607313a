"""What is drift, and what is not: a mixture of what is known, few calls, and chance."""

from __future__ import annotations

import json
from copy import deepcopy

import numpy as np
import pytest
from scipy.stats import binomtest

from runtime.config import ROOT
from runtime.line.drift import DESIGN_EFFECT, FEWEST, distances, is_rare, outside, surprise, wilson
from runtime.line.quantities import KINDS, QUANTITIES, Counts, no_counts
from runtime.line.reference import Reference, read_reference


def the_reference() -> Reference:
    found = read_reference(json.loads((ROOT / "models" / "REFERENCE.json").read_text()))
    assert found is not None
    return found


REFERENCE = the_reference()


def drawn(n: int, seed: int) -> Counts:
    """n calls as they are in training."""
    rng = np.random.default_rng(seed)
    return {name: rng.multinomial(n, shares).tolist() for name, shares in REFERENCE.shares.items()}


def alarms(counts: Counts) -> set[str]:
    return {one.kind for one in outside(counts, REFERENCE) if one.alarms}


def in_bin(quantity: str, name: str, n: int) -> Counts:
    counts = no_counts()
    counts[quantity][next(one for one in QUANTITIES if one.name == quantity).bins.index(name)] = n
    return counts


def test_the_interval_is_wilsons() -> None:
    for found, n in ((0, 10), (3, 10), (10, 10), (17, 400)):
        expected = binomtest(found, n).proportion_ci(method="wilson")
        assert wilson(found / n, n, 1.959964) == pytest.approx((expected.low, expected.high), abs=1e-6)


def test_every_kind_can_be_seen_and_calls_as_in_training_are_no_drift() -> None:
    assert {one.kind for one in outside(drawn(1000, 0), REFERENCE)} == set(KINDS)
    for n in (60, 200, 1000, 20_000):
        for seed in range(20):
            assert alarms(drawn(n, seed)) == set()


def test_the_validation_split_is_no_drift() -> None:
    assert alarms(REFERENCE.validation) == set()


@pytest.mark.parametrize(
    ("quantity", "name", "kind"),
    [
        ("codec", "aac", "new_codec"),
        ("bandwidth_hz", "2000", "narrower_band"),
        ("snr_db", "2", "more_noise"),
        ("clipped_fraction", "0.01", "more_clipping"),
        ("hum_db", "-10", "more_hum"),
        ("cough_s", "0.225", "shorter_coughs"),
        ("cough_s", "+Inf", "longer_coughs"),
        ("distance", "0.05", "near_threshold"),
    ],
)
def test_a_surplus_is_named_by_its_direction_once_there_are_enough_calls(quantity: str, name: str, kind: str) -> None:
    assert alarms(in_bin(quantity, name, FEWEST)) == {kind}
    assert alarms(in_bin(quantity, name, FEWEST - 1)) == set()


def test_one_codec_of_the_training_alone_is_another_mixture_and_no_drift() -> None:
    counts = in_bin("codec", "amr_nb", 5000)
    assert alarms(counts) == set()
    (found,) = distances(counts, REFERENCE)
    assert found.value > 0.8


def test_calls_of_one_caller_are_alike_so_that_a_small_share_needs_many() -> None:
    usual = next(one for one in QUANTITIES if one.name == "codec").bins.index("opus")

    def with_share(n: int) -> Counts:
        counts = in_bin("codec", "aac", round(0.1 * n))
        counts["codec"][usual] = n - round(0.1 * n)
        return counts

    assert alarms(with_share(400)) == set()
    assert alarms(with_share(4000)) == {"new_codec"}


def test_a_distance_and_what_chance_makes_of_it() -> None:
    """The mean over many draws of independent calls: `by_chance` is for DESIGN_EFFECT times as many."""
    n = 400
    found = [list(distances(drawn(n, seed), REFERENCE)) for seed in range(200)]
    for number, one in enumerate(found[0]):
        mean = float(np.mean([row[number].value for row in found]))
        # The formula takes counts as normal, which bins with hardly a call are not.
        assert mean == pytest.approx(one.by_chance / DESIGN_EFFECT**0.5, rel=0.2), one.quantity
        assert one.low <= one.value <= one.high


def test_the_farthest_call_is_the_one_in_the_rarest_bins_and_says_by_what() -> None:
    usual = {name: int(np.argmax(shares)) for name, shares in REFERENCE.shares.items()}
    codec = next(one for one in QUANTITIES if one.name == "codec")
    strange = {**usual, "codec": codec.bins.index("speex")}
    assert surprise(usual, REFERENCE)[0] == 0.0
    assert surprise(strange, REFERENCE)[0] > 5.0
    assert surprise(strange, REFERENCE)[1] == "codec"
    assert (is_rare(strange, REFERENCE), is_rare(usual, REFERENCE)) == (["new_codec"], [])


def test_what_no_call_has_is_left_out() -> None:
    counts = deepcopy(in_bin("bandwidth_hz", "2000", 60))
    assert {one.quantity for one in outside(counts, REFERENCE)} == {"bandwidth_hz"}
    assert list(outside(no_counts(), REFERENCE)) == []
