"""`make crossval`: what the recipe of `make train` is worth on people it has not heard, over train and validation.

Five folds by subject. Networks that lack two folds each (10) give every fold's threshold and calibration out of fold,
from its training folds only; networks that lack one (5) are what is judged. In the first three folds two arms are
compared with it: three colours instead of their brightness, and grey levels. Two more learn the class from one source
alone. Every score is kept in models/crossval/, so that `make evaluate` needs no training.
"""

from __future__ import annotations

import argparse
import json
import sys
from itertools import combinations, permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from preprocess.color import color_table
from runtime.config import ROOT, load_config, preprocess_parameters
from runtime.errors import AudioError, ConfigError
from runtime.messages.catalogue import say_error
from runtime.messages.languages import Language
from training.data.dataset import DatasetError, Entry, folds_by_subject, manifest_sha256, read_dataset
from training.data.example_cache import CACHE, cached_examples, open_examples
from training.data.examples import N_VARIANTS, Examples
from training.data.sources import class_sources, mixed_sources
from training.evaluation.candidates import Candidates, build_candidates
from training.evaluation.conditions import CHANNELS, DAMAGES, GAINS, PLAIN, TWIN
from training.evaluation.intervals import interval
from training.evaluation.metrics import class_auc, event_auc
from training.evaluation.scored_recordings import Recordings, by_fold
from training.evaluation.scores import RecordingScores, score_candidates, write_scores
from training.model.calibration import CoughDecision, decide_cough
from training.model.fit import FitParams
from training.model.fit_many import Job, fit_many
from training.model.network import CoughCNN
from training.model.predict import predict_logits
from training.model.recipe import recipe_sha256
from training.progress import bar
from training.train import seed_number

N_FOLDS = 5
N_ARM_FOLDS = 3
FOLDER = ROOT / "models" / "crossval"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make crossval", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "cough")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=seed_number, default=0)
    options = parser.parse_args(arguments)
    try:
        crossval(options.data, options.output, options.seed)
    except (DatasetError, ConfigError, AudioError) as error:
        print(f"crossval: {say_error(error, Language.ENGLISH)}", file=sys.stderr)
        return 2
    return 0


def crossval(
    data: Path,
    output: Path,
    seed: int,
    *,
    fit_params: FitParams | None = None,
    n_variants: int = N_VARIANTS,
    cache: Path = CACHE,
) -> None:
    """fit_params, n_variants, cache: smaller ones and another folder for tests. Raises: DatasetError, ConfigError."""
    fit_params = fit_params or FitParams()
    params = load_config()
    entries = read_dataset(data)
    data_sha256 = manifest_sha256(data)
    folds = folds_by_subject(entries, N_FOLDS)
    folder = cached_examples(entries, data_sha256, params, n_variants, seed, bar("examples"), cache)
    examples = open_examples(folder)
    candidates = build_candidates(entries, _wanted(entries), params, bar("conditions"))

    colors = color_table(params[2])
    pairs = list(combinations(range(N_FOLDS), 2))
    jobs = [Job(~np.isin(folds, pair), seed + 100 + n, colors) for n, pair in enumerate(pairs)]
    jobs += [Job(folds != fold, seed + 1 + fold, colors) for fold in range(N_FOLDS)]
    jobs += [Job(folds != fold, seed + 1 + fold, colors, in_color=True) for fold in range(N_ARM_FOLDS)]
    jobs += [Job(folds != fold, seed + 1 + fold, gray_table()) for fold in range(N_ARM_FOLDS)]
    everything = np.ones(len(entries), dtype=bool)
    across = list(permutations(class_sources(entries), 2))
    learned_from = sorted({learned for learned, _ in across})
    jobs += [Job(everything, seed + 50, colors, source) for source in learned_from]
    networks = fit_many(jobs, folder, entries, fit_params, bar("networks"))
    inner = dict(zip(pairs, networks[: len(pairs)], strict=True))
    outer, rest = networks[len(pairs) :][:N_FOLDS], networks[len(pairs) + N_FOLDS :]
    of_one_source = dict(zip(learned_from, rest[2 * N_ARM_FOLDS :], strict=True))
    arms = {"brightness": outer[:N_ARM_FOLDS], "color": rest[:N_ARM_FOLDS], "gray": rest[N_ARM_FOLDS:][:N_ARM_FOLDS]}

    scores: list[RecordingScores] = []
    arm_scores: dict[str, list[RecordingScores]] = {name: [] for name in arms}
    decisions = [_decide_fold(examples, entries, folds, fold, inner) for fold in range(N_FOLDS)]
    frame_s = params[0].hop_ms / 1000.0
    for fold, decision in enumerate(decisions):
        held = [candidate for candidate in candidates if folds[candidate.entry] == fold]
        plain = [item for item in held if item.condition == PLAIN]
        for name, of_arm in arms.items() if fold < N_ARM_FOLDS else ():
            arm_scores[name] += score_candidates(of_arm[fold], decision.threshold, fold, plain, entries, frame_s)
        _calibrate(outer[fold], decision)
        scores += score_candidates(outer[fold], decision.threshold, fold, held, entries, frame_s)
    report: dict[str, Any] = {
        "data_sha256": data_sha256,
        "recipe_sha256": recipe_sha256(fit_params, n_variants),
        "preprocess": preprocess_parameters(*params),
        "seed": seed,
        "folds": [
            {"threshold": item.threshold, "scale": round(item.scale, 5), "bias": round(item.bias, 5)}
            for item in decisions
        ],
        "arms_event_auc": {
            source: {
                name: [_rounded(event_auc(source)(item)) for item in by_fold(entries, scored)]
                for name, scored in arm_scores.items()
            }
            for source in mixed_sources(entries)
        },
        "class_across_sources": {
            f"{learned}_to_{other}": _class_auc_across(
                of_one_source[learned], decisions, candidates, entries, other, frame_s
            )
            for learned, other in across
        },
    }
    output.mkdir(parents=True, exist_ok=True)
    write_scores(output / "scores.jsonl", scores)
    (output / "crossval.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{output.name}/: {len(scores)} recordings scored out of fold; `make evaluate` prints the figures.")


def gray_table() -> NDArray[np.uint8]:
    """Levels as they are in all three channels: the arm without a colour map."""
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def _wanted(entries: list[Entry]) -> list[tuple[int, tuple[str, ...]]]:
    """All conditions where a detector can be judged, the plain recording elsewhere, and the twin of each that holds
    coughs.
    """
    mixed = mixed_sources(entries)
    wanted = []
    for i, entry in enumerate(entries):
        conditions = (PLAIN, *GAINS, *CHANNELS, *DAMAGES) if entry.source in mixed else (PLAIN,)
        wanted.append((i, (*conditions, TWIN) if entry.is_cough else conditions))
    return wanted


def _decide_fold(
    examples: Examples,
    entries: list[Entry],
    folds: NDArray[np.int64],
    fold: int,
    inner: dict[tuple[int, int], CoughCNN],
) -> CoughDecision:
    """From networks that have heard neither the judged fold nor the one that they score."""
    logits = np.full(len(examples.cough), np.nan, dtype=np.float32)
    for other in (item for item in range(N_FOLDS) if item != fold):
        rows = np.flatnonzero((folds[examples.entry] == other) & (examples.variant == 0))
        first, second = sorted((fold, other))
        logits[rows], _ = predict_logits(inner[first, second], examples.levels[rows])
    return decide_cough(examples, entries, folds != fold, logits)


def _calibrate(network: CoughCNN, decision: CoughDecision) -> None:
    network.calibration[0], network.calibration[1] = decision.scale, decision.bias


def _class_auc_across(
    network: CoughCNN,
    decisions: list[CoughDecision],
    candidates: list[Candidates],
    entries: list[Entry],
    source: str,
    frame_s: float,
) -> dict[str, Any]:
    """Class AUC with its interval on recordings of the source whose classes the network has not seen."""
    _calibrate(network, decisions[0])
    held = [
        candidate
        for candidate in candidates
        if candidate.condition == PLAIN and entries[candidate.entry].source == source
    ]
    scored = score_candidates(network, decisions[0].threshold, 0, held, entries, frame_s)
    return interval(class_auc(source), Recordings(entries, {item.path: {PLAIN: item} for item in scored}))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


if __name__ == "__main__":
    sys.exit(main())
