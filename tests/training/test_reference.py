"""`make reference`: what is counted of the training, on small recordings of our own and on the shared ones."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from runtime.config import ROOT
from runtime.line.drift import outside
from runtime.line.quantities import CODECS, QUANTITIES, bins_of, count, no_counts
from runtime.line.reference import read_reference
from training.data.augment import augment
from training.data.dataset import DEFAULT_FOLDERS, read_dataset
from training.reference import Task, _bins_on_one_line, _family, _Noting, diagnosed, main


def noise(seconds: float = 1.0, rate_hz: int = 16_000) -> np.ndarray:
    return (np.random.default_rng(3).standard_normal(round(seconds * rate_hz)) / 8).astype(np.float32)


def test_noting_changes_nothing_that_training_draws_and_names_the_codec() -> None:
    codecs: Counter[str] = Counter()
    for seed in range(40):
        noting, plain = _Noting(np.random.PCG64(seed)), np.random.Generator(np.random.PCG64(seed))
        ours, theirs = augment(noise(), 16_000, noting), augment(noise(), 16_000, plain)
        assert (ours.sample_rate_hz, ours.speed) == (theirs.sample_rate_hz, theirs.speed)
        assert np.array_equal(ours.samples, theirs.samples)
        codecs[noting.last] += 1
        assert (noting.last in ("ulaw", "gsm", "amr")) == (ours.sample_rate_hz == 8000)
    assert codecs.keys() == {"none", "opus", "mp3", "ulaw", "gsm", "amr"}


@pytest.mark.parametrize(
    ("codec", "family"),
    [("none", "lossless"), ("opus", "opus"), ("mp3", "mp3"), ("ulaw", "g711"), ("gsm", "gsm"), ("amr", "amr_nb")],
)
def test_a_simulated_codec_is_in_the_bin_of_a_served_recording_in_it(codec: str, family: str) -> None:
    assert _family(codec) == family


def test_the_same_recording_has_the_same_line_each_time(data: Path) -> None:
    entries = read_dataset([data])
    (first, codec), (second, again) = (diagnosed(Task(entries[0], simulated=True)) for _ in range(2))
    assert (first.audio, first.segments, codec) == (second.audio, second.segments, again)
    plain, codec = diagnosed(Task(entries[0], simulated=False))
    assert codec == "lossless"
    assert plain.audio.sha256 != first.audio.sha256


def test_other_data_than_the_release_was_trained_on_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "REFERENCE.json"
    assert main(["--data", str(data), "--out", str(out)]) == 2
    assert "was trained on other data" in capsys.readouterr().err
    assert not out.exists()


def test_each_list_of_counts_is_a_line() -> None:
    document = {"a": [1, 2], "b": {"c": [3], "d": 4, "e": []}}
    text = _bins_on_one_line(json.dumps(document, indent=1))
    assert json.loads(text) == document
    assert ' "a": [1, 2],' in text.splitlines()


@pytest.mark.shared
def test_some_recordings_of_the_validation_split_are_no_drift() -> None:
    if not DEFAULT_FOLDERS[0].is_dir():
        pytest.skip("the labelled data (../shared/data) is missing")
    reference = read_reference(json.loads((ROOT / "models" / "REFERENCE.json").read_text()))
    assert reference is not None
    held = [entry for entry in read_dataset(DEFAULT_FOLDERS[:1]) if entry.split == "val"][::4]
    counts = no_counts()
    for entry in held:
        diagnosis, codec = diagnosed(Task(entry, simulated=False))
        count({**bins_of(diagnosis, 0.6281), "codec": CODECS.index(codec)}, counts)
    assert sum(counts["codec"]) == len(held) >= 60
    assert [one.kind for one in outside(counts, reference) if one.alarms] == []
    assert len(QUANTITIES) == len(counts)
