"""Calibration and thresholds, from out-of-fold scores of the sources that hold both classes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from training.data.dataset import DatasetError, Entry
from training.data.examples import Examples
from training.data.sources import MIN_OF_EACH
from training.model.calibration import (
    MAX_UNCERTAIN_RECORDINGS,
    CoughDecision,
    best_threshold,
    decide_cough,
    fit_calibration,
    operating_point,
    recording_medians,
)

pytestmark = pytest.mark.training


def test_calibration_recovers_a_known_sigmoid() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 2.0, 20_000)
    labels = (rng.random(20_000) < 1.0 / (1.0 + np.exp(-(0.5 * logits - 1.0)))).astype(np.float64)
    scale, bias = fit_calibration(logits, labels)
    # Standard errors at this size are about 0.01 and 0.02.
    assert scale == pytest.approx(0.5, abs=0.05)
    assert bias == pytest.approx(-1.0, abs=0.1)


def test_best_threshold_separates_what_is_separable() -> None:
    scores, labels = np.array([0.1, 0.2, 0.7, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])
    assert best_threshold(scores, labels, np.repeat("a", 4)) == pytest.approx(0.45)


def test_best_threshold_does_not_reward_hearing_the_source() -> None:
    """Pooled, 0.5 would be right for 18 of 20 (J = 0.8) by telling the sources apart, and at chance within each."""
    source = np.repeat(["mostly negative", "mostly positive"], 10)
    scores = np.array([*[0.1] * 8, 0.12, 0.11, *[0.9] * 8, 0.88, 0.89])
    labels = np.array([*[0.0] * 9, 1.0, *[1.0] * 9, 0.0])
    border = best_threshold(scores, labels, source)
    assert not 0.12 < border < 0.88
    assert best_threshold(scores, np.zeros(20), source) == 0.5  # no source holds both


def test_without_a_candidate_of_a_kind_there_is_no_threshold() -> None:
    entries = [entry("mixed", is_cough=True), entry("mixed", is_cough=False)] * MIN_OF_EACH
    examples = Examples(
        *(np.zeros((4, 1, 1), np.uint8), np.repeat([0, 1], 2), np.zeros(4, np.int64)),
        *(np.zeros(4, np.float32), np.ones(4, np.float32), np.full(4, -1)),
    )
    with pytest.raises(DatasetError, match="no candidate that is cough in mixed"):
        decide_cough(examples, entries, np.ones(len(entries), dtype=bool), np.zeros(4, np.float32))


def entry(source: str, *, is_cough: bool) -> Entry:
    return Entry("x", (Path("x"),), source, "train", "s", is_cough, None, None)


def mixed_and_kinds(n: int) -> tuple[Examples, list[Entry], np.ndarray]:
    """n recordings of each sort with one candidate: a mixed source's coughs (around 2) and others (-2), and clips of
    hard negatives (0), which are louder in the ear of this network; plus sneezes and distorted ones with absurd scores.
    """
    rng = np.random.default_rng(1)
    kind = replace(entry("anywhere", is_cough=False), kind="knock", collection="hard", has_kind=True)
    sneeze = replace(entry("elsewhere", is_cough=False), kind="sneeze")
    entries = [entry("mixed", is_cough=True)] * n + [entry("mixed", is_cough=False)] * n + [kind] * n + [sneeze] * n
    logits = np.concatenate([rng.normal(mean, 1, n) for mean in (2, -2, 0)] + [np.full(n, 40.0)])
    of = np.r_[np.arange(4 * n), n]  # one more of the first without coughs, distorted
    variant = np.r_[np.zeros(4 * n, dtype=np.int64), 1]
    cough = np.r_[np.ones(n), np.zeros(3 * n + 1)].astype(np.float32)
    logits = np.r_[logits, 50.0].astype(np.float32)
    count = len(of)
    examples = Examples(
        np.zeros((count, 1, 1), np.uint8), of, variant, cough, np.ones(count, np.float32), np.full(count, -1)
    )
    return examples, entries, logits


@pytest.mark.parametrize("bound", [0.05, 0.2])
def test_the_threshold_keeps_false_recordings_within_the_bound_in_the_worst_pool(bound: float) -> None:
    n = 400
    examples, entries, logits = mixed_and_kinds(n)
    decision = decide_cough(examples, entries, np.ones(len(entries), dtype=bool), logits, bound)
    probability = 1.0 / (1.0 + np.exp(-(decision.scale * logits[: 4 * n] + decision.bias)))
    mixed, hard = probability[n : 2 * n], probability[2 * n : 3 * n]
    # Rounding to four digits moves at most one of 400 over the border.
    assert np.mean(hard >= decision.threshold) == pytest.approx(bound, abs=1.5 / n)
    assert np.mean(mixed >= decision.threshold) < bound
    assert np.mean(hard >= decision.uncertain) == pytest.approx(bound + MAX_UNCERTAIN_RECORDINGS, abs=1.5 / n)


def test_only_the_chosen_recordings_count() -> None:
    n = 100
    examples, entries, logits = mixed_and_kinds(n)
    chosen = np.ones(len(entries), dtype=bool)
    chosen[2 * n : 3 * n] = False
    without = decide_cough(examples, entries, chosen, logits)
    everything = decide_cough(examples, entries, np.ones(len(entries), dtype=bool), logits)
    assert without.threshold < everything.threshold


def test_recordings_without_a_candidate_are_not_accepted() -> None:
    """Half of the pool has none: of the other half a tenth may be accepted where a twentieth of all may."""
    n = 200
    examples, entries, logits = mixed_and_kinds(n)
    keep = ~((examples.entry >= 2 * n) & (examples.entry < 2 * n + n // 2))
    fewer = Examples(*(getattr(examples, column)[keep] for column in Examples.__dataclass_fields__))
    decision = decide_cough(fewer, entries, np.ones(len(entries), dtype=bool), logits[keep], 0.05)
    probability = 1.0 / (1.0 + np.exp(-(decision.scale * logits + decision.bias)))
    heard = probability[2 * n + n // 2 : 3 * n]
    assert np.mean(heard >= decision.threshold) == pytest.approx(0.1, abs=1.5 / len(heard))


def test_the_operating_point_is_by_recording_and_of_the_sources_that_hold_both() -> None:
    """Hits of the mixed source and its false alarms; neither the hard negatives nor distorted candidates count."""
    n = 200
    examples, entries, logits = mixed_and_kinds(n)
    decision = CoughDecision(1.0, 0.0, 0.5, 0.5)  # from a logit of 0 on
    found = operating_point(examples, entries, logits, decision)
    hits, alarms = found["recording_sensitivity"], found["recording_false_alarms"]
    assert hits["value"] == pytest.approx((logits[:n] >= 0).mean(), abs=5e-5)
    assert alarms["value"] == pytest.approx((logits[n : 2 * n] >= 0).mean(), abs=5e-5)
    assert hits["low"] < hits["value"] < hits["high"] <= 1.0
    assert alarms["source"] == "200 recordings of mixed, train split, out of fold"


def test_recording_medians_take_accepted_ones_only() -> None:
    found = recording_medians(
        np.array([0, 0, 0, 1]), np.array([0.1, 0.9, 0.5, 0.7], np.float32), np.array([True, True, False, False])
    )
    assert found == {0: pytest.approx(0.5)}
