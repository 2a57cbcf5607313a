"""`make evaluate`: what the shipped checkpoint and its recipe are worth -> models/METRICS.json, MODEL_CARD.md, report/.

1. the cross-validation's scores (`make crossval`, committed): the mean of five folds over train and validation, by subject;
2. the checkpoint on the validation split;
3. leak probes, background twins, quality curves, costs.
Every figure has a 95 % interval, a bootstrap over recordings.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime.config import ROOT, load_config, preprocess_parameters
from runtime.errors import ConfigError
from training.bars import BARS, OTHERS, with_bars
from training.candidates import Candidates, build_candidates
from training.checkpoint import CheckpointError, CheckpointInfo, load_checkpoint
from training.conditions import CHANNELS, GAINS, PLAIN
from training.costs import measure_costs
from training.dataset import DatasetError, Entry, manifest_sha256, read_dataset
from training.examples import Params
from training.intervals import figures_with_intervals
from training.model_card import model_card
from training.network import CoughCNN
from training.probes import leak_probes
from training.progress import bar
from training.quality_curves import cut_offs, quality_curves, undamaged
from training.recordings import Recordings, by_fold, recordings_of
from training.report import draw_report
from training.scores import RecordingScores, read_scores, score_candidates
from training.twin_figures import twin_figures

MODELS = ROOT / "models"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make evaluate", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "cough")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the checkpoint and of the results")
    options = parser.parse_args(arguments)
    try:
        metrics = evaluate(options.data, options.models)
    except (DatasetError, ConfigError, CheckpointError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print(table(metrics))
    return 0


def evaluate(data: Path, models: Path) -> dict[str, Any]:
    """Write METRICS.json, MODEL_CARD.md and report/ beside the checkpoint. Raises: DatasetError, ConfigError, CheckpointError."""
    params = load_config()
    network, info = load_checkpoint(models / "cough_cnn.pt")
    if info.preprocess != preprocess_parameters(*params):
        raise CheckpointError("config.yml differs from the parameters of the checkpoint: restore it, or train again.")
    entries = read_dataset(data)
    data_sha256 = manifest_sha256(data)
    if info.data_sha256 != data_sha256:
        raise CheckpointError("the checkpoint was trained on other data: give its DATA=, or train again.")
    plain = build_candidates(entries, [(i, (PLAIN,)) for i in range(len(entries))], params, bar("recordings"))
    validation = _validate(network, info, entries, plain, params)
    metrics: dict[str, Any] = {
        "checkpoint_sha256": info.sha256,
        "data_sha256": data_sha256,
        "seed": info.seed,
        "validated": info.validated,
        "cough_threshold": info.cough_threshold,
        "class_thresholds": {"low": info.threshold_low, "high": info.threshold_high},
        "validation": figures_with_intervals([validation]),
        "validation_recordings": _counts(validation.entries),
        "probes": leak_probes(entries, plain, params, bar("leak probes")),
        "costs": measure_costs(params),
        **_from_crossval(models / "crossval", entries, info),
    }
    (models / "METRICS.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    (models / "MODEL_CARD.md").write_text(model_card(metrics), encoding="utf-8")
    scores = _crossval_scores(models / "crossval") or validation.scores()
    draw_report(models / "report", entries, scores, metrics)
    return metrics


def table(metrics: Mapping[str, Any]) -> str:
    """Plain text: each bar with the mean of the folds, and the shipped checkpoint's validation beside it."""
    folds = metrics.get("crossval", {}).get("figures", {})
    lines = [f"{'':72} {'bar':>8}  {'mean of 5 folds':24} {'shipped, validation':24}"]
    for name, words in {**{name: one[0] for name, one in BARS.items()}, **OTHERS}.items():
        op, limit = BARS[name][1:] if name in BARS else ("", None)
        wanted = f"{op} {limit:g}" if limit is not None else ""
        lines.append(f"{words:72} {wanted:>8}  {_cell(folds.get(name)):24} {_cell(metrics['validation'].get(name)):24}")
    lines.append("")
    for task, probes in metrics["probes"].items():
        for name, found in probes.items():
            lines.append(f"leak probe, {task}: {name} only: AUC {found['value']}")
    for name, value in metrics.get("crossval", {}).get("twins", {}).items():
        lines.append(f"background twin, {name}: {value}")
    for name, value in metrics["costs"].items():
        lines.append(f"cost, {name}: {value}")
    missed = [one["name"] for one in metrics.get("crossval", {}).get("bars", []) if one["met"] is False]
    lines.append(f"bars not met: {', '.join(missed) or 'none'}")
    return "\n".join(lines)


def _cell(figure: Mapping[str, Any] | None) -> str:
    if not figure or figure["value"] is None:
        return "-"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _validate(
    network: CoughCNN, info: CheckpointInfo, entries: list[Entry], plain: list[Candidates], params: Params
) -> Recordings:
    held = [i for i, one in enumerate(entries) if one.split == "val"]
    changed = build_candidates(
        entries,
        [(i, (*GAINS, *CHANNELS)) for i in held if entries[i].source == "coughseg"],
        params,
        bar("conditions"),
    )
    candidates = [plain[i] for i in held] + changed
    scores = score_candidates(network, info.cough_threshold, 0, candidates, entries, params[0].hop_ms / 1000.0)
    return recordings_of(entries, scores)


def _from_crossval(folder: Path, entries: Sequence[Entry], info: CheckpointInfo) -> dict[str, Any]:
    """Nothing where there is no cross-validation of this data. Raises: CheckpointError where it is of another recipe."""
    scores = _crossval_scores(folder)
    if not scores:
        print("evaluate: no cross-validation of this data; `make crossval` makes one.", file=sys.stderr)
        return {}
    report = json.loads((folder / "crossval.json").read_text(encoding="utf-8"))
    if report["data_sha256"] != info.data_sha256 or report["preprocess"] != info.preprocess:
        raise CheckpointError("models/crossval is of other data or parameters: run `make crossval`.")
    folds = by_fold(entries, scores)
    figures = figures_with_intervals(folds)
    curves, reference = quality_curves(entries, scores), undamaged(entries, scores)
    return {
        "crossval": {
            "figures": figures,
            "bars": with_bars(figures),
            "recordings": _counts(entries),
            "thresholds": [one["threshold"] for one in report["folds"]],
            "arms_event_auc": report["arms_event_auc"],
            "class_across_sources": report["class_across_sources"],
            "twins": twin_figures(folds),
            "quality_curves": curves,
            "quality_undamaged": reference,
            "quality_cut_offs": cut_offs(curves, reference),
        }
    }


def _crossval_scores(folder: Path) -> list[RecordingScores]:
    path = folder / "scores.jsonl"
    return read_scores(path) if path.is_file() else []


def _counts(entries: Sequence[Entry]) -> dict[str, int]:
    sources, counts = np.unique([one.source for one in entries], return_counts=True)
    return {str(source): int(count) for source, count in zip(sources, counts, strict=True)}


if __name__ == "__main__":
    sys.exit(main())
