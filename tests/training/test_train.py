"""The whole of `make train`, reduced: from tables and audio to a checkpoint with its card, the same one each time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.checkpoint import load_checkpoint
from training.fit import FitParams
from training.model_card import model_card
from training.train import main, train

pytestmark = pytest.mark.training

RATE = 8000
SMALL = FitParams(epochs=1, steps_per_epoch=12, batch_size=16)


def recording(rng: np.random.Generator, *, is_cough: bool) -> np.ndarray:
    """Two events of 0.3 s in 2 s: bursts of noise that decay for coughs, steady tones for the rest."""
    samples = 1e-4 * rng.standard_normal(2 * RATE)
    time_s = np.arange(int(0.3 * RATE)) / RATE
    for start_s in (0.4, 1.3):
        event = rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.08)
        if not is_cough:
            event = np.sin(2 * np.pi * rng.uniform(300, 900) * time_s)
        samples[int(start_s * RATE) :][: len(time_s)] += 0.3 * event
    return samples


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 subjects in train and 8 in val, marked coughs and others in turn, half of them with a class."""
    root, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    manifest, segments = ["path,label_task,label,subject_id,source,split"], ["path,start_s,end_s"]
    for number in range(32):
        name, split, is_cough = f"{number}.flac", "train" if number < 24 else "val", number % 2 == 0
        soundfile.write(root / name, recording(rng, is_cough=is_cough), RATE)
        label = "cough" if is_cough else "non_cough"
        manifest.append(f"{name},cough_detection,{label},s{number},roneelsharan/CoughSegmentation,{split}")
        if is_cough:
            manifest.append(f"{name},covid,{('negative', 'positive')[number % 4 // 2]},s{number},x,{split}")
            segments += [f"{name},0.4,0.7", f"{name},1.3,1.6"]
    (root / "manifest.csv").write_text("\n".join(manifest) + "\n")
    (root / "segments.csv").write_text("\n".join(segments) + "\n")
    return root


def test_train_writes_a_checkpoint_with_its_figures_and_repeats_itself(data: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / name / "net.pt" for name in ("first", "second")]
    for output in outputs:
        train(data, output, 3, SMALL, n_variants=2)
    (_, info), (_, again) = map(load_checkpoint, outputs)
    assert info == again
    assert (info.seed, info.validated, info.labels) == (3, False, ("negative", "positive"))
    assert info.threshold_low == info.threshold_high
    assert 0.0 < info.cough_threshold < 1.0
    # Noise bursts against tones: a network that learns at all ranks nearly all of them right.
    assert info.metrics["validation"]["coughseg_event_auc"] > 0.9
    assert info.metrics["out_of_fold"]["coughseg_event_auc"] > 0.9
    assert (outputs[0].parent / "MODEL_CARD.md").read_text() == model_card(info)
    assert json.loads(outputs[0].with_suffix(".json").read_text())["sha256"] == info.sha256


def test_a_folder_without_tables_ends_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--data", str(tmp_path), "--output", str(tmp_path / "net.pt")]) == 2
    assert (
        capsys.readouterr().err
        == f"train: manifest.csv is not in {tmp_path.name}/: give DATA= the folder that holds it.\n"
    )
