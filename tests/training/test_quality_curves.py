"""Curves count what they say, and config.yml holds the cut-offs that the committed curves give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.config import ROOT, load_limits
from training.data.dataset import Entry
from training.data.sources import MIN_OF_EACH
from training.evaluation.conditions import PLAIN
from training.evaluation.quality_curves import cut_offs, quality_curves, undamaged
from training.evaluation.scores import RecordingScores

pytestmark = pytest.mark.training


def scored(path: str, condition: str, snr_db: float | None, accepted: bool) -> RecordingScores:
    return RecordingScores(
        path,
        condition,
        0,
        0.5,
        0.5,
        2.0,
        "ok",
        (0.9 if accepted else 0.1,),
        (0.5,),
        (),
        (),
        snr_db,
        0.0,
        4000.0,
        0.0,
        False,
    )


def entry(path: str, *, is_cough: bool, split: str = "train") -> Entry:
    return Entry(path, (Path(path),), "coughseg", split, path, is_cough, None, ())


def test_recordings_are_counted_in_their_bins() -> None:
    entries = [entry("a", is_cough=True), entry("b", is_cough=False), entry("v", is_cough=True, split="val")]
    # So that the source has enough of each to judge a detector; nobody has scored them.
    entries += [entry(str(n), is_cough=n % 2 == 0) for n in range(2 * MIN_OF_EACH)]
    scores = [
        scored("a", PLAIN, 22.0, True),
        scored("b", PLAIN, None, False),  # undefined: in no bin
        scored("a", "noise_0", 7.0, False),
        scored("b", "noise_0", 7.0, True),
        scored("a", "clipped_6", 7.0, True),  # another damage
        scored("v", "noise_0", 7.0, True),  # another split
    ]
    rows = {(row["from"], row["to"]): row for row in quality_curves(entries, scores)["snr_db"]}
    low, good = rows[6.0, 9.0], rows[21.0, 25.0]
    assert (low["n_cough"], low["sensitivity"], low["n_other"], low["specificity"]) == (1, 0.0, 1, 0.0)
    assert (good["n_cough"], good["sensitivity"], good["n_other"], good["specificity"]) == (1, 1.0, 0, None)
    assert undamaged(entries, scores)["sensitivity"] == 1.0


def test_a_cut_off_is_the_first_bad_edge_from_the_good_side() -> None:
    def row(low: float | None, high: float | None, share: float | None, n: int = 30) -> dict[str, float | None]:
        counts = {"n_cough": n if share is not None else 0, "n_other": 30}
        return {"from": low, "to": high, "sensitivity": share, "specificity": 1.0, **counts}

    curves = {
        "snr_db": [row(None, 3.0, 0.9), row(3.0, 6.0, 0.5), row(6.0, 9.0, 0.95), row(9.0, None, None)],
        "clipped_fraction": [row(None, 0.1, 1.0), row(0.1, 0.2, 0.84), row(0.2, None, 1.0)],
        "dropout_fraction": [row(None, 0.1, 0.9), row(0.1, None, 0.0, n=29)],  # too few to say anything
    }
    assert cut_offs(curves, {"sensitivity": 1.0, "specificity": 1.0}) == {
        "snr_db": 6.0,
        "clipped_fraction": 0.1,
        "dropout_fraction": None,
    }


def test_the_cut_offs_in_use_are_the_measured_ones() -> None:
    """But for two, and docs/decisions/0021-on-real-lines.md says why: a higher SNR would refuse too many recordings
    without coughs, and no bin of clipped samples is bad any more.
    """
    crossval = json.loads((ROOT / "models" / "METRICS.json").read_text(encoding="utf-8"))["crossval"]
    found = cut_offs(crossval["quality_curves"], crossval["quality_undamaged"])
    limits, _ = load_limits()
    assert found == crossval["quality_cut_offs"]
    assert found == {
        "snr_db": 12.0,
        "clipped_fraction": None,
        "bandwidth_hz": limits.min_bandwidth_hz,
        "dropout_fraction": limits.max_dropout_fraction,
    }
    assert (limits.min_snr_db, limits.max_clipped_fraction) == (9.0, 0.03)
