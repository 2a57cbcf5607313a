"""`make crossval`: what the recipe of `make train` is worth on people it has not heard, over train and validation.

Five folds by subject. Networks that lack two folds each (10) give every fold's threshold and calibration out of fold,
from its training folds only; networks that lack one (5) are what is judged: on the recordings as they are, changed
(`evaluation.conditions`), and on disturbed lines (`data.lines`). Five more lack whole sources of the hard negatives:
what a new place would bring. Two learn the class from one source alone; with `--arms`, in the first three folds, two
arms are compared: three colours instead of their brightness, and grey levels. Every score is kept in models/crossval/,
so that `make evaluate` needs no training.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
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
from training.data.dataset import DEFAULT_FOLDERS, DatasetError, Entry, folds_by_subject, manifest_sha256, read_dataset
from training.data.example_cache import CACHE, cached_examples, open_examples
from training.data.examples import N_VARIANTS, Examples
from training.data.line_material import material_of
from training.data.sources import class_sources, folds_by_source, mixed_sources
from training.evaluation.candidates import LINES, Candidates, build_candidates, lines_of
from training.evaluation.conditions import CHANNELS, DAMAGES, GAINS, PLAIN, TWIN
from training.evaluation.intervals import interval
from training.evaluation.metrics import accepted_by_group, class_auc, event_auc
from training.evaluation.scored_recordings import Recordings, by_fold
from training.evaluation.scores import LineScores, RecordingScores, score_candidates, score_lines, write_scores
from training.model.calibration import MAX_FALSE_RECORDINGS, CoughDecision, decide_cough
from training.model.fit import FitParams
from training.model.fit_many import NETWORKS, Job, fit_many
from training.model.network import CoughCNN
from training.model.predict import predict_logits
from training.model.recipe import recipe_sha256
from training.progress import bar
from training.train import seed_number, share

N_FOLDS = 5
N_ARM_FOLDS = 3
FOLDER = ROOT / "models" / "crossval"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make crossval", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, nargs="+", default=DEFAULT_FOLDERS, help="one or more folders")
    parser.add_argument("--output", type=Path, default=FOLDER)
    parser.add_argument("--seed", type=seed_number, default=0)
    parser.add_argument("--arms", action="store_true", help="also compare what the first layer sees: 6 more networks")
    parser.add_argument(
        "--max-false-recordings",
        type=share,
        default=MAX_FALSE_RECORDINGS,
        help="the threshold's bound: of the training folds' recordings without coughs, accept at most this share",
    )
    options = parser.parse_args(arguments)
    try:
        crossval(options.data, options.output, options.seed, bound=options.max_false_recordings, with_arms=options.arms)
    except (DatasetError, ConfigError, AudioError) as error:
        print(f"crossval: {say_error(error, Language.ENGLISH)}", file=sys.stderr)
        return 2
    return 0


def crossval(
    data: Sequence[Path],
    output: Path,
    seed: int,
    *,
    bound: float = MAX_FALSE_RECORDINGS,
    with_arms: bool = False,
    fit_params: FitParams | None = None,
    n_variants: int = N_VARIANTS,
    cache: Path = CACHE,
    networks_cache: Path = NETWORKS,
) -> None:
    """fit_params, n_variants, cache, networks_cache: smaller ones and other folders for tests.

    Raises: DatasetError, ConfigError.
    """
    fit_params = fit_params or FitParams()
    params = load_config()
    entries = read_dataset(data)
    data_sha256 = manifest_sha256(data)
    folds, by_source = folds_by_subject(entries, N_FOLDS), folds_by_source(entries, N_FOLDS)
    folder = cached_examples(entries, params, n_variants, seed, bar("examples"), cache)
    examples = open_examples(folder)

    colors = color_table(params[2])
    pairs = list(combinations(range(N_FOLDS), 2))
    everything = np.ones(len(entries), dtype=bool)
    across = list(permutations(class_sources(entries), 2))
    learned_from = sorted({learned for learned, _ in across})
    arm_tables = {"color": (colors, True), "gray": (gray_table(), False)} if with_arms else {}
    groups: dict[str, list[Job]] = {
        "outer": [Job(folds != fold, seed + 1 + fold, colors) for fold in range(N_FOLDS)],
        "inner": [Job(~np.isin(folds, pair), seed + 100 + n, colors) for n, pair in enumerate(pairs)],
        "new_source": [Job(by_source != fold, seed + 200 + fold, colors) for fold in range(N_FOLDS)],
        "of_one_source": [Job(everything, seed + 50, colors, source) for source in learned_from],
        **{
            name: [Job(folds != fold, seed + 1 + fold, table, in_color=in_color) for fold in range(N_ARM_FOLDS)]
            for name, (table, in_color) in arm_tables.items()
        },
    }
    jobs = [job for group in groups.values() for job in group]
    fitted = iter(fit_many(jobs, folder, entries, fit_params, bar("networks"), networks_cache))
    networks = {name: [next(fitted) for _ in group] for name, group in groups.items()}
    inner = dict(zip(pairs, networks["inner"], strict=True))
    arms = {"brightness": networks["outer"][:N_ARM_FOLDS], **{name: networks[name] for name in arm_tables}}

    material = material_of(data)
    candidates = build_candidates(entries, _wanted(entries, material is not None), params, bar("conditions"), material)
    scores: list[RecordingScores] = []
    lines: list[LineScores] = []
    new_sources: list[RecordingScores] = []
    arm_scores: dict[str, list[RecordingScores]] = {name: [] for name in arms} if with_arms else {}
    decisions = [_decide_fold(examples, entries, folds, fold, inner, bound) for fold in range(N_FOLDS)]
    frame_s = params[0].hop_ms / 1000.0
    for fold, decision in enumerate(decisions):
        held = [item for item in candidates if folds[item.entry] == fold]
        plain = [item for item in held if item.condition == PLAIN]
        for name in arm_scores if fold < N_ARM_FOLDS else ():
            arm_scores[name] += score_candidates(arms[name][fold], decision, fold, plain, entries, frame_s)
        network = networks["outer"][fold]
        _calibrate(network, decision)
        on_lines = [item for item in held if item.condition in LINES]
        disturbed = {item.entry for item in on_lines}
        scores += score_candidates(
            network, decision, fold, [item for item in held if item.condition not in LINES], entries, frame_s
        )
        lines += score_lines(
            network, decision, fold, [*(item for item in plain if item.entry in disturbed), *on_lines], entries
        )
        elsewhere = networks["new_source"][fold]
        _calibrate(elsewhere, decision)
        new = [item for item in candidates if item.condition == PLAIN and by_source[item.entry] == fold]
        new_sources += score_candidates(
            elsewhere, decision, fold, [item for item in new if entries[item.entry].has_kind], entries, frame_s
        )
    report: dict[str, Any] = {
        "data_sha256": data_sha256,
        "recipe_sha256": recipe_sha256(fit_params, n_variants),
        "preprocess": preprocess_parameters(*params),
        "seed": seed,
        "max_false_recordings": bound,
        "folds": [
            {
                "threshold": item.threshold,
                "uncertain": item.uncertain,
                "scale": round(item.scale, 5),
                "bias": round(item.bias, 5),
            }
            for item in decisions
        ],
        "arms_event_auc": {
            source: {
                name: [_rounded(event_auc(source)(item)) for item in by_fold(entries, scored)]
                for name, scored in arm_scores.items()
            }
            for source in mixed_sources(entries)
            if arm_scores
        },
        "class_across_sources": {
            f"{learned}_to_{other}": _class_auc_across(
                dict(zip(learned_from, networks["of_one_source"], strict=True))[learned],
                decisions, candidates, entries, other, frame_s,
            )
            for learned, other in across
        },
        "new_sources": accepted_by_group(entries, new_sources),
    }  # fmt: skip
    output.mkdir(parents=True, exist_ok=True)
    write_scores(output / "scores.jsonl", scores)
    write_scores(output / "lines.jsonl", lines)
    (output / "crossval.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{output.name}/: {len(scores)} recordings scored out of fold; `make evaluate` prints the figures.")


def gray_table() -> NDArray[np.uint8]:
    """Levels as they are in all three channels: the arm without a colour map."""
    return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)


def _wanted(entries: list[Entry], with_material: bool) -> list[tuple[int, tuple[str, ...]]]:
    """All conditions where a detector can be judged, the plain recording elsewhere, the twin of each that holds coughs,
    and lines.
    """
    mixed = mixed_sources(entries)
    wanted = []
    for i, (entry, lines) in enumerate(zip(entries, lines_of(entries, with_material), strict=True)):
        conditions = (PLAIN, *GAINS, *CHANNELS, *DAMAGES) if entry.source in mixed else (PLAIN,)
        wanted.append((i, (*conditions, *((TWIN,) if entry.is_cough else ()), *lines)))
    return wanted


def _decide_fold(
    examples: Examples,
    entries: list[Entry],
    folds: NDArray[np.int64],
    fold: int,
    inner: dict[tuple[int, int], CoughCNN],
    bound: float,
) -> CoughDecision:
    """From networks that have heard neither the judged fold nor the one that they score."""
    logits = np.full(len(examples.cough), np.nan, dtype=np.float32)
    for other in (item for item in range(N_FOLDS) if item != fold):
        rows = np.flatnonzero((folds[examples.entry] == other) & (examples.variant == 0))
        first, second = sorted((fold, other))
        logits[rows], _ = predict_logits(inner[first, second], examples.levels[rows])
    return decide_cough(examples, entries, folds != fold, logits, bound)


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
    scored = score_candidates(network, decisions[0], 0, held, entries, frame_s)
    return interval(class_auc(source), Recordings(entries, {item.path: {PLAIN: item} for item in scored}))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


if __name__ == "__main__":
    sys.exit(main())
