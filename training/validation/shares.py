"""Shares of recordings with their intervals, and whether the bounds that a release states hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from scipy.stats import binomtest

from training.validation.recordings import Judged

FEWEST = 10  # recordings; fewer give no figure
MARGIN = 0.05  # how far beyond a bound a share may lie, with 95 % confidence, where it is said to hold


@dataclass(frozen=True, slots=True)
class Share:
    """found of n recordings."""

    found: int
    n: int

    @property
    def value(self) -> float:
        """Not a number without recordings."""
        return self.found / self.n if self.n else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % score interval of E. B. Wilson (J. Am. Stat. Assoc. 22, 1927, 209-212); 0 to 1 without recordings.

        It takes recordings as independent of each other.
        """
        if not self.n:
            return 0.0, 1.0
        found = binomtest(self.found, self.n).proportion_ci(method="wilson")
        return float(found.low), float(found.high)


def share(flags: Iterable[bool]) -> Share:
    known = list(flags)
    return Share(sum(known), len(known))


def accepted_share(judged: Sequence[Judged], *, coughs: bool, of_heard: bool = False) -> Share:
    """Recordings in which a cough is accepted: sensitivity of those with coughs, false alarms of those without.

    coughs: which of the two; of_heard: only of those not refused for quality
    """
    return share(one.accepted for one in kept(judged, coughs=coughs, of_heard=of_heard))


def kept(judged: Iterable[Judged], *, coughs: bool, of_heard: bool = False) -> list[Judged]:
    """Recordings with coughs, or those without."""
    return [one for one in judged if one.recording.is_cough is coughs and not (of_heard and one.refused)]


class Verdict(StrEnum):
    """Whether a stated bound holds here."""

    HOLDS = "holds"
    FAILS = "does not hold"
    TOO_FEW = "too few recordings to say"


@dataclass(frozen=True, slots=True)
class Held:
    """One measure of the operating point, held to what the release states. name: as in the operating point."""

    name: str
    here: Share
    stated: Mapping[str, Any]
    verdict: Verdict


def hold(operating_point: Mapping[str, Any], judged: Sequence[Judged]) -> list[Held]:
    """Compare each measure that the release states with the recordings: empty where it states none.

    The bound is the worse end of the stated interval. It does not hold where the whole interval found here is worse. It
    holds where the share found here is no worse, and its interval goes beyond by MARGIN at most.
    """
    held = []
    for name, coughs in (("recording_sensitivity", True), ("recording_false_alarms", False)):
        stated = operating_point.get(name)
        if stated is not None:
            here = accepted_share(judged, coughs=coughs)
            held.append(Held(name, here, stated, _verdict(here, stated, at_least=coughs)))
    return held


def _verdict(here: Share, stated: Mapping[str, Any], *, at_least: bool) -> Verdict:
    if here.n < FEWEST:
        return Verdict.TOO_FEW
    low, high = here.interval
    # False alarms as the share without them, so that more is better in both.
    bound, value, low, high = (
        (stated["low"], here.value, low, high)
        if at_least
        else (1.0 - stated["high"], 1.0 - here.value, 1.0 - high, 1.0 - low)
    )
    if high < bound:
        return Verdict.FAILS
    return Verdict.HOLDS if value >= bound and low >= bound - MARGIN else Verdict.TOO_FEW
