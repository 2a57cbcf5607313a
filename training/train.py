"""`make train DATA=...`: one seeded run from the labelled audio to `models/cough_cnn.pt`.

1. examples: every recording as it is and distorted;
2. out of fold: four networks, each without a quarter of the training subjects, score that quarter;
   calibration and thresholds come from these scores and nothing else;
3. the network that is kept, on the whole training split.

Nothing of the validation split comes in, not even a fold: `make evaluate` is where it is heard.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit

from preprocess.color import color_table
from runtime.config import ROOT, load_config, preprocess_parameters
from runtime.errors import ConfigError
from runtime.model_facts import LABELS
from runtime.version import SOFTWARE_VERSION
from training.data.dataset import DEFAULT_FOLDERS, DatasetError, Entry, folds_by_subject, manifest_sha256, read_dataset
from training.data.example_cache import CACHE, cached_examples, open_examples
from training.data.examples import N_VARIANTS, Examples
from training.model.calibration import (
    MAX_FALSE_RECORDINGS,
    CoughDecision,
    best_threshold,
    decide_cough,
    operating_point,
    recording_medians,
)
from training.model.checkpoint import save_checkpoint
from training.model.fit import FitParams
from training.model.fit_many import NETWORKS, Job, fit_many
from training.model.predict import predict_logits
from training.model.recipe import recipe_sha256
from training.progress import bar

N_FOLDS = 4


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make train", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, nargs="+", default=DEFAULT_FOLDERS, help="one or more folders")
    parser.add_argument("--output", type=Path, default=ROOT / "models" / "cough_cnn.pt")
    parser.add_argument("--seed", type=seed_number, default=0)
    parser.add_argument(
        "--thresholds",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        help="of the class probability: below LOW negative, from HIGH on positive, between them inconclusive; "
        "by default both are where balanced accuracy is highest out of fold",
    )
    parser.add_argument(
        "--validated",
        action="store_true",
        help="a study of your own has validated the class on this data; without it LOW must equal HIGH",
    )
    parser.add_argument(
        "--max-false-recordings",
        type=share,
        default=MAX_FALSE_RECORDINGS,
        help="the threshold's bound: of the recordings without coughs, out of fold, accept at most this share",
    )
    options = parser.parse_args(arguments)
    thresholds = tuple(options.thresholds) if options.thresholds else None
    problem = _threshold_problem(thresholds, options.validated)
    if problem:
        print(f"train: {problem}", file=sys.stderr)
        return 2
    try:
        train(
            options.data, options.output, options.seed,
            thresholds=thresholds, validated=options.validated, bound=options.max_false_recordings,
        )  # fmt: skip
    except (DatasetError, ConfigError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    return 0


def train(
    data: Sequence[Path],
    output: Path,
    seed: int,
    *,
    thresholds: tuple[float, float] | None = None,
    validated: bool = False,
    bound: float = MAX_FALSE_RECORDINGS,
    fit_params: FitParams | None = None,
    n_variants: int = N_VARIANTS,
    cache: Path = CACHE,
    networks_cache: Path = NETWORKS,
) -> None:
    """thresholds, validated: of the class; bound: see `decide_cough`. fit_params, n_variants, cache, networks_cache:
    smaller ones and other folders for tests.

    Raises: DatasetError, ConfigError.
    """
    fit_params = fit_params or FitParams()
    params = load_config()
    entries = [item for item in read_dataset(data) if item.split == "train"]
    data_sha256 = manifest_sha256(data)
    _check_enough(entries)
    folder = cached_examples(entries, params, n_variants, seed, bar("examples"), cache)
    examples = open_examples(folder)
    folds = folds_by_subject(entries, N_FOLDS)
    colors = color_table(params[2])
    everything = np.ones(len(entries), dtype=bool)
    jobs = [Job(folds != fold, seed + 1 + fold, colors) for fold in range(N_FOLDS)]
    jobs.append(Job(everything, seed, colors))
    *out_of_fold, network = fit_many(jobs, folder, entries, fit_params, bar("networks"), networks_cache)
    logits = np.full(len(examples.cough), np.nan, dtype=np.float32)
    positive = np.full(len(examples.cough), np.nan, dtype=np.float32)
    for fold, scorer in enumerate(out_of_fold):
        rows = np.flatnonzero((folds == fold)[examples.entry] & (examples.variant == 0))
        logits[rows], classes = predict_logits(scorer, examples.levels[rows])
        positive[rows] = classes[:, -1]
    decision = decide_cough(examples, entries, everything, logits, bound)
    network.calibration.copy_(torch.tensor([decision.scale, decision.bias]))
    middle = round(_class_threshold(examples, entries, logits, positive, decision), 4)
    low, high = thresholds or (middle, middle)
    info = save_checkpoint(
        output,
        network,
        {
            "labels": LABELS,
            "preprocess": preprocess_parameters(*params),
            "cough_threshold": decision.threshold,
            "uncertain_threshold": decision.uncertain,
            "operating_point": operating_point(examples, entries, logits, decision),
            "threshold_low": low,
            "threshold_high": high,
            "validated": validated,
            "data_sha256": data_sha256,
            "recipe_sha256": recipe_sha256(fit_params, n_variants),
            "seed": seed,
            "software_version": SOFTWARE_VERSION,
        },
    )
    print(
        f"{output.name}: {info.checkpoint_sha256}, cough threshold {decision.threshold}, class thresholds {low} and "
        f"{high}"
    )


def _class_threshold(
    examples: Examples,
    entries: list[Entry],
    logits: NDArray[np.float32],
    positive: NDArray[np.float32],
    decision: CoughDecision,
) -> float:
    """Best for the median over a recording's accepted coughs, which is what a diagnosis takes; 0.5 without classes.

    Best on average over the sources that hold both classes: pooled, it would reward hearing the source.
    """
    cough = expit(decision.scale * logits + decision.bias)
    medians = recording_medians(examples.entry, positive, cough >= decision.threshold)
    known = [i for i in medians if entries[i].class_label is not None]
    return best_threshold(
        np.array([medians[i] for i in known]),
        np.array([float(entries[i].class_label or 0) for i in known]),
        np.array([entries[i].source for i in known]),
    )


def seed_number(text: str) -> int:
    """0 or above, as the generators want it."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not 0 or a number above it")
    return int(text)


def share(text: str) -> float:
    """Above 0 and below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not a number between 0 and 1")
    return value


def _threshold_problem(thresholds: tuple[float, float] | None, validated: bool) -> str | None:
    if thresholds is None:
        return None
    low, high = thresholds
    if not 0.0 < low <= high < 1.0:
        return f"--thresholds {low} {high}: give two numbers between 0 and 1, the lower first."
    if low != high and not validated:
        return "--thresholds differ, but the class is not validated: give --validated, or the same number twice."
    return None


def _check_enough(entries: list[Entry]) -> None:
    """Raises: DatasetError where a fold would have nothing of a kind."""
    for is_cough, name in ((True, "with"), (False, "without")):
        subjects = {entry.subject_id for entry in entries if entry.is_cough == is_cough}
        if len(subjects) < N_FOLDS:
            raise DatasetError(
                f"the train split has {len(subjects)} subjects {name} coughs, but thresholds are chosen in "
                f"{N_FOLDS} folds: "
                f"add recordings of at least {N_FOLDS} subjects."
            )


if __name__ == "__main__":
    sys.exit(main())
