"""A record repeats on the recording that it came from, and a difference is named where it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from runtime import WorkUnit, execute, load_config
from runtime.__main__ import main
from runtime.config import ROOT
from runtime.errors import RecordUnreadable
from runtime.replay import SCORE_TOLERANCE, compare, is_repeated, read_record

SAMPLES = ROOT / "samples" / "preprocessing"
AUDIO = SAMPLES / "benchmark_1" / "raw.ogg"


@pytest.fixture(scope="module")
def record() -> dict[str, Any]:
    return execute(WorkUnit(AUDIO, *load_config())).to_dict()


def written(folder: Path, document: object) -> Path:
    path = folder / "record.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("wrap", [lambda found: found, lambda found: {"call_id": "x", "diagnosis": found}])
def test_a_record_is_repeated(
    record: dict[str, Any], wrap: Callable[[Any], Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(written(tmp_path, wrap(record))), str(AUDIO)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "The diagnosis is repeated."
    assert all(line.startswith("same ") for line in lines[:-1])
    for field in ("segments", "spectrogram_sha256", "segments[0].cough_probability", "status", "model"):
        assert any(line.split() == ["same", field] for line in lines)


def test_every_sample_repeats_itself() -> None:
    files = sorted(SAMPLES.glob("*/raw.*"))
    assert len(files) >= 8
    for file in files:
        first, again = (execute(WorkUnit(file, *load_config())) for _ in range(2))
        assert is_repeated(compare(read_record(first.to_json()), again))


def change(record: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    changed = json.loads(json.dumps(record))
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("status",), "no_cough", "status"),
        (("reasons",), [], "reasons"),
        (("result",), None, "result"),
        (("segments", 0, "start_s"), 0.123, "segments"),
        (("spectrogram_sha256",), "0" * 64, "spectrogram_sha256"),
        (("audio", "sha256"), "0" * 64, "audio.sha256"),
        (("audio", "snr_db"), None, "audio.snr_db"),
    ],
)
def test_what_differs_is_named(
    record: dict[str, Any],
    path: tuple[Any, ...],
    value: object,
    field: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["replay", str(written(tmp_path, change(record, path, value))), str(AUDIO)]) == 1
    differing = [line for line in capsys.readouterr().out.splitlines() if line.startswith("differs")]
    assert len(differing) == 1
    assert differing[0].startswith(f"differs  {field}: recorded ")


@pytest.mark.parametrize(("share", "same"), [(0.9, True), (1.5, False)])
def test_scores_may_differ_by_the_tolerance(record: dict[str, Any], share: float, same: bool) -> None:
    """Convolutions differ by about 1e-6 between runtimes; 1e-4 is the contract."""
    score = record["segments"][0]["cough_probability"]
    changed = change(record, ("segments", 0, "cough_probability"), score - share * SCORE_TOLERANCE)
    comparisons = compare(changed, execute(WorkUnit(AUDIO, *load_config())))
    assert is_repeated(comparisons) is same
    assert [one.field for one in comparisons if not one.same] == ([] if same else ["segments[0].cough_probability"])


def test_a_score_that_was_written_without_its_point_has_the_tolerance_too(record: dict[str, Any]) -> None:
    changed = change(record, ("segments", 0, "cough_probability"), 1)
    found = execute(WorkUnit(AUDIO, *load_config()))
    near = replace(found.segments[0], cough_probability=1.0 - 0.5 * SCORE_TOLERANCE)
    assert is_repeated(compare(changed, replace(found, segments=(near, *found.segments[1:]))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("segments",), None),
        (("segments",), [1, 2]),
        (("segments", 0), {"end_s": 1.0}),
        (("audio",), None),
        (("audio",), []),
        (("model",), None),
        (("result",), {"label": "positive"}),
        (("reasons",), ["bad weather"]),
        (("status",), "fine"),
    ],
)
def test_fields_of_another_shape_are_refused(
    record: dict[str, Any], path: tuple[Any, ...], value: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(written(tmp_path, change(record, path, value))), str(AUDIO)]) == 2
    assert "not those of a diagnosis" in capsys.readouterr().err


def test_another_model_is_told_but_decides_nothing(
    record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same scores from another release are the same answer; that it was another must be seen."""
    assert main(["replay", str(written(tmp_path, change(record, ("model", "version"), "99"))), str(AUDIO)]) == 0
    assert "other    model: recorded {'name': 'cough_cnn', 'version': '99'" in capsys.readouterr().out


def test_another_recording_differs_in_its_segments(
    record: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = SAMPLES / "call" / "raw.wav"
    assert main(["replay", str(written(tmp_path, record)), str(other)]) == 1
    assert "differs  audio.sha256" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "lacks"),
        ('{"status": "ok"}', "lacks 'reasons'"),
        ('{"call_id": "x", "diagnosis": null}', "holds no diagnosis"),
    ],
)
def test_what_is_no_record_is_refused(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RecordUnreadable, match=words):
        read_record(text)
    (tmp_path / "record.json").write_text(text)
    assert main(["replay", str(tmp_path / "record.json"), str(AUDIO)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("replay: ")
    assert error.count("\n") == 1


def test_missing_files_and_swapped_arguments_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", str(tmp_path / "none.json"), str(AUDIO)]) == 2
    assert "none.json can't be read" in capsys.readouterr().err
    assert main(["replay", str(AUDIO), str(AUDIO)]) == 2
    assert "give the record first" in capsys.readouterr().err
