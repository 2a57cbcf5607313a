"""How far calls are from what the model was trained on. k8s/manifests/monitoring/rules.yaml computes the same.

Not the whole distribution alarms: a line that uses one of the trained codecs only is another mixture, but nothing new.
What alarms is a surplus of calls in bins that training hardly knows, each with a name that says which way it went.

Calls of one caller are alike, so n calls tell as much as n / DESIGN_EFFECT callers. Interval: E. B. Wilson, J. Am.
Stat. Assoc. 22 (1927), 209-212.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from runtime.line.quantities import QUANTITIES, Bins, Counts
from runtime.line.reference import USUAL, Reference

# Chosen on the training split alone (docs/decisions/0034-drift.md).
FEWEST = 50  # calls; fewer alarm nobody
DESIGN_EFFECT = 4.0
SURPLUS = 0.05  # of the calls, over the training's share, before it alarms
Z = 3.0  # standard deviations that the surplus must be sure by
_Z_95 = 1.96
_RESAMPLES, _SEED = 1000, 0
_UNSEEN = 0.5  # recordings in a bin that training has none of, for likelihoods


@dataclass(frozen=True, slots=True)
class Outside:
    """Calls in the rare bins of one kind.

    found of n calls; trained: the share of the training there; low, high: the 95 % interval of the calls' share
    sure: the share that they surely have, by Z
    """

    quantity: str
    kind: str
    found: int
    n: int
    trained: float
    low: float
    high: float
    sure: float

    @property
    def share(self) -> float:
        return self.found / self.n

    @property
    def alarms(self) -> bool:
        """Whether it is drift: surely more calls than in training, by SURPLUS."""
        return self.n >= FEWEST and self.sure > self.trained + SURPLUS


@dataclass(frozen=True, slots=True)
class Distance:
    """Total variation distance of n calls to the training: the share that would have to lie in other bins.

    by_chance: what to expect of n calls if nothing had changed; low, high: its 95 % interval (seeded bootstrap)
    """

    quantity: str
    n: int
    value: float
    by_chance: float
    low: float
    high: float


def wilson(share: float, n: float, z: float) -> tuple[float, float]:
    """Return the score interval of a share of n independent calls; z: standard deviations."""
    centre = share + z * z / (2.0 * n)
    half = z * math.sqrt(share * (1.0 - share) / n + z * z / (4.0 * n * n))
    scale = 1.0 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def outside(counts: Counts, reference: Reference) -> Iterator[Outside]:
    """Yield each kind of drift that the reference can show, for quantities that any call has."""
    for quantity in QUANTITIES:
        found, kinds, shares = counts[quantity.name], reference.kinds[quantity.name], reference.shares[quantity.name]
        n = sum(found)
        for kind in (quantity.rare, quantity.low, quantity.high):
            rare = [number for number, name in enumerate(kinds) if name == kind]
            if not n or not rare:
                continue
            inside = sum(found[number] for number in rare)
            share, callers = inside / n, n / DESIGN_EFFECT
            yield Outside(
                quantity.name,
                kind,
                inside,
                n,
                sum(shares[number] for number in rare),
                *wilson(share, callers, _Z_95),
                wilson(share, callers, Z)[0],
            )


def distances(counts: Counts, reference: Reference) -> Iterator[Distance]:
    """Yield the distance of each quantity that any call has."""
    for quantity in QUANTITIES:
        found, trained = np.array(counts[quantity.name]), np.array(reference.shares[quantity.name])
        n = int(found.sum())
        if not n or not trained.sum():
            continue
        shares = found / n
        value = float(np.abs(shares - trained).sum() / 2.0)
        by_chance = float(np.sqrt(2.0 * trained * (1.0 - trained) / (math.pi * n / DESIGN_EFFECT)).sum() / 2.0)
        callers = max(1, round(n / DESIGN_EFFECT))
        again = np.random.default_rng(_SEED).multinomial(callers, shares, _RESAMPLES) / callers
        # Resampling adds noise, which moves a distance up: so its spread is taken and its place is not.
        half = _Z_95 * float(np.std(np.abs(again - trained).sum(axis=1) / 2.0))
        yield Distance(quantity.name, n, value, by_chance, max(0.0, value - half), min(1.0, value + half))


def surprise(bins: Bins, reference: Reference) -> tuple[float, str]:
    """Return how unlike the training a call is, and the quantity that is most unlike it.

    The sum over the quantities of -ln of the training's share in its bin, less that of the quantity's likeliest bin.
    Quantities count as independent, which is good enough for an order.
    """
    parts = {}
    for name, number in bins.items():
        shares = reference.shares[name]
        if sum(shares):
            least = _UNSEEN / max(1, sum(reference.recorded[name]) + sum(reference.simulated[name]))
            parts[name] = math.log(max(shares) / max(shares[number], least))
    if not parts:
        return 0.0, ""
    return sum(parts.values()), max(parts, key=lambda name: parts[name])


def is_rare(bins: Bins, reference: Reference) -> list[str]:
    """Return the kinds of drift to which a call adds."""
    kinds = (reference.kinds[name][number] for name, number in bins.items())
    return [kind for kind in kinds if kind != USUAL]
