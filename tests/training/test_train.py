"""The whole of `make train`, reduced: from tables and audio to a checkpoint, the same one each time."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import ModuleType

import pytest

import training.crossval
import training.evaluate
import training.train
from runtime.config import ROOT
from tests.training.small import SMALL
from training.data.dataset import Entry, manifest_sha256, read_dataset
from training.model.checkpoint import load_checkpoint
from training.train import main, train

pytestmark = pytest.mark.training


def test_two_runs_with_one_seed_give_the_same_checkpoint(data: Path, tmp_path: Path) -> None:
    """Each cuts and distorts its own examples: nothing is shared but the audio and the seed."""
    outputs = [tmp_path / name / "net.pt" for name in ("first", "second")]
    for output in outputs:
        train(
            [data],
            output,
            3,
            fit_params=SMALL,
            n_variants=2,
            cache=output.parent / "cache",
            networks_cache=output.parent / "networks",
        )
    (_, info), (_, again) = map(load_checkpoint, outputs)
    assert info == again
    assert (info.seed, info.validated, info.labels) == (3, False, ("negative", "positive"))
    assert info.data_sha256 == manifest_sha256([data])
    assert info.threshold_low == info.threshold_high
    assert 0.0 < info.cough_threshold < 1.0
    train(
        [data],
        tmp_path / "other.pt",
        4,
        fit_params=SMALL,
        n_variants=2,
        cache=tmp_path / "cache",
        networks_cache=tmp_path / "networks",
    )
    assert load_checkpoint(tmp_path / "other.pt")[1].checkpoint_sha256 != info.checkpoint_sha256


def test_a_validated_class_may_have_two_thresholds(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "net.pt"
    train(
        [data],
        output,
        0,
        thresholds=(0.3, 0.7),
        validated=True,
        fit_params=SMALL,
        n_variants=1,
        cache=tmp_path,
        networks_cache=tmp_path,
    )
    _, info = load_checkpoint(output)
    assert (info.threshold_low, info.threshold_high, info.validated) == (0.3, 0.7, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--thresholds", "0.3", "0.7"], "give --validated, or the same number twice"),
        (["--thresholds", "0.7", "0.3", "--validated"], "the lower first"),
        (["--thresholds", "0", "1", "--validated"], "between 0 and 1"),
    ],
)
def test_thresholds_that_cannot_be_are_refused(
    arguments: list[str], words: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--data", str(data), "--output", str(tmp_path / "net.pt"), *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
    assert not (tmp_path / "net.pt").exists()


def test_a_folder_without_tables_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "net.pt")]) == 2
    assert (
        capsys.readouterr().err
        == f"train: manifest.csv is not in {tmp_path.name}/: give DATA= the folder that holds it.\n"
    )


@pytest.mark.parametrize("of", [training.train, training.crossval, training.evaluate])
def test_several_folders_are_taken_and_the_wrong_one_is_named(
    of: ModuleType, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def read(roots: list[Path]) -> list[Entry]:
        asked.append(roots)
        return read_dataset(roots)

    monkeypatch.setattr(of, "read_dataset", read)
    assert of.main(["--data", str(data), str(tmp_path)]) == 2
    assert asked == [[data, tmp_path]]
    verb = of.__name__.split(".")[-1]
    wanted = f"{verb}: {tmp_path}: manifest.csv is not in {tmp_path.name}/: give DATA= the folder that holds it.\n"
    assert capsys.readouterr().err == wanted


@pytest.mark.parametrize("verb", ["train", "crossval", "evaluate"])
def test_make_gives_every_folder(verb: str) -> None:
    def command(*arguments: str) -> str:
        done = subprocess.run(
            ["make", "-n", "-o", ".venv-training/.installed", verb, *arguments],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    assert f"training.{verb} --data a b" in command("DATA=a b")
    assert f"training.{verb} --data ../shared/data/cough ../shared/data/hardneg" in command()


def test_too_few_subjects_for_the_folds_are_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (data / "manifest.csv").read_text().splitlines()
    (tmp_path / "manifest.csv").write_text("\n".join(rows[:6]) + "\n")
    for number in range(6):
        (tmp_path / f"{number}.flac").write_bytes((data / f"{number}.flac").read_bytes())
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "net.pt")]) == 2
    assert "add recordings of at least 4 subjects" in capsys.readouterr().err
