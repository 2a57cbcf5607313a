"""The counters of lines: what a call adds, by key and release, and that nobody outside creates a series."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from frontend.observability.line_meter import MOST_KEYS, OTHER, LineMeter
from frontend.observability.metrics import Metrics
from runtime.config import MODEL_REPOSITORY
from runtime.contract import ModelContract, read_contract
from runtime.diagnosis import Diagnosis
from runtime.execute import execute
from runtime.line.quantities import QUANTITIES, bins_of
from runtime.work_unit import WorkUnit
from tests.conftest import SAMPLES
from tests.runtime.parts import PARAMS

CONTRACT = read_contract(MODEL_REPOSITORY)
BINS = sum(len(one.bins) for one in QUANTITIES)


@pytest.fixture(scope="module")
def diagnosis() -> Diagnosis:
    return execute(WorkUnit(SAMPLES / "benchmark_1" / "raw.ogg", *PARAMS))


def counts(metrics: Metrics) -> dict[tuple[str, ...], float]:
    (family,) = metrics.line_recordings.collect()
    return {
        tuple(sample.labels[name] for name in ("release", "key", "quantity", "bin")): sample.value
        for sample in family.samples
        if sample.name.endswith("_total")
    }


def test_a_call_counts_once_in_each_quantity_of_its_key(diagnosis: Diagnosis) -> None:
    metrics = Metrics()
    meter = LineMeter(metrics, ["clinic", "hotline"], lambda: [CONTRACT])
    meter.count(diagnosis, "clinic")
    meter.count(diagnosis, "gone")
    meter.count(diagnosis, None)
    found = counts(metrics)
    assert len(found) == 3 * BINS, "every series is there from the first call on, so that an increase begins at 0"
    names = {one.name: one.bins for one in QUANTITIES}
    for name, number in bins_of(diagnosis, CONTRACT.cough_threshold).items():
        assert found[CONTRACT.version, "clinic", name, names[name][number]] == 1
        assert found[CONTRACT.version, OTHER, name, names[name][number]] == 2
    assert sum(found.values()) == 3 * len(QUANTITIES)


def test_names_beyond_the_most_are_one() -> None:
    metrics = Metrics()
    LineMeter(metrics, [f"key-{n}" for n in range(40)], lambda: [CONTRACT]).look()
    keys = {key for _, key, _, _ in counts(metrics)}
    assert keys == {OTHER, *(f"key-{n}" for n in range(MOST_KEYS))}


def test_the_reference_is_beside_it(diagnosis: Diagnosis) -> None:
    metrics = Metrics()
    LineMeter(metrics, (), lambda: [CONTRACT]).look()
    (family,) = metrics.line_reference.collect()
    shares: dict[str, float] = {}
    for sample in family.samples:
        assert sample.labels["release"] == CONTRACT.version
        shares[sample.labels["quantity"]] = shares.get(sample.labels["quantity"], 0.0) + sample.value
    assert shares == pytest.approx(dict.fromkeys((one.name for one in QUANTITIES), 1.0))
    assert {sample.labels["kind"] for sample in family.samples} >= {"usual", "new_codec", "near_threshold"}


def test_releases_are_apart_and_an_old_one_has_no_reference(diagnosis: Diagnosis) -> None:
    metrics, served = Metrics(), [CONTRACT]
    old: ModelContract = replace(CONTRACT, version="8", model_sha256="e" * 64, reference=None)
    meter = LineMeter(metrics, ["clinic"], lambda: served)
    meter.count(diagnosis, "clinic")
    served.append(old)  # a rollback
    meter.count(replace(diagnosis, model=old.model), "clinic")
    by_release = {release: 0.0 for release, *_ in counts(metrics)}
    for (release, *_), value in counts(metrics).items():
        by_release[release] += value
    assert by_release == {CONTRACT.version: len(QUANTITIES), "8": len(QUANTITIES)}
    (family,) = metrics.line_reference.collect()
    assert {sample.labels["release"] for sample in family.samples} == {CONTRACT.version}


def test_a_call_of_a_release_that_nobody_serves_counts_nowhere(diagnosis: Diagnosis) -> None:
    metrics = Metrics()
    meter = LineMeter(metrics, ["clinic"], list)
    meter.count(diagnosis, "clinic")
    assert counts(metrics) == {}


def test_nothing_that_a_call_brings_is_a_label(diagnosis: Diagnosis) -> None:
    metrics = Metrics()
    meter = LineMeter(metrics, ["clinic"], lambda: [CONTRACT])
    meter.count(replace(diagnosis, audio=replace(diagnosis.audio, codec="own\ncodec", channel="own")), "own key")
    assert "own" not in json.dumps([list(labels) for labels in counts(metrics)])
