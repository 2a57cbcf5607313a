"""docs/drift.md quotes docs/drift.json; walks find the call at which something first alarms; lines do what they say."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.drift.lines import WAYS
from bench.drift.page import FIGURES, PAGE, with_tables
from bench.drift.walks import false_alarms, first_alarms, walks
from preprocess.decode import decode
from runtime.config import ROOT, load_config, load_limits
from runtime.execute import execute
from runtime.line.drift import FEWEST
from runtime.line.quantities import QUANTITIES, Bins, bins_of
from runtime.line.reference import Reference, read_reference
from runtime.onnx_classifier import default_classifier
from runtime.work_unit import WorkUnit
from tests.conftest import SAMPLES

REPORT = json.loads(FIGURES.read_text(encoding="utf-8"))


def the_reference() -> Reference:
    found = read_reference(json.loads((ROOT / "models" / "REFERENCE.json").read_text()))
    assert found is not None
    return found


REFERENCE = the_reference()
USUAL: Bins = {name: int(np.argmax(shares)) for name, shares in REFERENCE.shares.items()}
AAC = {**USUAL, "codec": next(one for one in QUANTITIES if one.name == "codec").bins.index("aac")}


def test_the_tables_are_those_of_the_figures() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert with_tables(text, REPORT) == text, "make drift-figures"
    assert with_tables(text.replace("| calls of each caller |", "| |"), REPORT) == text


def test_the_validation_split_is_quiet_and_lines_that_nobody_trained_on_are_not() -> None:
    assert {found["what"]: found["alarms"] for found in REPORT["quiet"]} == {
        found["what"]: [] for found in REPORT["quiet"]
    }
    assert REPORT["lines"].keys() == WAYS.keys()
    for name, kind in (("aac", "new_codec"), ("band_300_2000", "narrower_band"), ("hum", "more_hum")):
        (found,) = [one for one in REPORT["lines"][name] if one["kind"] == kind]
        assert found["orders"] == REPORT["orders"]
        assert found["least"] >= FEWEST
    for name in ("plain", "ulaw", "opus_12"):
        assert REPORT["lines"][name] == []


def test_a_walk_finds_the_first_call_that_alarms() -> None:
    assert first_alarms([USUAL] * 200, REFERENCE) == {}
    assert first_alarms([AAC] * 200, REFERENCE) == {"new_codec": FEWEST}
    later = first_alarms([USUAL] * 100 + [AAC] * 100, REFERENCE)["new_codec"]
    assert 100 < later < 200
    (row,) = walks([AAC] * 60, REFERENCE, 3)
    assert row == {"kind": "new_codec", "orders": 3, "median": FEWEST, "least": FEWEST, "most": FEWEST}


def test_chance_is_counted_over_callers() -> None:
    quiet = [([USUAL], [USUAL])]
    assert false_alarms(quiet, REFERENCE, calls_each=3, n=60, repeats=5) == 0.0
    assert false_alarms([([AAC], [AAC])], REFERENCE, calls_each=3, n=60, repeats=5) == 1.0


@pytest.mark.parametrize("name", WAYS)
def test_each_way_gives_a_recording_that_is_judged(name: str) -> None:
    recording = decode((SAMPLES / "benchmark_1" / "raw.ogg").read_bytes(), load_limits()[1].decode)
    data = WAYS[name].work("benchmark_1", recording.samples[0], recording.sample_rate_hz)
    diagnosis = execute(WorkUnit(data, *load_config()))
    bins = bins_of(diagnosis, default_classifier().contract().cough_threshold)
    kinds = {REFERENCE.kinds[quantity][number] for quantity, number in bins.items()} - {"usual"}
    expected = {"aac": "new_codec", "band_300_2000": "narrower_band", "hum": "more_hum", "clipped_20": "more_clipping"}
    assert name not in expected or expected[name] in kinds
    if name in ("plain", "ulaw", "gsm", "amr_12200", "opus_12"):
        assert "new_codec" not in kinds
