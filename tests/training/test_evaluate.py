"""`make train`, `make crossval` and `make evaluate`, reduced: the figures, their intervals, the card and the
drawings.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.recordings import write_data
from tests.training.small import SMALL
from training.crossval import crossval
from training.evaluate import evaluate, main, table
from training.evaluation.targets import TARGETS
from training.reporting.model_card import model_card
from training.train import train

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def models(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    train(
        [data],
        folder / "cough_cnn.pt",
        0,
        fit_params=SMALL,
        n_variants=2,
        cache=folder / "cache",
        networks_cache=folder / "networks",
    )
    return folder


def test_without_a_cross_validation_only_the_checkpoint_is_judged(
    data: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = evaluate([data], models)
    assert "make crossval" in capsys.readouterr().err
    assert "crossval" not in metrics
    # Decaying noise against tones: a network that learns at all ranks nearly all of them right.
    assert metrics["validation"]["coughseg_event_auc"]["value"] > 0.9
    assert (models / "MODEL_CARD.md").read_text() == model_card(metrics)


@pytest.fixture(scope="module")
def metrics(data: Path, models: Path) -> dict[str, Any]:
    crossval(
        [data],
        models / "crossval",
        0,
        fit_params=SMALL,
        n_variants=2,
        cache=models / "cache",
        networks_cache=models / "networks",
        with_arms=True,
    )
    return evaluate([data], models)


def test_every_figure_has_an_interval_around_its_folds(metrics: dict[str, Any]) -> None:
    figures = metrics["crossval"]["figures"]
    assert figures.keys() == metrics["validation"].keys()
    assert {"coughseg_event_auc", "c19_call_hit_rate", "c19_call_class_auc"} < figures.keys()
    for name, figure in figures.items():
        known = [fold for fold in figure["folds"] if fold is not None]
        if known:
            assert figure["value"] == pytest.approx(sum(known) / len(known), abs=1e-4), name  # rounded to 4 digits
            # Drawing with replacement adds to a calibration error, so its interval may lie above it.
            assert figure["low"] <= figure["high"]
            assert figure["value"] <= figure["high"] + 1e-4
            assert figure["low"] <= figure["value"] + 1e-4 or "calibration" in name
    assert figures["coughseg_event_auc"]["value"] > 0.9


def test_bars_follow_from_the_figures(metrics: dict[str, Any]) -> None:
    rows = {target["name"]: target for target in metrics["crossval"]["targets"]}
    assert rows.keys() == TARGETS.keys() & metrics["validation"].keys()  # of the sources that there are
    assert "fsdd_false_alarms" not in rows
    auc = rows["coughseg_event_auc"]
    assert auc["met"] is (auc["value"] >= auc["target"] == 0.985)
    flips = rows["coughseg_decision_changed_gsm_8k"]
    assert flips["met"] is (flips["value"] <= flips["target"] == 0.02)


def test_probes_twins_and_curves_are_there(metrics: dict[str, Any]) -> None:
    assert set(metrics["probes"]["coughseg_recordings"]) == {"duration", "level", "quietest"}
    # All recordings last 2 s: the probe on duration can only guess.
    assert metrics["probes"]["coughseg_recordings"]["duration"]["value"] == 0.5
    assert set(metrics["crossval"]["quality_curves"]) == {
        "snr_db",
        "clipped_fraction",
        "bandwidth_hz",
        "dropout_fraction",
    }
    counted = sum(row["n_cough"] + row["n_other"] for row in metrics["crossval"]["quality_curves"]["bandwidth_hz"])
    assert counted == 48 * 5  # 48 coughseg recordings of the training split, plain and at four cut-offs
    assert set(metrics["crossval"]["class_across_sources"]) == {"c19_call_to_coughseg", "coughseg_to_c19_call"}
    assert set(metrics["crossval"]["arms_event_auc"]["coughseg"]) == {"brightness", "color", "gray"}
    assert all(len(folds) == 3 for folds in metrics["crossval"]["arms_event_auc"]["coughseg"].values())


def test_files_agree_and_are_drawn(metrics: dict[str, Any], models: Path) -> None:
    written = json.loads((models / "METRICS.json").read_text())
    assert written == metrics
    assert (models / "MODEL_CARD.md").read_text() == model_card(written)
    drawn = {path.name for path in (models / "report").iterdir()}
    assert drawn >= {"roc.png", "precision_recall.png", "reliability.png", "confusion.png", "quality.png"}
    assert "targets not met" in table(metrics)


def test_other_data_are_refused_and_another_recipes_folds_left_out(
    metrics: dict[str, Any], data: Path, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    with (tmp_path / "segments.csv").open("a") as file:
        file.write("0.flac,1.7,1.8\n")
    assert main(["--data", str(tmp_path), "--models", str(models)]) == 2
    assert "trained on other data" in capsys.readouterr().err
    kept = models / "crossval" / "crossval.json"
    whole = kept.read_text()
    try:
        for name, value in (("recipe_sha256", "0" * 64), ("data_sha256", "0" * 64), ("preprocess", {})):
            kept.write_text(json.dumps({**json.loads(whole), name: value}))
            assert "crossval" not in evaluate([data], models)
            assert f"differs in {name}" in capsys.readouterr().err
    finally:
        kept.write_text(whole)


def test_other_parameters_are_refused(
    metrics: dict[str, Any], data: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    described = models / "cough_cnn.json"
    whole = described.read_text()
    try:
        described.write_text(whole.replace('"hop_length": 80', '"hop_length": 96'))
        assert main(["--data", str(data), "--models", str(models)]) == 2
        assert "mel_spec.hop_length is 80" in capsys.readouterr().err
    finally:
        described.write_text(whole)


def test_data_of_ones_own_gets_its_own_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A clinic that recorded both kinds: no target, no word about the reference data, no cross-validation yet."""
    folder = write_data(tmp_path)
    text = (folder / "manifest.csv").read_text()
    (folder / "manifest.csv").write_text(
        text.replace("roneelsharan/CoughSegmentation", "clinic").replace("covid19-cough/dataset (call-center)", "line")
    )
    models = tmp_path / "models"
    train(
        [folder],
        models / "cough_cnn.pt",
        0,
        fit_params=SMALL,
        n_variants=2,
        cache=tmp_path / "cache",
        networks_cache=tmp_path / "networks",
    )
    metrics = evaluate([folder], models)
    assert "there is none" in capsys.readouterr().err
    assert {"clinic_event_auc", "line_hit_rate"} < metrics["validation"].keys()
    card = (models / "MODEL_CARD.md").read_text()
    assert "COUGHVID" not in card
    assert "clinic event auc" in card
    assert (models / "report" / "roc.png").is_file()
    assert "clinic event auc" in table(metrics)
