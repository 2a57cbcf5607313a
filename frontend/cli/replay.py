"""`python -m frontend rollout --replay`: score stored calls with the candidate before it gets any traffic, and report.

Results go into the records' history, where no caller sees them; after an interruption the same command goes on.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
from pathlib import Path
from typing import Any

from frontend.cli.rescoring import Rescored, Rescoring, since_moment
from frontend.cli.rollout import CANDIDATE_AWAY, CANDIDATE_MISSING, StepRefused
from frontend.configuration.settings import Settings, SettingsError
from frontend.domain.records import CallRecord
from frontend.domain.rollout import Release
from frontend.rollout.candidate import release_of
from frontend.rollout.compare import compare
from frontend.rollout.report import Pair, report, suggested_bounds
from frontend.services import Services, open_foundation
from runtime.contract import ModelContract

REPLAY = "replay"
NAMED = 20  # calls of each kind, in words


def replay(settings: Settings, options: argparse.Namespace) -> int:
    """Run the command and return its exit code: 1 where some calls could not be scored.

    Raises: SettingsError, ConfigError, StoreUnavailable, NotReady.
    """
    try:
        found, scored = asyncio.run(_replay(settings, since_moment(options.since), options.limit))
    except StepRefused as error:
        print(error)
        return 1
    if options.json:
        Path(options.json).write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    if options.picture:
        from frontend.rollout.picture import draw_report  # noqa: PLC0415 - imports matplotlib

        Path(options.picture).write_bytes(draw_report(found))
    print("\n".join(_lines(found, scored)))
    return 0 if scored.whole else 1


async def _replay(settings: Settings, since: str, limit: int | None) -> tuple[dict[str, Any], Rescored]:
    worker_count = settings.tuning.worker_count
    services = Services(open_foundation(settings), worker_count=worker_count)
    try:
        candidate = services.candidate
        if candidate is None:
            raise SettingsError(CANDIDATE_MISSING)
        await services.start()
        if not candidate.available:
            raise StepRefused(CANDIDATE_AWAY)
        theirs, ours = candidate.scorer.model.contract(), services.model.contract()
        release = release_of(theirs)
        work = Rescoring(
            REPLAY,
            services.stores,
            services.limits,
            lambda audio, deadline: candidate.diagnose(audio, release, deadline),
            lambda record: _said(record, release) is not None,
            {"role": REPLAY, "candidate": dataclasses.asdict(release)},
        )
        # Its Triton may serve another release in the middle of a long replay.
        watching = asyncio.create_task(candidate.scorer.model.watch())
        try:
            scored = await work.run(since, limit, at_once=2 * worker_count)
        finally:
            watching.cancel()
        found = await _report(work, since, release, release_of(ours), settings)
    finally:
        await services.close()
    return {"since": since, **_releases(theirs, ours), "failed": len(scored.failed), **found}, scored


async def _report(
    work: Rescoring, since: str, release: Release, serving: Release, settings: Settings
) -> dict[str, Any]:
    """Compare what the candidate said with the serving release's word, or with the answer where there is none."""
    pairs: list[Pair] = []
    other = incomparable = 0
    async for record in work.diagnosed_since(since):
        try:
            found = _pair(record, release, serving)
        except (KeyError, TypeError):  # a diagnosis lacks what every diagnosis has
            incomparable += 1
            continue
        if found is not None:
            pair, by_serving = found
            pairs.append(pair)
            other += not by_serving
    return {
        **report(pairs, settings.tuning.rollout),
        "answered_by_another_release": other,
        "incomparable": incomparable,
    }


def _pair(record: CallRecord, release: Release, serving: Release) -> tuple[Pair, bool] | None:
    """Return what the candidate said and what it is compared with; None where it said nothing. The second value:
    whether the serving release said the other.

    Raises: KeyError, TypeError where a diagnosis is none.
    """
    candidate = _said(record, release)
    if candidate is None or record.diagnosis is None:
        return None
    results = [record.diagnosis, *(entry["diagnosis"] for entry in record.history if entry.get("role") != REPLAY)]
    ours = next((result for result in results if serving.made(result)), None)
    pair = Pair(record.call_id, candidate, ours or record.diagnosis)
    compare(pair.candidate, pair.serving)
    return pair, ours is not None


def _said(record: CallRecord, release: Release) -> dict[str, Any] | None:
    """Return what a candidate said of a call in a replay."""
    known = dataclasses.asdict(release)
    for entry in record.history:
        if entry.get("role") == REPLAY and entry.get("candidate") == known:
            return dict(entry["diagnosis"])
    return None


def _releases(theirs: ModelContract, ours: ModelContract) -> dict[str, Any]:
    """Return both releases, and what differs besides the network."""
    differ = {
        f"{section}.{name}": [ours.preprocess.get(section, {}).get(name), value]
        for section, values in theirs.preprocess.items()
        for name, value in values.items()
        if ours.preprocess.get(section, {}).get(name) != value
    }
    names = ("cough_threshold", "uncertain_threshold", "threshold_low", "threshold_high", "validated")
    differ |= {
        name: [getattr(ours, name), getattr(theirs, name)]
        for name in names
        if getattr(ours, name) != getattr(theirs, name)
    }
    return {
        "serving": dataclasses.asdict(release_of(ours)),
        "candidate": dataclasses.asdict(release_of(theirs)),
        "same_network": ours.model_sha256 == theirs.model_sha256,
        "differ": differ,
    }


def _lines(found: dict[str, Any], scored: Rescored) -> list[str]:
    """Return the report in words."""
    lines = [
        f"Candidate {found['candidate']['version']} beside {found['serving']['version']}: "
        f"{scored.scored} calls scored, {scored.before} had been before, {scored.in_words}"
    ]
    if found["differ"]:
        changes = ", ".join(f"{name} {before} -> {after}" for name, (before, after) in found["differ"].items())
        network = "The network is the same, but not" if found["same_network"] else "Besides the network differ"
        lines.append(f"{network}: {changes}.")
    if count := found["answered_by_another_release"]:
        lines.append(f"{count} calls were answered by neither release: they are compared with their answer.")
    if count := found["incomparable"]:
        lines.append(f"{count} calls have a stored diagnosis that can't be compared: they are left out.")
    moved = f"a score moved by more than {found['shifts']['tolerance']:g}"
    lines += ["", f"{_share(found['flips'])}  flips", f"{_share(found['shifts'])}  {moved}"]
    lines.append(f"{_share(found['slow'])}  slow, against the inference at the time of the answer")
    for kind in ("by_status", "by_label"):
        for change, calls in found["flips"][kind].items():
            more = f" and {calls['count'] - NAMED} more (--json names all)" if calls["count"] > NAMED else ""
            lines.append(f"  {calls['count']:6} {change}: {', '.join(calls['calls'][:NAMED])}{more}")
    lines.append("")
    for name, one in {**found["statuses"], **found["labels"]}.items():
        both = f"{_share(one['serving'])} -> {_share(one['candidate'])}"
        lines.append(f"{name:14} {both}, {_interval(one['difference'])}")
    for name, one in found["scores"].items():
        if one["calls"]:
            middle = f"median {one['serving']['p50']:.3f} -> {one['candidate']['p50']:.3f}"
            lines.append(f"{name}: {middle}, {_interval(one['difference'])}, at most {one['largest_change']:.3f}")
    for title in ("by_codec", "by_channel"):
        lines += [f"{title.replace('_', ' ')} {name}: {_share(one)} flips" for name, one in found[title].items()]
    segments = found["segments"]
    lines.append(
        f"segments: {segments['came']} came, {segments['gone']} went, {segments['other_spectrogram']} have another "
        f"spectrogram, {segments['same']} are the same"
    )
    if found["calls"]:
        bounds = suggested_bounds(found)
        step = f"--canary 0.05 --max-flips {bounds['flips']:.2f} --max-shifts {bounds['shifts']:.2f}"
        lines += ["", f"A canary that does no worse keeps these bounds: python -m frontend rollout {step}"]
    return lines


def _share(one: dict[str, Any]) -> str:
    if one["share"] is None:
        return "no calls"
    return f"{one['share']:6.1%} ({one['low']:.1%} to {one['high']:.1%})"


def _interval(one: dict[str, Any]) -> str:
    if one["low"] is None:
        return "no interval"
    return f"{one['mean']:+.3f} ({one['low']:+.3f} to {one['high']:+.3f})"
