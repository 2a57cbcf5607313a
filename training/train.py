"""`make train DATA=...`: one seeded run from the labelled audio to `models/cough_cnn.pt`.

1. examples: every recording as it is and augmented;
2. out of fold: three networks, each without a third of the training subjects, score that third;
   calibration and thresholds come from these scores and nothing else;
3. the shipped network, on the whole training split;
4. its figures on the validation split, which nothing above has seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from preprocess.color import color_table
from runtime.config import ROOT, load_config, preprocess_parameters
from runtime.errors import ConfigError
from runtime.version import SOFTWARE_VERSION
from training.checkpoint import save_checkpoint
from training.dataset import CLASS_LABELS, DatasetError, Entry, fold_of, manifest_sha256, read_dataset
from training.examples import Examples, Params, build_examples
from training.fit import FitParams, fit
from training.measure import measure, recording_medians
from training.model_card import write_model_card
from training.network import CoughCNN
from training.predict import predict_logits
from training.thresholds import best_threshold, fit_calibration

N_FOLDS = 3
N_VARIANTS = 6


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make train", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "cough")
    parser.add_argument("--output", type=Path, default=ROOT / "models" / "cough_cnn.pt")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    try:
        train(options.data, options.output, options.seed)
    except (DatasetError, ConfigError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    return 0


def train(
    data: Path, output: Path, seed: int, fit_params: FitParams | None = None, n_variants: int = N_VARIANTS
) -> None:
    """fit_params, n_variants: smaller ones for tests. Raises: DatasetError, ConfigError."""
    fit_params = fit_params or FitParams()
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)
    params = load_config()
    entries = read_dataset(data)
    examples = build_examples(entries, params, n_variants, seed, bar("examples"))
    in_training = np.array([entries[i].split == "train" for i in examples.entry])
    logits, positive = _out_of_fold(examples, entries, in_training, params, seed, fit_params)
    decision = _decide(examples, entries, in_training, logits, positive)
    colors, n_classes = color_table(params[2]), len(CLASS_LABELS)
    network = fit(examples, entries, in_training, colors, n_classes, seed, bar("network"), fit_params)
    network.calibration.copy_(torch.tensor(decision.pop("calibration")))
    metrics = {
        "out_of_fold": decision.pop("metrics"),
        "validation": _validate(network, examples, entries, ~in_training, decision["cough_threshold"]),
    }
    info = save_checkpoint(
        output,
        network,
        {
            "labels": CLASS_LABELS,
            "preprocess": preprocess_parameters(*params),
            **decision,
            "validated": False,
            "data_sha256": manifest_sha256(data),
            "seed": seed,
            "software_version": SOFTWARE_VERSION,
            "metrics": metrics,
        },
    )
    write_model_card(output.with_name("MODEL_CARD.md"), info)
    print(f"{output.name}: {info.sha256}")
    for split, figures in metrics.items():
        for name, value in figures.items():
            print(f"{split:12} {name:32} {value}")


def bar(title: str) -> Any:
    """A progress bar over an iterable of known length."""

    def wrap(items: Iterable[int], total: int) -> Iterable[int]:
        return tqdm(items, total=total, desc=title, mininterval=2.0)

    return wrap


def _out_of_fold(
    examples: Examples,
    entries: list[Entry],
    in_training: NDArray[np.bool_],
    params: Params,
    seed: int,
    fit_params: FitParams,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cough logits and probabilities of the positive class, NaN outside the training split; [shape=(n,)] each."""
    folds = np.array([fold_of(entries[i].subject_id, N_FOLDS) for i in examples.entry])
    logits = np.full(len(folds), np.nan, dtype=np.float32)
    positive = np.full(len(folds), np.nan, dtype=np.float32)
    for fold in range(N_FOLDS):
        network = fit(
            examples,
            entries,
            in_training & (folds != fold),
            color_table(params[2]),
            len(CLASS_LABELS),
            seed + 1 + fold,
            bar(f"fold {fold + 1} of {N_FOLDS}"),
            fit_params,
        )
        held_out = in_training & (folds == fold)
        logits[held_out], classes = predict_logits(network, examples.levels[held_out])
        positive[held_out] = classes[:, -1]
    return logits, positive


def _decide(
    examples: Examples,
    entries: list[Entry],
    in_training: NDArray[np.bool_],
    logits: NDArray[np.float32],
    positive: NDArray[np.float32],
) -> dict[str, Any]:
    """Calibration on the augmented and plain examples alike, with the sources that hold both classes weighing most."""
    known = in_training & (examples.cough >= 0)
    source = np.array([entries[i].source for i in examples.entry])
    weights = np.where(source == "coughseg", 1.0, 0.25)[known] * examples.weight[known].astype(np.float64)
    labels = examples.cough[known].astype(np.float64)
    scale, bias = fit_calibration(logits[known].astype(np.float64), labels, weights)
    cough = (1.0 / (1.0 + np.exp(-(scale * logits + bias)))).astype(np.float32)
    cough_threshold = best_threshold(cough[known].astype(np.float64), labels, weights)
    plain = in_training & (examples.variant == 0)
    medians = recording_medians(examples.entry[plain], positive[plain], cough[plain] >= cough_threshold)
    labelled = {i: entries[i].class_label for i in medians if entries[i].class_label is not None}
    class_threshold = best_threshold(
        np.array([medians[i] for i in labelled]),
        np.array([float(label or 0) for label in labelled.values()]),
        np.ones(len(labelled)),
    )
    rows = np.flatnonzero(plain)
    return {
        "calibration": [scale, bias],
        "cough_threshold": round(cough_threshold, 4),
        "threshold_low": round(class_threshold, 4),
        "threshold_high": round(class_threshold, 4),
        "metrics": measure(examples, entries, rows, cough[rows], positive[rows], round(cough_threshold, 4)),
    }


def _validate(
    network: CoughCNN, examples: Examples, entries: list[Entry], held: NDArray[np.bool_], cough_threshold: float
) -> dict[str, Any]:
    rows = np.flatnonzero(held & (examples.variant == 0))
    with torch.inference_mode():
        parts = [
            network(torch.from_numpy(examples.levels[part])) for part in np.array_split(rows, len(rows) // 256 + 1)
        ]
    cough = np.concatenate([one[:, 0].numpy() for one, _ in parts])
    positive = np.concatenate([classes[:, -1].numpy() for _, classes in parts])
    return measure(examples, entries, rows, cough, positive, cough_threshold)


if __name__ == "__main__":
    sys.exit(main())
