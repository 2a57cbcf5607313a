"""`models/MODEL_CARD.md`, written from METRICS.json and nothing else, so that the two can't disagree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from textwrap import wrap
from typing import Any

from training.evaluation.line_figures import MAX_NO_COUGH, MIN_KEPT, MIN_OK
from training.evaluation.quality_curves import MIN_RECORDINGS, TOLERANCE, WORDS
from training.evaluation.targets import COSTS, TARGETS, cost_targets, ordered, words_of

# The data that the committed weights were learnt on; what is written about it here is true of no other.
REFERENCE_DATA = "3ff745aae030409dee47d0eb6a3d756d7f9aa19a99d5a08335a8a8ea258c8b9e"

_SOURCES = {"c19_call": "call-centre", "c19_telegram": "Telegram"}
_ARMS = {
    "brightness": "brightness of the colour (shipped)",
    "color": "the three colours",
    "gray": "grey levels, no colour map",
}


_DEMONSTRATOR = """\
**A demonstrator (`validated: false`).** Cough or not is measured below. The class head (`negative`, `positive`) has
**no medical meaning**: its labels are confounded with how the call was made. Do not diagnose, triage or decide
anything about anybody with it."""

_VALIDATED = """\
**`validated: true`** was set by the person who trained this checkpoint. The figures below say what was measured here.
Name the study that validated the class beside this card."""

_DATA = """\
## Data

The reference weights were trained for `cough_detection` on these sources:

| source | part | licence |
| --- | --- | --- |
| [CoughSegmentation](https://github.com/roneelsharan/CoughSegmentation) | COUGHVID, hand-marked | CC BY 4.0 |
| [covid19-cough](https://github.com/covid19-cough/dataset) | call-centre and Telegram, weak labels | CC0 1.0 |
| [ESC-10](https://github.com/karolpiczak/ESC-10) | single clips | CC0 or CC BY, clip by clip |
| [free-spoken-digit-dataset](https://github.com/Jakobovski/free-spoken-digit-dataset) | digits | CC BY-SA 4.0 |
| hard negatives: 2,016 clips of 37 sources, 9 of them coughs; 49 are computed | see below | clip by clip |

The hard negatives were collected from Debian's packages (telephone prompts, children's programs, sound themes, games),
clips of ESC-50 under CC0 or CC BY, public repositories and the donateacry corpus. Licences, by clips: GPL-2+ 571,
GPL-2 326, CC BY-SA 3.0 (or later) 311, CC0 265, CC BY 3.0 219, GFDL 1.3 147, ODbL/DbCL 60, Apache-2.0 28, BSD-like 39,
GPL-3 (or LGPL-3) 38, LGPL-2.1 14, CC BY-SA 4.0 6, CC BY 4.0 6. Kinds, in clips (of subjects): speech 1004 (108), other,
mostly acted voices of games, 307 (111), animals 186 (118), noise 134 (78; 15 computed), knocks 115 (56), tones 100 (65;
10 computed), crying 51 (45), breath 36 (25), laughter 33 (26), blowing 25 (3; 24 computed), snoring 8, music 6,
sneezes 2.

Not available under a free licence, so not learnt and not measured: **throat clearing; blowing into a microphone, but
for one recording; children's coughs; microphones far away**. Nobody has listened to all hard negatives; 14 clips that
may hold a cough are labelled `unsure` and left out.

CC BY asks for attribution; CC BY-SA, the GPL and the ODbL ask for more on adaptations. Whether weights are an
adaptation of the recordings is a legal question that this project does not answer. No audio is part of this repository.

Subjects never cross the splits. Weak labels are taken as weak: of a recording that is only known to hold a cough, its
loudest candidate counts fully, others within 12 dB of it count half, the rest do not count.
"""

_LIMITS = """\
## Limits

- The class labels are confounded with how the call was made: in this material the channel that does *not* carry the
  cough separates the classes about as well as the channel that does.
- A sneeze is much like a cough to this network: see the figure above.
- Speech is mostly studio prompts and single words by few voices, and acted voices of games.
- Telephone coughs were induced. Children and distant microphones were not studied.
- Quiet recordings lose detail when they are attenuated and rounded to 16 bits, and their segments move: the figures
  are above, the reason is in docs/decisions/0021-on-real-lines.md.
"""

_OTHER_LIMITS = """\
## Limits

Write here what this data can't show: who is missing in it, which channels and rooms, and whether each source holds
both kinds.
"""


def model_card(metrics: Mapping[str, Any]) -> str:
    """Markdown."""
    crossval = metrics.get("crossval")
    is_reference = metrics["data_sha256"] == REFERENCE_DATA
    parts = [_head(metrics), _DATA if is_reference else _data(metrics), _figures(metrics)]
    parts.append(_lines(metrics))
    if crossval:
        parts.append(_new_sources(crossval))
        if crossval["arms_event_auc"]:
            parts.append(_arms(crossval))
        parts += [_class_head(crossval), _quality(crossval)]
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
| cough threshold | {metrics["cough_threshold"]}, uncertain from {metrics["uncertain_threshold"]} |
| class thresholds | {thresholds["low"]} and {thresholds["high"]} |
"""


def _figures(metrics: Mapping[str, Any]) -> str:
    folds = metrics.get("crossval", {}).get("figures", {})
    lines = [
        "## Figures",
        "",
        "Sources are never pooled: in most of them source equals class. In brackets are 95 % intervals (bootstrap over",
        "recordings). The interval of the calibration error lies high: drawing with replacement adds error of its own.",
        "",
        "**The recipe.** The target is for the mean of five folds over train and validation, by subject. Threshold and",
        "calibration of a fold come from its training folds only. The segmenter's parameters were chosen on the marked",
        "recordings of the training split, which the folds judge again: event F1 is not nested",
        "(docs/decisions/0009-reference-network.md). The validation split was not used for it.",
        "",
        "| metric | target | mean of 5 folds | met |",
        "| --- | --- | --- | --- |",
    ]
    targets = {target["name"]: target for target in metrics.get("crossval", {}).get("targets", [])}
    names = ordered(metrics["validation"])
    for name in names:
        limit = (
            f"{'at least' if TARGETS[name][1] == '>=' else 'at most'} {TARGETS[name][2]:g}" if name in TARGETS else "-"
        )
        verdict = {True: "yes", False: "**no**", None: "-"}[targets[name]["met"] if name in targets else None]
        lines.append(f"| {words_of(name)} | {limit} | {_cell(folds.get(name))} | {verdict} |")
    lines += [
        "",
        "**The shipped checkpoint** on the validation split, which is small:",
        *wrap(", ".join(f"{count} {source}" for source, count in metrics["validation_recordings"].items()) + ".", 120),
        "",
        "| metric | shipped, validation |",
        "| --- | --- |",
    ]
    lines += [f"| {words_of(name)} | {_cell(metrics['validation'][name])} |" for name in names]
    return "\n".join(lines) + "\n"


def _lines(metrics: Mapping[str, Any]) -> str:
    crossval, shipped = metrics.get("crossval", {}).get("lines", {}), metrics["validation_lines"]
    lines = [
        "## On disturbed lines",
        "",
        "Recordings that commit 591a891 calls `ok` as they are, on lines drawn by seed (training/data/lines.py): share",
        f"`ok` (asked for: {MIN_OK:g} or more), share `no_cough` ({MAX_NO_COUGH:g} or less), share of the undisturbed",
        f"recordings' accepted coughs that are accepted at their places ({MIN_KEPT:g} or more). Families marked * only",
        "judge: nobody looked at them while the segmenter was chosen, nor are they in training. 591a891 was judged on",
        "the same draws, as served; its network has heard four fifths of the recordings, ours none, out of fold. The",
        "row `undisturbed` is the ceiling: what our detector says of the same recordings as they are.",
        "",
        "| line | out of fold: ok | no_cough | coughs kept | shipped, validation | 591a891 |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for family, held in shipped["with_coughs"].items():
        folds, old = crossval.get("with_coughs", {}).get(family), metrics["baseline_lines"].get(family)
        columns = [_short_cell(folds[name]) if folds else "-" for name in ("ok", "no_cough", "coughs_kept")]
        names = ("ok", "no_cough", "coughs_kept")
        columns.append("/".join(f"{held[name]['value']:.2f}" for name in names))
        columns.append("/".join(f"{old[name]:.2f}" for name in names) if old else "-")
        star = " *" if held["role"] == "only judges" else ""
        lines.append(f"| {family}{star} | {' | '.join(columns)} |")
    lines += [
        "",
        "Recordings without coughs with a beep or hum:",
        "",
        "| line | out of fold: ok | poor_quality | inconclusive | shipped, validation |",
        "| --- | --- | --- | --- | --- |",
    ]
    for family, held in shipped["without"].items():
        folds = crossval.get("without", {}).get(family)
        names = ("ok", "poor_quality", "inconclusive")
        columns = [_cell(folds[name]) if folds else "-" for name in names]
        columns.append(" / ".join(_number(held[name]["value"]) for name in names))
        lines.append(f"| {family} | {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"


def _new_sources(crossval: Mapping[str, Any]) -> str:
    lines = [
        "## Hard negatives from sources that were left out",
        "",
        "What a new place would bring: five networks, each without a fifth of the sources of the hard negatives, and",
        "judged on those.",
        "",
        "| kind | clips | one accepted |",
        "| --- | --- | --- |",
    ]
    lines += [
        f"| {group.partition('_')[2]} | {found['recordings']} | {_number(found['accepted'])} |"
        for group, found in crossval["new_sources"].items()
    ]
    return "\n".join(lines) + "\n"


def _data(metrics: Mapping[str, Any]) -> str:
    counts = metrics.get("crossval", {}).get("recordings") or metrics["validation_recordings"]
    listed = ", ".join(f"{count} of {source}" for source, count in counts.items())
    lines = ["## Data", "", *wrap(f"Recordings: {listed}.", 120), ""]
    lines.append("Describe here who they are, under which licence and consent, and how they were labelled.")
    return "\n".join(lines) + "\n"


def _arms(crossval: Mapping[str, Any]) -> str:
    lines = [
        "## Colour or grey",
        "",
        "AUC over candidates by what the first layer reads; the same folds and seeds.",
        "",
    ]
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
        "If the class were in the cough, it would be heard in every source. An AUC of 0.5 is chance.",
        "",
        "| learnt on | judged on | AUC |",
        "| --- | --- | --- |",
    ]
    for name, found in crossval["class_across_sources"].items():
        learnt, judged = (_SOURCES.get(part, part) for part in name.split("_to_"))
        lines.append(f"| {learnt} | {judged} | {_cell(found)} |")
    return "\n".join(lines) + "\n"


def _quality(crossval: Mapping[str, Any]) -> str:
    whole = crossval["quality_undamaged"]
    lines = [
        "## When the answer can't be believed",
        "",
        "Recordings of the training split, from sources that hold both kinds, were damaged on purpose. Each was scored",
        "by a network that has not heard its speaker. *Accepted*: share of the recordings with coughs in which one is",
        "accepted. *Not accepted*: share of the recordings without coughs in which none is. Undamaged: "
        f"{_number(whole['sensitivity'])} and {_number(whole['specificity'])}.",
        "",
        f"A cut-off (`quality` in config.yml) is where either share, of {MIN_RECORDINGS} recordings or more, first",
        f"falls {TOLERANCE:g} below that (docs/decisions/0010-quality-gates.md):",
        ""
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
        "Can the label be told without listening to a cough? AUC of small classifiers on one feature, five folds by",
        "subject.",
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
            "| twins | value |",
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
    lines = ["## Costs", "", "One CPU core of the machine on which `make evaluate` ran last.", ""]
    lines += ["| cost | target | ms | met |", "| --- | --- | --- | --- |"]
    for row in cost_targets(metrics["costs"]):
        verdict = {True: "yes", False: "**no**", None: "-"}[row["met"]]
        lines.append(f"| {COSTS[row['name']][0]} | at most {row['target']:g} | {_number(row['value'])} | {verdict} |")
    return "\n".join(lines) + "\n"


def _cell(figure: Mapping[str, Any] | None) -> str:
    if not figure or figure["value"] is None:
        return "-"
    return f"{figure['value']:.3f} [{figure['low']:.3f}, {figure['high']:.3f}]"


def _short_cell(figure: Mapping[str, Any]) -> str:
    return f"{figure['value']:.3f} [{figure['low']:.2f}, {figure['high']:.2f}]"


def _range(row: Mapping[str, Any]) -> str:
    low, high = row["from"], row["to"]
    return f"below {high:g}" if low is None else f"from {low:g}" if high is None else f"{low:g} to {high:g}"


def _share(row: Mapping[str, Any], name: str, count: str) -> str:
    return "-" if row[name] is None else f"{row[name]:.3f} of {row[count]}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
