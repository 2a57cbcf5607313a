"""What `make validate` prints: plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from runtime.contract import ModelContract
from runtime.diagnosis import Status
from training.validation.recordings import SUBGROUP_COLUMNS, Judged
from training.validation.shares import FEWEST, Held, Share, Verdict, accepted_share, hold, kept, share

_WIDTH = 34
_MEASURES = {"recording_sensitivity": "sensitivity", "recording_false_alarms": "false alarms"}
_WHAT_TO_DO = {
    ("recording_sensitivity", Verdict.FAILS): "train with your own coughs, or choose a lower threshold",
    ("recording_false_alarms", Verdict.FAILS): "train with your own negatives, or choose a higher threshold",
    ("recording_sensitivity", Verdict.TOO_FEW): "record more coughs",
    ("recording_false_alarms", Verdict.TOO_FEW): "record more without coughs",
}


def report(contract: ModelContract, judged: Sequence[Judged]) -> str:
    """All tables and the sentence about the bounds, lines of text."""
    return "\n".join([*_head(contract, judged), "", *_statuses(judged), "", *_shares(judged), *_groups(judged), "",
                      sentence(hold(contract.operating_point, judged))])  # fmt: skip


def sentence(held: Sequence[Held]) -> str:
    """Whether the release's bounds hold here, and what to do then."""
    if not held:
        return (
            "The release states no bounds by recording (none before 0.4.0 does), so there is nothing to hold it to: "
            "judge the figures above."
        )
    verdicts = {one.verdict for one in held}
    whole = next(item for item in (Verdict.FAILS, Verdict.TOO_FEW, Verdict.HOLDS) if item in verdicts)
    measures = "; ".join(
        f"{_MEASURES[one.name]}: {one.verdict} ({_figure(one.here)} here, stated {_stated(one.stated)})" for one in held
    )
    todo = [_WHAT_TO_DO[one.name, one.verdict] for one in held if (one.name, one.verdict) in _WHAT_TO_DO]
    advice = ", and ".join(todo) or "validate again when the release, the lines or the devices change"
    return f"The release's bounds by recording: {whole}; {measures}; so {advice} (docs/training.md)."


def _head(contract: ModelContract, judged: Sequence[Judged]) -> Iterator[str]:
    people = len({one.recording.subject_id for one in judged})
    yield (
        f"Release {contract.version} on {len(judged)} recordings of {people} people; cough threshold "
        f"{contract.cough_threshold:g}, uncertain from {contract.uncertain_threshold:g}."
    )
    yield "In brackets: 95 % intervals (Wilson, J. Am. Stat. Assoc. 22, 1927), which take recordings as independent:"
    yield "with many recordings of few people they are too narrow."


def _statuses(judged: Sequence[Judged]) -> Iterator[str]:
    yield _row("status", "with coughs", "without")
    for status in Status:
        columns = [
            share(one.diagnosis.status is status for one in kept(judged, coughs=coughs)) for coughs in (True, False)
        ]
        yield _row(f"  {status.value}", *(f"{one.found:5d} of {one.n}" for one in columns))


def _shares(judged: Sequence[Judged]) -> Iterator[str]:
    yield _row("by recording", "of all", "of those not refused for quality")
    for coughs, name in ((True, "sensitivity"), (False, "false alarms")):
        columns = [accepted_share(judged, coughs=coughs, of_heard=of_heard) for of_heard in (False, True)]
        yield _row(f"  {name}", *map(_figure, columns))
    for coughs, name in ((True, "with coughs"), (False, "without")):
        columns = [
            share(one.diagnosis.status is Status.INCONCLUSIVE for one in kept(judged, coughs=coughs, of_heard=of_heard))
            for of_heard in (False, True)
        ]
        yield _row(f"  inconclusive, {name}", *map(_figure, columns))
    yield "A cough that is accepted counts, whatever the recording's status."


def _groups(judged: Sequence[Judged]) -> Iterator[str]:
    """By each subgroup column that a manifest has, by source and by kind."""
    columns: Mapping[str, Callable[[Judged], str | None]] = {
        **{name: _subgroup(name) for name in SUBGROUP_COLUMNS},
        "source": lambda one: one.recording.source,
        "kind": lambda one: one.recording.kind,
    }
    for name, value_of in columns.items():
        groups: dict[str, list[Judged]] = {}
        for one in judged:
            value = value_of(one)
            if value is not None:
                groups.setdefault(value, []).append(one)
        width = max(_WIDTH, 4 + max(map(len, groups), default=0))
        if groups:
            yield ""
            yield _row(f"by {name}", "sensitivity", "false alarms", width=width)
        for value, group in sorted(groups.items()):
            shares = [accepted_share(group, coughs=coughs) for coughs in (True, False)]
            yield _row(f"  {value or '(empty)'}", *map(_figure, shares), width=width)


def _subgroup(name: str) -> Callable[[Judged], str | None]:
    return lambda one: dict(one.recording.subgroups).get(name)


def _figure(one: Share) -> str:
    if one.n < FEWEST:
        return f"fewer than {FEWEST} ({one.n})" if one.n else "none"
    low, high = one.interval
    return f"{one.value:.2f} [{low:.2f}, {high:.2f}] of {one.n}"


def _stated(one: Mapping[str, object]) -> str:
    return f"{one['value']:.2f} [{one['low']:.2f}, {one['high']:.2f}] on {one['source']}"


def _row(name: str, *cells: str, width: int = _WIDTH) -> str:
    return f"{name:{width}}" + "".join(f"{cell:{_WIDTH}}" for cell in cells).rstrip()
