"""Whether a canary must be stopped: a test after each call that keeps its promise however often it is asked.

The usual test at a fixed number of calls is wrong here: asked again after each call, it stops every canary in the end.
This one multiplies, call by call, how much likelier what was seen is under a larger share than under the bound. As long
as the true share is within the bound, the product's expectation never rises, so it ever exceeds 1 / `false_stops` with
a probability of at most `false_stops` (Ville's inequality; Shafer, Testing by betting, JRSS A 184, 2021). The larger
share is unknown, so the mean over several is taken, which has the same property.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from frontend.configuration.tuning import RolloutSettings
from frontend.rollout.compare import Comparison

# Of what a share is bounded, and by which setting.
BOUNDS = {
    "flips": "max_flip_share",
    "shifts": "max_shift_share",
    "slow": "max_slow_share",
    "failures": "max_failure_share",
    "unusable": "max_failure_share",
}
ALTERNATIVES = 12  # larger shares, evenly spaced in the logarithm of the odds
_LEAST_SHARE, _MOST_SHARE = 1e-6, 0.995
_SMALLEST_STEP = 1.5  # the odds of the first alternative over those of the bound


class ShareTest:
    """Whether a share of events exceeds a bound."""

    def __init__(self, bound: float, false_stops: float) -> None:
        """bound: the share that is allowed, 0.0 to 1.0; false_stops: see `RolloutSettings`"""
        self.calls = self.events = 0
        # No larger share could be told from such a bound, and all calls may be events.
        self._allows_all = bound > _MOST_SHARE
        self._exceeds_at = math.log(1.0 / false_stops)
        allowed = min(max(bound, _LEAST_SHARE), _MOST_SHARE)
        low, high = _log_odds(allowed) + math.log(_SMALLEST_STEP), max(_log_odds(_MOST_SHARE), _log_odds(allowed) + 1.0)
        shares = [_share(low + (high - low) * n / (ALTERNATIVES - 1)) for n in range(ALTERNATIVES)]
        self._gains = [(math.log(share / allowed), math.log((1.0 - share) / (1.0 - allowed))) for share in shares]

    def add(self, event: bool) -> None:
        """Count one call."""
        self.calls += 1
        self.events += event

    @property
    def evidence(self) -> float:
        """Return the natural logarithm of the mean over the alternatives."""
        others = self.calls - self.events
        logs = [self.events * yes + others * no for yes, no in self._gains]
        most = max(logs)
        return most + math.log(sum(math.exp(value - most) for value in logs) / len(logs))

    @property
    def exceeded(self) -> bool:
        """Whether the share is larger than the bound, as far as `false_stops` allows to say so."""
        return not self._allows_all and self.evidence >= self._exceeds_at


def _log_odds(share: float) -> float:
    return math.log(share / (1.0 - share))


def _share(log_odds: float) -> float:
    return 1.0 / (1.0 + math.exp(-log_odds))


@dataclass(slots=True)
class Guard:
    """All bounds of one canary, as one process has seen it."""

    settings: RolloutSettings
    tests: dict[str, ShareTest] = field(init=False)

    def __post_init__(self) -> None:
        self.tests = {
            name: ShareTest(getattr(self.settings, setting), self.settings.false_stops)
            for name, setting in BOUNDS.items()
        }

    def compared(self, comparison: Comparison) -> None:
        """Count a call that both have scored."""
        settings = self.settings
        self.tests["flips"].add(comparison.flip)
        self.tests["shifts"].add(comparison.shift(settings.score_tolerance))
        self.tests["slow"].add(comparison.slow(settings.slow_factor, settings.slow_floor_ms))

    def asked(self, *, failed: bool, unusable: bool = False) -> None:
        """Count a call that the candidate was asked to score. unusable: it answered, with what is no probability"""
        self.tests["failures"].add(failed)
        self.tests["unusable"].add(unusable)

    def broken(self) -> str | None:
        """Return the name of a bound that is broken, once `min_calls` have been counted for it; else None."""
        for name, test in self.tests.items():
            if test.calls >= self.settings.min_calls and test.exceeded:
                return name
        return None

    def figures(self) -> dict[str, float]:
        """Return what was counted, for the audit trail: `flips` and `flips_of`, and so on."""
        return {
            key: float(value)
            for name, test in self.tests.items()
            for key, value in ((name, test.events), (f"{name}_of", test.calls))
        }
