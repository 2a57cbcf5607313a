"""`models/MODEL_CARD.md`, written from METRICS.json and nothing else, so that the two can't disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from training.bars import BARS, OTHERS
from training.quality_curves import WORDS

_PROBES = {
    "coughseg_events": "cough or not, candidates of coughseg",
    "coughseg_recordings": "cough or not, recordings of coughseg",
    "c19_call_class": "class, call-centre recordings",
    "c19_telegram_class": "class, Telegram recordings",
}
_TWINS = {
    "coughseg_accepted": "coughseg's recordings with coughs, coughs cut out: share with an accepted cough",
    "coughseg_recording_auc": "the same against recordings that never held one: AUC of the cough head",
    "c19_call_class_auc": "call-centre recordings, every candidate cut out: AUC of the class head",
    "c19_telegram_class_auc": "Telegram recordings, every candidate cut out: AUC of the class head",
}


def model_card(metrics: Mapping[str, Any]) -> str:
    """Markdown."""
    crossval = metrics.get("crossval")
    parts = [_head(metrics), _DATA, _figures(metrics)]
    if crossval:
        parts += [_arms(crossval), _class_head(crossval), _quality(crossval)]
    parts += [_probes(metrics), _costs(metrics), _LIMITS]
    return "\n".join(parts)


def _head(metrics: Mapping[str, Any]) -> str:
    thresholds = metrics["class_thresholds"]
    claim = _VALIDATED if metrics["validated"] else _DEMONSTRATOR
    return f"""\
<!-- Written by training/model_card.py from METRICS.json (`make evaluate`); do not edit. -->
# Model card: cough_cnn

{claim}

| | |
| --- | --- |
| checkpoint | `{metrics["checkpoint_sha256"]}` |
| data (manifest and segments) | `{metrics["data_sha256"]}` |
| seed | {metrics["seed"]} |
| input | uint8 mel spectrogram of one candidate, dB relative to its maximum (config.yml) |
| outputs | `cough_probability`, `class_probabilities` |
| cough threshold | {metrics["cough_threshold"]} (94 % of the hand-marked coughs that the segmenter proposes, out of fold) |
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
        "adds error of its own.",
        "",
        "| what | bar | mean of 5 folds | met | shipped, validation |",
        "| --- | --- | --- | --- | --- |",
    ]
    met = {one["name"]: one["met"] for one in metrics.get("crossval", {}).get("bars", [])}
    for name, (words, op, bar) in BARS.items():
        limit = f"{'at least' if op == '>=' else 'at most'} {bar:g}"
        verdict = {True: "yes", False: "**no**", None: "-"}[met.get(name)]
        lines.append(
            f"| {words} | {limit} | {_cell(folds.get(name))} | {verdict} | {_cell(metrics['validation'].get(name))} |"
        )
    for name, words in OTHERS.items():
        lines.append(f"| {words} | - | {_cell(folds.get(name))} | - | {_cell(metrics['validation'].get(name))} |")
    return "\n".join(lines) + "\n"


def _arms(crossval: Mapping[str, Any]) -> str:
    arms = crossval["arms_event_auc"]
    names = {
        "brightness": "brightness of the colour (shipped)",
        "color": "the three colours",
        "gray": "grey levels, no colour map",
    }
    rows = [
        f"| {names[name]} | {_mean(folds):.3f} | {', '.join(f'{one:.3f}' for one in folds)} |"
        for name, folds in arms.items()
    ]
    return "\n".join(
        [
            "## Colour or grey",
            "",
            "What the first layer reads; candidates on coughseg, AUC, the same folds and seeds.",
            "",
            "| first layer reads | mean | folds |",
            "| --- | --- | --- |",
            *rows,
            "",
        ]
    )


def _class_head(crossval: Mapping[str, Any]) -> str:
    across = crossval["class_across_sources"]
    words = {
        "c19_call_to_c19_telegram": "learnt on call-centre, judged on Telegram recordings",
        "c19_telegram_to_c19_call": "learnt on Telegram, judged on call-centre recordings",
    }
    return "\n".join(
        [
            "## The class head across sources",
            "",
            "A class that is in the cough is heard in any recording of it. This one is not (0.5 is chance):",
            "",
            "| class head | AUC |",
            "| --- | --- |",
            *(f"| {words[name]} | {_cell(found)} |" for name, found in across.items()),
            "",
        ]
    )


def _quality(crossval: Mapping[str, Any]) -> str:
    lines = [
        "## When the answer can't be believed",
        "",
        "coughseg recordings of the training split, damaged on purpose, each scored by a network that has not heard its speaker:",
        "share of recordings with coughs that are accepted, and of those without that are not. As they are: "
        f"{crossval['quality_undamaged']['sensitivity']:.3f} and {crossval['quality_undamaged']['specificity']:.3f}.",
        "A cut-off in config.yml (`quality`) stands where either share first falls 0.15 below that",
        "(docs/decisions/0010-quality-gates.md): "
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
        lines.append(f"| {_PROBES.get(task, task)} | {cells} |")
    twins = metrics.get("crossval", {}).get("twins", {})
    if twins:
        lines += [
            "",
            "Background twins, scored by networks that have not heard the speaker:",
            "",
            "| what | |",
            "| --- | --- |",
        ]
        lines += [f"| {_TWINS[name]} | {_number(value)} |" for name, value in twins.items()]
    return "\n".join(lines) + "\n"


def _costs(metrics: Mapping[str, Any]) -> str:
    costs = metrics["costs"]
    return "\n".join(
        [
            "## Costs",
            "",
            "One CPU core, where `make evaluate` ran last. Segmenting and measuring quality: "
            f"{_number(costs['segment_and_quality_ms_per_s'])} ms a second of audio (bar: 0.3).",
            f"The network in ONNX Runtime: {_number(costs['network_ms_per_cough'])} ms a cough (bar: 3).",
            "",
        ]
    )


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


def _mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)


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
  least 16 of those steps, one recording of the training material moved at one gain (docs/decisions/0004-signal-path.md).
"""
