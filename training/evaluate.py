"""`make evaluate`: what the shipped checkpoint and its recipe are worth -> models/METRICS.json, MODEL_CARD.md, report/.

1. the cross-validation's scores (`make crossval`, committed): the mean of five folds over train and validation, by
   subject;
2. the checkpoint on the validation split;
3. leak probes, background twins, quality curves, costs.
Every figure has a 95 % interval, a bootstrap over recordings.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime.config import ROOT, load_config, preprocess_parameters
from runtime.contract import require_same_parameters
from runtime.errors import AudioError, ConfigError, ModelContractError
from runtime.messages.catalogue import say_error
from runtime.messages.languages import Language
from training.data.dataset import DEFAULT_FOLDERS, DatasetError, Entry, manifest_sha256, read_dataset
from training.data.examples import Params
from training.data.line_material import material_of
from training.data.lines import Material
from training.data.sources import mixed_sources
from training.evaluation.candidates import Candidates, build_candidates, lines_of
from training.evaluation.conditions import CHANNELS, GAINS, PLAIN
from training.evaluation.costs import measure_costs
from training.evaluation.intervals import figures_with_intervals
from training.evaluation.leak_probes import leak_probes
from training.evaluation.line_figures import baseline, figures_by_family
from training.evaluation.quality_curves import cut_offs, quality_curves, undamaged
from training.evaluation.scored_recordings import Recordings, by_fold, recordings_of
from training.evaluation.scores import LineScores, read_line_scores, read_scores, score_candidates, score_lines
from training.evaluation.targets import COSTS, TARGETS, cost_targets, ordered, with_targets, words_of
from training.evaluation.twin_metrics import twin_figures
from training.model.calibration import CoughDecision
from training.model.checkpoint import CheckpointError, CheckpointInfo, load_checkpoint
from training.model.network import CoughCNN
from training.progress import bar
from training.reporting.model_card import model_card
from training.reporting.plots import draw_report

MODELS = ROOT / "models"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make evaluate", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, nargs="+", default=DEFAULT_FOLDERS, help="one or more folders")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of the checkpoint and of the results")
    options = parser.parse_args(arguments)
    try:
        metrics = evaluate(options.data, options.models)
    except (DatasetError, ConfigError, CheckpointError, ModelContractError, AudioError) as error:
        print(f"evaluate: {say_error(error, Language.ENGLISH)}", file=sys.stderr)
        return 2
    print(table(metrics))
    return 0


def evaluate(data: Sequence[Path], models: Path) -> dict[str, Any]:
    """Write METRICS.json, MODEL_CARD.md and report/ beside the checkpoint.

    Raises: DatasetError, ConfigError, CheckpointError, ParametersDiffer, AudioError.
    """
    started = time.monotonic()
    params = load_config()
    network, info = load_checkpoint(models / "cough_cnn.pt")
    require_same_parameters(info.preprocess, preprocess_parameters(*params))
    entries = read_dataset(data)
    data_sha256 = manifest_sha256(data)
    if info.data_sha256 != data_sha256:
        raise CheckpointError("the checkpoint was trained on other data: give its DATA=, or train again.")
    plain = build_candidates(entries, [(i, (PLAIN,)) for i in range(len(entries))], params, bar("recordings"))
    validation, lines = _validate(network, info, entries, plain, params, material_of(data))
    metrics: dict[str, Any] = {
        "checkpoint_sha256": info.checkpoint_sha256,
        "data_sha256": data_sha256,
        "recipe_sha256": info.recipe_sha256,
        "seed": info.seed,
        "validated": info.validated,
        "cough_threshold": info.cough_threshold,
        "uncertain_threshold": info.uncertain_threshold,
        "class_thresholds": {"low": info.threshold_low, "high": info.threshold_high},
        "validation": figures_with_intervals([validation], entries),
        "validation_recordings": _counts(validation.entries),
        "validation_lines": _on_lines(lines, entries),
        "baseline_lines": baseline(),
        "probes": leak_probes(entries, plain, params, bar("leak probes")),
        "costs": measure_costs(params),
        **_from_crossval(models / "crossval", entries, info),
    }
    (models / "METRICS.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    (models / "MODEL_CARD.md").write_text(model_card(metrics), encoding="utf-8")
    scores = read_scores(models / "crossval" / "scores.jsonl") if "crossval" in metrics else validation.scores()
    draw_report(models / "report", entries, scores, metrics)
    print(f"evaluate: {time.monotonic() - started:.0f} s", file=sys.stderr)
    return metrics


def table(metrics: Mapping[str, Any]) -> str:
    """Plain text: each target with the mean of the folds, and the shipped checkpoint's validation beside it."""
    crossval = metrics.get("crossval", {})
    folds = crossval.get("figures", {})
    lines = [f"{'':72} {'target':>8}  {'mean of 5 folds':24} {'shipped, validation':24}"]
    for name in ordered(metrics["validation"]):
        wanted = f"{TARGETS[name][1]} {TARGETS[name][2]:g}" if name in TARGETS else ""
        found = f"{_cell(folds.get(name)):24} {_cell(metrics['validation'][name]):24}"
        lines.append(f"{words_of(name):72} {wanted:>8}  {found}")
    lines.append("")
    for source, arms in crossval.get("arms_event_auc", {}).items():
        lines += [f"first layer, {source}: {name}: event AUC {', '.join(map(str, arm))}" for name, arm in arms.items()]
    for name, found in crossval.get("class_across_sources", {}).items():
        lines.append(f"class head, {name.replace('_to_', ' -> ')}: AUC {_cell(found)}")
    for task, probes in metrics["probes"].items():
        lines += [f"leak probe, {task}: {name} only: AUC {found['value']}" for name, found in probes.items()]
    lines += _lines_table(metrics)
    for group, found in crossval.get("new_sources", {}).items():
        lines.append(f"sources left out, {group}: accepted {found['accepted']} of {found['recordings']}")
    lines += [f"background twin, {name}: {value}" for name, value in crossval.get("twins", {}).items()]
    for measure, edge in crossval.get("quality_cut_offs", {}).items():
        lines.append(f"quality cut-off, {measure}: {edge}")
    costs = cost_targets(metrics["costs"])
    lines += [f"cost, {COSTS[cost['name']][0]}: {cost['value']} ms (target: {cost['target']:g})" for cost in costs]
    missed = [target["name"] for target in (*crossval.get("targets", []), *costs) if target["met"] is False]
    lines.append(f"targets not met: {', '.join(missed) or 'none'}")
    return "\n".join(lines)


def _lines_table(metrics: Mapping[str, Any]) -> list[str]:
    """Each family out of fold, the shipped checkpoint's validation, and the old commit's on the same draws."""
    out_of_fold = metrics.get("crossval", {}).get("lines", {})
    baseline_, rows = metrics["baseline_lines"], []
    columns = ("ok", "no_cough", "coughs_kept")
    for kind in ("with_coughs", "without"):
        for family, shipped in metrics["validation_lines"][kind].items():
            folds = out_of_fold.get(kind, {}).get(family)
            names = columns if kind == "with_coughs" else ("ok", "poor_quality", "inconclusive")
            old = (
                [f"{baseline_[family][name]:.3f}" for name in names]
                if kind == "with_coughs" and family in baseline_
                else []
            )
            rows.append(
                f"line, {kind.replace('_', ' ')}, {family} ({shipped['role']}), {' / '.join(names)}: "
                f"folds {' / '.join(_cell(folds[name]) if folds else '-' for name in names)}; "
                f"shipped, validation {' / '.join(_cell(shipped[name]) for name in names)}"
                + (f"; 591a891 {' / '.join(old)}" if old else "")
            )
    return rows


def _cell(figure: Mapping[str, Any] | None) -> str:
    if not figure or figure["value"] is None:
        return "-"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _validate(
    network: CoughCNN,
    info: CheckpointInfo,
    entries: list[Entry],
    plain: list[Candidates],
    params: Params,
    material: Material | None,
) -> tuple[Recordings, list[LineScores]]:
    held = [i for i, entry in enumerate(entries) if entry.split == "val"]
    mixed = mixed_sources(entries)
    changed = build_candidates(
        entries,
        [(i, (*GAINS, *CHANNELS)) for i in held if entries[i].source in mixed],
        params,
        bar("conditions"),
    )
    decision = CoughDecision(1.0, 0.0, info.cough_threshold, info.uncertain_threshold)  # it is calibrated already
    candidates = [plain[i] for i in held] + changed
    scores = score_candidates(network, decision, 0, candidates, entries, params[0].hop_ms / 1000.0)
    lines = lines_of(entries, material is not None)
    wanted = [(i, lines[i]) for i in held]
    on_lines = build_candidates(entries, [item for item in wanted if item[1]], params, bar("lines"), material)
    disturbed = [plain[i] for i, names in wanted if names]
    return recordings_of(entries, scores), score_lines(network, decision, 0, [*disturbed, *on_lines], entries)


def _from_crossval(folder: Path, entries: Sequence[Entry], info: CheckpointInfo) -> dict[str, Any]:
    """Nothing where there is none of this data and recipe: it would say something of another network."""
    kept = folder / "crossval.json"
    report = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    wanted = {"data_sha256": info.data_sha256, "preprocess": info.preprocess, "recipe_sha256": info.recipe_sha256}
    different = [name for name, value in wanted.items() if report.get(name) != value]
    if different:
        why = f"the one in {folder.name}/ differs in {different[0]}" if report else "there is none"
        print(
            f"evaluate: no cross-validation of this checkpoint's recipe ({why}); `make crossval` makes one.",
            file=sys.stderr,
        )
        return {}
    scores = read_scores(folder / "scores.jsonl")
    lines = read_line_scores(folder / "lines.jsonl")
    folds = by_fold(entries, scores)
    figures = figures_with_intervals(folds, entries)
    curves, reference = quality_curves(entries, scores), undamaged(entries, scores)
    return {
        "crossval": {
            "figures": figures,
            "targets": with_targets(figures),
            "recordings": _counts(entries),
            "lines": _on_lines(lines, entries),
            "new_sources": report["new_sources"],
            "max_false_recordings": report["max_false_recordings"],
            "thresholds": [fold["threshold"] for fold in report["folds"]],
            "arms_event_auc": report["arms_event_auc"],
            "class_across_sources": report["class_across_sources"],
            "twins": twin_figures(folds, entries),
            "quality_curves": curves,
            "quality_undamaged": reference,
            "quality_cut_offs": cut_offs(curves, reference),
        }
    }


def _on_lines(scores: Sequence[LineScores], entries: Sequence[Entry]) -> dict[str, Any]:
    """Figures by family, of the recordings with coughs and of those without."""
    coughs = {entry.path for entry in entries if entry.is_cough}
    return {
        "with_coughs": figures_by_family([score for score in scores if score.path in coughs]),
        "without": figures_by_family([score for score in scores if score.path not in coughs]),
    }


def _counts(entries: Sequence[Entry]) -> dict[str, int]:
    sources, counts = np.unique([entry.source for entry in entries], return_counts=True)
    return {str(source): int(count) for source, count in zip(sources, counts, strict=True)}


if __name__ == "__main__":
    sys.exit(main())
