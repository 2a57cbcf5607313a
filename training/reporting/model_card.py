"""`models/MODEL_CARD.md`, written from METRICS.json and nothing else, so that the two can't disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from training.evaluation.quality_curves import MIN_RECORDINGS, TOLERANCE, WORDS
from training.evaluation.targets import BARS, COSTS, cost_bars, ordered, words_of
from training.model.calibration import SENSITIVITY

# The data that the committed weights were learnt on; what is written about it here is true of no other.
REFERENCE_DATA = "301bad4198d4ea5db607e620db039695f12e668b5a993937076e0df799dd045e"

_SOURCES = {"c19_call": "call-centre", "c19_telegram": "Telegram"}
_ARMS = {
    "brightness": "brightness of the colour (shipped)",
    "color": "the three colours",
    "gray": "grey levels, no colour map",
}


def model_card(metrics: Mapping[str, Any]) -> str:
    """Markdown."""
    crossval = metrics.get("crossval")
    is_reference = metrics["data_sha256"] == REFERENCE_DATA
    parts = [_head(metrics), _DATA if is_reference else _data(metrics), _figures(metrics)]
    if crossval:
        parts += [_arms(crossval), _class_head(crossval), _quality(crossval)]
    parts += [_probes(metrics), _costs(metrics), _LIMITS if is_reference else _OTHER_LIMITS]
    return "\n".join(parts)


def _head(metrics: Mapping[str, Any]) -> str:
    thresholds = metrics["class_thresholds"]
    claim = _VALIDATED if metrics["validated"] else _DEMONSTRATOR
    return f"""\
<!-- Written by training/reporting/model_card.py from METRICS.json (`make evaluate`); do not edit. -->
# Model card: cough_cnn

{claim}

| | |
| --- | --- |
| checkpoint | `{metrics["checkpoint_sha256"]}` |
| data (manifest and segments) | `{metrics["data_sha256"]}` |
| seed | {metrics["seed"]} |
| input | uint8 mel spectrogram of one candidate, dB relative to its maximum (config.yml) |
| outputs | `cough_probability`, `class_probabilities` |
| recipe | `{metrics["recipe_sha256"]}` |
| cough threshold | {metrics["cough_threshold"]} ({SENSITIVITY:.0%} of the marked coughs that the segmenter proposes, out of fold) |
| class thresholds | {thresholds["low"]} and {thresholds["high"]} |
"""


def _figures(metrics: Mapping[str, Any]) -> str:
    folds = metrics.get("crossval", {}).get("figures", {})
    lines = [
        "## Figures",
        "",
        "Never pooled over sources: in most of them source equals class. The bar is for the mean of five folds over train and",
        "validation, by subject; each fold's threshold and calibration come from its training folds only. Beside it the shipped",
        "checkpoint on the validation split, which is small: "
        + ", ".join(f"{count} {source}" for source, count in metrics["validation_recordings"].items())
        + ".",
        "In brackets 95 % intervals (bootstrap over recordings). That of the calibration error lies high: drawing with replacement",
        "adds error of its own. The segmenter's parameters were chosen on the training split's marked recordings, which the folds",
        "judge again: event F1 is not nested (docs/decisions/0009-reference-network.md); the validation split is apart.",
        "",
        "| what | bar | mean of 5 folds | met | shipped, validation |",
        "| --- | --- | --- | --- | --- |",
    ]
    bars = {one["name"]: one for one in metrics.get("crossval", {}).get("bars", [])}
    for name in ordered(metrics["validation"]):
        limit = f"{'at least' if BARS[name][1] == '>=' else 'at most'} {BARS[name][2]:g}" if name in BARS else "-"
        verdict = {True: "yes", False: "**no**", None: "-"}[bars[name]["met"] if name in bars else None]
        cells = f"{limit} | {_cell(folds.get(name))} | {verdict} | {_cell(metrics['validation'][name])}"
        lines.append(f"| {words_of(name)} | {cells} |")
    return "\n".join(lines) + "\n"


def _data(metrics: Mapping[str, Any]) -> str:
    counts = metrics.get("crossval", {}).get("recordings") or metrics["validation_recordings"]
    listed = ", ".join(f"{count} of {source}" for source, count in counts.items())
    lines = ["## Data", "", f"Recordings: {listed}.", ""]
    lines.append("Describe here who they are, under which licence and consent, and how they were labelled.")
    return "\n".join(lines) + "\n"


def _arms(crossval: Mapping[str, Any]) -> str:
    lines = ["## Colour or grey", "", "What the first layer reads; candidates, AUC, the same folds and seeds.", ""]
    lines += ["| source | first layer reads | mean | folds |", "| --- | --- | --- | --- |"]
    for source, arms in crossval["arms_event_auc"].items():
        for name, folds in arms.items():
            listed = ", ".join(map(_number, folds))
            lines.append(f"| {source} | {_ARMS[name]} | {_number(_mean(folds))} | {listed} |")
    return "\n".join(lines) + "\n"


def _class_head(crossval: Mapping[str, Any]) -> str:
    lines = [
        "## The class head across sources",
        "",
        "A class that is in the cough is heard in any recording of it, whoever made it; 0.5 is chance.",
        "",
        "| learnt on | judged on | AUC |",
        "| --- | --- | --- |",
    ]
    for name, found in crossval["class_across_sources"].items():
        learnt, judged = (_SOURCES.get(one, one) for one in name.split("_to_"))
        lines.append(f"| {learnt} | {judged} | {_cell(found)} |")
    return "\n".join(lines) + "\n"


def _quality(crossval: Mapping[str, Any]) -> str:
    whole = crossval["quality_undamaged"]
    lines = [
        "## When the answer can't be believed",
        "",
        "Recordings of the training split, from sources that hold both kinds, damaged on purpose, each scored by a network that",
        "has not heard its speaker: share of those with coughs that are accepted, and of those without that are not. As they are: "
        f"{_number(whole['sensitivity'])} and {_number(whole['specificity'])}.",
        f"A cut-off in config.yml (`quality`) stands where either share, of {MIN_RECORDINGS} recordings or more, first falls",
        f"{TOLERANCE:g} below that (docs/decisions/0010-quality-gates.md): "
        + ", ".join(f"{measure} {edge:g}" for measure, edge in crossval["quality_cut_offs"].items() if edge is not None)
        + ".",
    ]
    for measure, words in WORDS.items():
        lines += ["", f"| {words} | accepted | not accepted |", "| --- | --- | --- |"]
        for row in crossval["quality_curves"][measure]:
            lines.append(
                f"| {_range(row)} | {_share(row, 'sensitivity', 'n_cough')} | {_share(row, 'specificity', 'n_other')} |"
            )
    return "\n".join(lines) + "\n"


def _probes(metrics: Mapping[str, Any]) -> str:
    lines = [
        "## Leak probes",
        "",
        "What gives the label away without listening to a cough: small classifiers on one thing only, five folds by subject, AUC.",
        "",
        "| label | duration only | level only | quietest 20 % of frames only |",
        "| --- | --- | --- | --- |",
    ]
    for task, probes in metrics["probes"].items():
        cells = " | ".join(_number(probes.get(name, {}).get("value")) for name in ("duration", "level", "quietest"))
        lines.append(f"| {_task(task)} | {cells} |")
    twins = metrics.get("crossval", {}).get("twins", {})
    if twins:
        lines += [
            "",
            "Background twins, scored by networks that have not heard the speaker:",
            "",
            "| what | |",
            "| --- | --- |",
        ]
        lines += [f"| {_twin(name)} | {_number(value)} |" for name, value in twins.items()]
    return "\n".join(lines) + "\n"


def _task(name: str) -> str:
    source, _, what = name.rpartition("_")
    words = {
        "events": "cough or not, candidates of",
        "recordings": "cough or not, recordings of",
        "class": "class, recordings of",
    }
    return f"{words[what]} {_SOURCES.get(source, source)}"


def _twin(name: str) -> str:
    for ending, words in {
        "_accepted": "recordings with coughs, coughs cut out: share with an accepted cough",
        "_recording_auc": "the same against recordings that never held one: AUC of the cough head",
        "_class_auc": "recordings of either class, every candidate cut out: AUC of the class head",
    }.items():
        if name.endswith(ending):
            source = name.removesuffix(ending)
            return f"{_SOURCES.get(source, source)}: {words}"
    return name


def _costs(metrics: Mapping[str, Any]) -> str:
    lines = ["## Costs", "", "One CPU core, where `make evaluate` ran last.", ""]
    lines += ["| what | bar | ms | met |", "| --- | --- | --- | --- |"]
    for row in cost_bars(metrics["costs"]):
        verdict = {True: "yes", False: "**no**", None: "-"}[row["met"]]
        lines.append(f"| {COSTS[row['name']][0]} | at most {row['bar']:g} | {_number(row['value'])} | {verdict} |")
    return "\n".join(lines) + "\n"


def _cell(figure: Mapping[str, Any] | None) -> str:
    if not figure or figure["value"] is None:
        return "-"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _range(row: Mapping[str, Any]) -> str:
    low, high = row["from"], row["to"]
    return f"below {high:g}" if low is None else f"from {low:g}" if high is None else f"{low:g} to {high:g}"


def _share(row: Mapping[str, Any], name: str, count: str) -> str:
    return "-" if row[name] is None else f"{row[name]:.3f} of {row[count]}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [one for one in values if one is not None]
    return sum(known) / len(known) if known else None


_DEMONSTRATOR = """\
**A demonstrator (`validated: false`).** Cough or not is measured below. The class head (`negative`, `positive`) has **no medical
meaning**: its labels are confounded with how the call was made. Do not diagnose, triage or decide anything about anybody."""

_VALIDATED = """\
**`validated: true`** was set by whoever trained this checkpoint; the figures below say what was measured here. Name the study that
validated the class beside this card."""

_DATA = """\
## Data

The reference weights: `cough_detection` from CoughSegmentation (COUGHVID recordings, hand-marked; CC BY 4.0), covid19-cough
call-centre and Telegram (CC0, weak labels), ESC-10 (CC0 and CC BY clips), free-spoken-digit-dataset (CC BY-SA 4.0). Subjects never
cross the splits. No audio is part of this repository. Weak labels are taken as weak: of a recording that is only known to hold a
cough, its loudest candidate counts fully, others within 12 dB of it half, the rest not at all.
"""

_LIMITS = """\
## Limits

- The class labels are confounded with how the call was made: in this material the channel that does *not* carry the cough
  separates the classes about as well as the one that does.
- A sneeze is much like a cough to this network, see the figure above.
- Speech in the training data is single English digits by few speakers, and whatever the other sources hold.
- Telephone coughs were induced. Children and distant microphones were not studied.
- Quiet recordings lose detail when they are attenuated and rounded to 16 bits, and their segments move. Where the RMS is still at
  least 16 of those steps, one of 295 coughseg recordings moved at one gain (docs/decisions/0004-signal-path.md).
"""

_OTHER_LIMITS = """\
## Limits

Write here what this data can't show: who is missing in it, which channels and rooms, and whether each source holds both kinds.
"""
