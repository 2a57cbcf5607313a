"""The counts of a release's training and validation material, in the bins of `quantities`.

Training hears each recording as it is and several times over a simulated line (another codec, band, noise). So its
shares are a mixture: `simulated_share` of them are of simulated lines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from runtime.line.quantities import BINS_SHA256, QUANTITIES, Counts, Quantity

# More than this share of the training is no rarity: bins at an end of a quantity are rare together, codecs each.
RARE, RARE_CODEC = 0.05, 0.005
USUAL = "usual"


@dataclass(frozen=True)
class Reference:
    """What a release was trained on.

    simulated_share: of the training, of lines that were simulated
    recorded, simulated, validation: recordings in each bin; of training as they are, of training over a simulated line,
        and of the validation split as they are
    document: what it was read from
    """

    simulated_share: float
    recorded: Counts
    simulated: Counts
    validation: Counts
    document: dict[str, Any]

    @cached_property
    def shares(self) -> dict[str, tuple[float, ...]]:
        """Return quantity -> the share of the training in each bin; they add up to 1."""
        whole = self.simulated_share
        return {
            one.name: tuple(
                (1.0 - whole) * plain + whole * changed
                for plain, changed in zip(
                    _shares(self.recorded[one.name]), _shares(self.simulated[one.name]), strict=True
                )
            )
            for one in QUANTITIES
        }

    @cached_property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """Return quantity -> for each bin what it is called when more calls than usual lie there, or USUAL."""
        return {one.name: _kinds(one, self.shares[one.name]) for one in QUANTITIES}


def read_reference(document: object) -> Reference | None:
    """Read a release's reference; None where it has other bins than ours.

    Raises: KeyError, TypeError, ValueError where it is damaged.
    """
    if not isinstance(document, dict):
        raise TypeError("a reference is an object")
    if document["bins_sha256"] != BINS_SHA256:
        return None
    training, validation = document["training"], document["validation"]
    share = training["simulated_share"]
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0.0 <= share <= 1.0:
        raise ValueError("simulated_share is no share")
    return Reference(
        float(share),
        _counts(training["recorded"]),
        _counts(training["simulated"]),
        _counts(validation["recorded"]),
        document,
    )


def _counts(document: dict[str, Any]) -> Counts:
    counts: Counts = {}
    for one in QUANTITIES:
        found = document[one.name]
        if not isinstance(found, list) or len(found) != len(one.bins):
            raise ValueError(f"{one.name} has other bins")
        if not all(type(number) is int and number >= 0 for number in found):
            raise TypeError(f"{one.name} holds no counts")
        counts[one.name] = found
    return counts


def _shares(counts: list[int]) -> list[float]:
    n = sum(counts)
    return [found / n if n else 0.0 for found in counts]


def _kinds(quantity: Quantity, shares: tuple[float, ...]) -> tuple[str, ...]:
    kinds = [USUAL] * len(shares)
    if not sum(shares):  # nobody knows what is usual
        return tuple(kinds)
    if quantity.rare:
        kinds = [quantity.rare if share < RARE_CODEC else USUAL for share in shares]
    for kind, order in ((quantity.low, range(len(shares))), (quantity.high, range(len(shares) - 1, -1, -1))):
        total = 0.0
        for number in order if kind else ():
            total += shares[number]
            if total > RARE:
                break
            kinds[number] = kind
    return tuple(kinds)
