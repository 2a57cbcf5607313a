"""`example.py`, in process, on the committed release."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from runtime import ParametersDiffer, WorkUnit, execute, load_config
from runtime.config import ROOT

SAMPLE = ROOT / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg"


def work_unit(source: str | Path | bytes | io.BytesIO) -> WorkUnit:
    segmentation_params, mel_spec_params, color_spec_params = load_config()
    return WorkUnit(
        source_file=source,
        segmentation_params=segmentation_params,
        mel_spec_params=mel_spec_params,
        color_spec_params=color_spec_params,
    )


def test_example_prints_the_diagnosis() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_URL"}
    done = subprocess.run(
        [sys.executable, "example.py"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    diagnosis = json.loads(done.stdout)
    assert diagnosis["status"] == "ok"
    assert diagnosis["audio"]["codec"] == "opus"
    assert diagnosis["model"]["validated"] is False
    assert "unvalidated_model" in diagnosis["reasons"]


def test_a_path_bytes_and_a_file_are_the_same_recording() -> None:
    data = SAMPLE.read_bytes()
    diagnoses = [execute(work_unit(source)) for source in (str(SAMPLE), SAMPLE, data, io.BytesIO(data))]
    plain = [replace(diagnose, timings_ms={}) for diagnose in diagnoses]
    assert all(item == plain[0] for item in plain)


@pytest.mark.parametrize(
    ("section", "change", "field"),
    [
        (0, {"on_ratio": 1.5}, "segmentation.on_ratio"),
        (1, {"hop_length": 100}, "mel_spec.hop_length"),
        (2, {"min_db": -50.0}, "color_spec.min_db"),
    ],
)
def test_other_parameters_are_refused_by_name(section: int, change: dict[str, float], field: str) -> None:
    params = list(load_config())
    expected = getattr(params[section], field.partition(".")[2])
    params[section] = replace(params[section], **change)  # type: ignore[type-var]
    with pytest.raises(ParametersDiffer, match=field.replace(".", r"\.")) as caught:
        execute(WorkUnit(SAMPLE, *params))  # type: ignore[arg-type]
    (found,) = change.values()
    assert (caught.value.field, caught.value.expected, caught.value.found) == (field, expected, found)


def test_every_recording_in_samples_gets_its_status() -> None:
    for expected in json.loads((ROOT / "samples" / "expected.json").read_text()):
        diagnosis = execute(work_unit(ROOT / expected["path"]))
        assert diagnosis.status in expected["statuses"], expected["path"]
        assert set(expected["reasons"]) <= set(diagnosis.reasons), expected["path"]
        if "channel" in expected:
            assert diagnosis.audio.channel == expected["channel"]
