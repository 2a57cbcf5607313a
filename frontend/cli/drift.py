"""`python -m frontend drift`: how far stored calls are from what the serving release was trained on, and which are
farthest.

The counts are those of the metrics, from the records. Only calls that the serving release has answered count: another
one has other scores. A call is named by its id and nothing else.
"""

from __future__ import annotations

import argparse
import heapq
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

from frontend.cli.diagnosed import diagnosed_calls
from frontend.cli.rescoring import moment_of, since_moment
from frontend.configuration.settings import Settings, SettingsError
from frontend.domain.deadline import Deadline
from frontend.domain.records import CallRecord
from frontend.rollout.candidate import release_of
from frontend.services import Foundation, open_foundation
from runtime.contract import ModelContract
from runtime.diagnosis import diagnosis_from_dict
from runtime.errors import InferenceError
from runtime.line.drift import DESIGN_EFFECT, FEWEST, SURPLUS, Distance, Outside, distances, is_rare, outside, surprise
from runtime.line.quantities import QUANTITIES, Counts, Quantity, bins_of, count, no_counts
from runtime.line.reference import Reference
from runtime.triton_classifier import AsyncTritonClassifier

STORE_S = 10.0  # for a page of records
TRITON_S = 10.0
NO_REFERENCE = (
    "Release {release} says nothing of what it was trained on, so there is nothing to hold the calls to: releases from "
    "13 on do, unless they were made elsewhere (docs/drift.md)."
)


@dataclass(frozen=True, slots=True)
class FarCall:
    """A call that is unlike the training. most: the quantity that is most unlike; kinds: what it adds to"""

    call_id: str
    surprise: float
    most: str
    kinds: list[str]


@dataclass(slots=True)
class Seen:
    """What was found among the records. others: calls that another release has answered."""

    calls: int = 0
    others: int = 0
    unreadable: int = 0
    counts: Counts = field(default_factory=no_counts)
    farthest: list[FarCall] = field(default_factory=list)


async def drift(settings: Settings, options: argparse.Namespace) -> int:
    """Run the command and return its exit code: 0 whether there is drift or not, 1 where a record can't be read.

    Raises: SettingsError, ConfigError; StoreUnavailable, InferenceError, ModelContractError.
    """
    since, until = since_moment(options.since), moment_of("--until", options.until) if options.until else None
    known = {key.name for key in settings.api_keys}
    if options.key is not None and options.key not in known:
        raise SettingsError(f"--key is {options.key!r}: give the name of a key ({', '.join(sorted(known))})")
    foundation = open_foundation(settings)
    try:
        contract = await _contract(foundation)
        if contract.reference is None:
            print(NO_REFERENCE.format(release=contract.version))
            return 0
        seen = Seen()
        calls = _calls(foundation, since, until, options.key, seen)
        await _count(calls, contract, contract.reference, seen, options.farthest)
    finally:
        await foundation.stores.close()
    if options.json:
        print(json.dumps(_document(contract, seen), indent=2))
    else:
        print("\n".join(_table(contract, contract.reference, seen)))
    return 1 if seen.unreadable else 0


async def _contract(foundation: Foundation) -> ModelContract:
    """Ask Triton what it serves; of one that may sleep, take the release in the image."""
    classifier = AsyncTritonClassifier(foundation.settings.triton_url)
    try:
        return await classifier.contract(TRITON_S)
    except InferenceError:
        expected = foundation.expected_contract()
        if expected is None:
            raise
        return expected
    finally:
        await classifier.close()


async def _calls(
    foundation: Foundation, since: str, until: str | None, key: str | None, seen: Seen
) -> AsyncIterator[CallRecord]:
    def unreadable(more: int) -> None:
        seen.unreadable += more

    found = diagnosed_calls(foundation.stores.records, since, lambda: Deadline.after(STORE_S), unreadable)
    async for record in found:
        if (until is None or record.received_at < until) and (key is None or record.key == key):
            yield record


async def _count(
    calls: AsyncIterator[CallRecord], contract: ModelContract, reference: Reference, seen: Seen, farthest: int
) -> None:
    """Count the calls. farthest: so many are kept by name; more records never take more memory."""
    release = release_of(contract)
    kept: list[tuple[float, int, FarCall]] = []  # the second: so that two calls are never compared
    async for record in calls:
        try:
            answer: dict[str, Any] = record.diagnosis or {}
            if not release.made(answer):
                seen.others += 1
                continue
            bins = bins_of(diagnosis_from_dict(answer), contract.cough_threshold)
        except (KeyError, TypeError, ValueError):  # its diagnosis lacks what every diagnosis has
            seen.unreadable += 1
            continue
        seen.calls += 1
        count(bins, seen.counts)
        value, most = surprise(bins, reference)
        heapq.heappush(kept, (value, -seen.calls, FarCall(record.call_id, value, most, is_rare(bins, reference))))
        if len(kept) > farthest:
            heapq.heappop(kept)
    seen.farthest = [call for _, _, call in sorted(kept, key=lambda one: (-one[0], -one[1]))]


def _document(contract: ModelContract, seen: Seen) -> dict[str, Any]:
    reference = contract.reference
    assert reference is not None  # noqa: S101 - for the type checker: `drift` has looked
    return {
        "release": contract.version,
        "calls": seen.calls,
        "answered_by_another_release": seen.others,
        "unreadable": seen.unreadable,
        "fewest": FEWEST,
        "surplus": SURPLUS,
        "design_effect": DESIGN_EFFECT,
        "drift": [
            {
                "kind": one.kind, "quantity": one.quantity, "found": one.found, "n": one.n, "share": one.share,
                "low": one.low, "high": one.high, "trained": one.trained, "alarms": one.alarms,
            }
            for one in outside(seen.counts, reference)
        ],
        "quantities": {
            one.quantity: {
                "n": one.n, "distance": one.value, "low": one.low, "high": one.high, "by_chance": one.by_chance,
                "bins": list(_quantity(one.quantity).bins), "calls": seen.counts[one.quantity],
                "trained": list(reference.shares[one.quantity]),
                "validation": reference.validation[one.quantity],
            }
            for one in distances(seen.counts, reference)
        },
        "farthest": [
            {"call_id": one.call_id, "surprise": one.surprise, "most": one.most, "kinds": one.kinds}
            for one in seen.farthest
        ],
    }  # fmt: skip


def _table(contract: ModelContract, reference: Reference, seen: Seen) -> Iterator[str]:
    yield (
        f"{seen.calls} calls of release {contract.version}; {seen.others} answered by another release are left out. "
        f"Stored records that can't be read: {seen.unreadable}."
    )
    if not seen.calls:
        return
    yield f"{reference.simulated_share:.0%} of its training was over simulated lines. In brackets: 95 % intervals."
    yield ""
    yield f"{'what is unlike the training':28}{'calls there':>14}  {'share now':24}{'trained':>8}  verdict"
    for one in outside(seen.counts, reference):
        yield _outside_row(one)
    for distance in distances(seen.counts, reference):
        yield ""
        yield from _quantity_rows(distance, reference, seen.counts[distance.quantity])
    yield ""
    yield f"farthest from the training, {len(seen.farthest)} of {seen.calls} calls"
    for call in seen.farthest:
        kinds = f": {', '.join(call.kinds)}" if call.kinds else ""
        yield f"  {call.call_id}  {call.surprise:.1f}, most by {call.most}{kinds}"


def _outside_row(one: Outside) -> str:
    verdict = "drift" if one.alarms else f"fewer than {FEWEST} calls" if one.n < FEWEST else "as trained"
    name = one.kind.replace("_", " ")
    share = f"{one.share:.3f} [{one.low:.3f}, {one.high:.3f}]"
    return f"{name:28}{f'{one.found} of {one.n}':>14}  {share:24}{one.trained:8.3f}  {verdict}"


def _quantity_rows(one: Distance, reference: Reference, counts: list[int]) -> Iterator[str]:
    quantity = _quantity(one.quantity)
    unit = f" [{quantity.unit}]" if quantity.unit else ""
    yield (
        f"{quantity.name}{unit}: {quantity.what}; distance {one.value:.3f} [{one.low:.3f}, {one.high:.3f}], "
        f"by chance {one.by_chance:.3f}"
    )
    yield f"  {'bin':>12}{'calls':>8}{'now':>8}{'trained':>9}{'validation':>12}"
    held = reference.validation[one.quantity]
    n_held = max(1, sum(held))
    for number, name in enumerate(quantity.bins):
        trained = reference.shares[one.quantity][number]
        if counts[number] or trained or held[number]:
            now = f"{counts[number]:8}{counts[number] / one.n:8.3f}"
            yield f"  {name:>12}{now}{trained:9.3f}{held[number] / n_held:12.3f}"


def _quantity(name: str) -> Quantity:
    return next(one for one in QUANTITIES if one.name == name)
