"""A replay's report as a picture: what flips, where scores go, and in which calls."""

from __future__ import annotations

import io
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_SERVING, _CANDIDATE = "#4477aa", "#cc6677"
_MOST_BARS = 10


def draw_report(found: dict[str, Any]) -> bytes:
    """Return a PNG of a report of `frontend.rollout.report.report`."""
    figure = Figure(figsize=(11.0, 8.0), layout="constrained")
    FigureCanvasAgg(figure)
    flips, shares, scores, groups = figure.subplots(2, 2).ravel()
    counts = found["flips"]["count"], found["shifts"]["count"]
    figure.suptitle(f"{found['calls']} calls, {counts[0]} flips, {counts[1]} with a score that moved")
    _draw_flips(flips, found["flips"])
    _draw_shares(shares, {**found["statuses"], **found["labels"]})
    _draw_scores(scores, found["scores"])
    _draw_groups(groups, {**found["by_codec"], **{f"channel {name}": one for name, one in found["by_channel"].items()}})
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _draw_flips(axes: Axes, flips: dict[str, Any]) -> None:
    kinds = {**flips["by_status"], **flips["by_label"]}
    names = list(kinds)[:_MOST_BARS]
    axes.barh(names, [kinds[name]["count"] for name in names], color=_CANDIDATE)
    axes.invert_yaxis()
    axes.set(title="flips", xlabel="calls")
    if not names:
        axes.text(0.5, 0.5, "none", ha="center", transform=axes.transAxes)


def _draw_shares(axes: Axes, shares: dict[str, Any]) -> None:
    for place, who, color in ((-0.18, "serving", _SERVING), (0.18, "candidate", _CANDIDATE)):
        found = [one[who] for one in shares.values()]
        middle = [one["share"] or 0.0 for one in found]
        ends = [
            [at - one["low"] for at, one in zip(middle, found, strict=True)],
            [one["high"] - at for at, one in zip(middle, found, strict=True)],
        ]
        at = [index + place for index in range(len(found))]
        axes.errorbar(middle, at, xerr=ends, fmt="o", color=color, capsize=3, label=who)
    axes.set_yticks(range(len(shares)), list(shares))
    axes.invert_yaxis()
    axes.set(title="status and label, 95 % intervals", xlabel="share of the calls", xlim=(-0.02, 1.02))
    axes.legend()


def _draw_scores(axes: Axes, scores: dict[str, Any]) -> None:
    rows = [(name, who) for name in scores if scores[name]["calls"] for who in ("serving", "candidate")]
    for at, (name, who) in enumerate(rows):
        found, color = scores[name][who], _SERVING if who == "serving" else _CANDIDATE
        axes.plot([found["p5"], found["p95"]], [at, at], color=color, linewidth=1.5)
        axes.plot([found["p25"], found["p75"]], [at, at], color=color, linewidth=6.0)
        axes.plot([found["p50"]], [at], "|", color="black", markersize=12.0)
    axes.set_yticks(range(len(rows)), [f"{name.replace('_', ' ')}\n{who}" for name, who in rows])
    axes.invert_yaxis()
    axes.set(title="scores: 5, 25, 50, 75 and 95 %", xlim=(-0.02, 1.02))


def _draw_groups(axes: Axes, groups: dict[str, Any]) -> None:
    names = list(groups)[:_MOST_BARS]
    middle = [groups[name]["share"] for name in names]
    ends = [
        [at - groups[name]["low"] for at, name in zip(middle, names, strict=True)],
        [groups[name]["high"] - at for at, name in zip(middle, names, strict=True)],
    ]
    axes.errorbar(middle, range(len(names)), xerr=ends, fmt="o", color=_CANDIDATE, capsize=3)
    axes.set_yticks(range(len(names)), [f"{name} ({groups[name]['of']})" for name in names])
    axes.invert_yaxis()
    axes.set(title="flips by codec and channel", xlabel="share of the calls", xlim=(-0.02, 1.02))
