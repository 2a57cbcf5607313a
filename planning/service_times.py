"""What a recording costs each part: the simulation's input."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import fmean


@dataclass(frozen=True, slots=True)
class Recording:
    """One of the mixture. seconds: of audio; size: bytes; worker_s: CPU of a worker while all cores are busy"""

    seconds: float
    size: float
    candidates: float
    worker_s: float


@dataclass(frozen=True, slots=True)
class Batch:
    """An execution of Triton takes fixed_s + candidates * candidate_s. most: candidates in one (max_batch_size)"""

    fixed_s: float
    candidate_s: float
    most: int

    def seconds(self, candidates: float) -> float:
        return self.fixed_s + candidates * self.candidate_s


@dataclass(frozen=True, slots=True)
class ServiceTimes:
    """Seconds of CPU while all cores are busy.

    main_s: of the event loop's process for a recording, in three equal parts: before the worker, after it, after Triton
    refusal_s: of the same for a refusal
    wait_s: without CPU in an empty system (disk, wake-ups), half before the worker and half before the answer
    alone_speed: see `Host`
    record_size: bytes of a finished record
    """

    recordings: tuple[Recording, ...]
    main_s: float
    refusal_s: float
    wait_s: float
    alone_speed: float
    cpu: Batch
    gpu: Batch
    record_size: float

    @property
    def worker_s(self) -> float:
        return fmean(item.worker_s for item in self.recordings)

    @property
    def candidates(self) -> float:
        return fmean(item.candidates for item in self.recordings)

    @property
    def size(self) -> float:
        return fmean(item.size for item in self.recordings)

    @property
    def seconds(self) -> float:
        return fmean(item.seconds for item in self.recordings)

    def stretched(self, seconds: float) -> ServiceTimes:
        """Return the same with recordings of that mean length: each cost grows by its slope over the length.

        A part of the cost is a recording's, not a second's: the line through the mixture says which.
        """
        factor = seconds / self.seconds
        lengths = [item.seconds for item in self.recordings]
        slope = _slope(lengths, [item.worker_s for item in self.recordings])
        size_slope = _slope(lengths, [item.size for item in self.recordings])
        longer = tuple(
            Recording(
                item.seconds * factor,
                max(1.0, item.size + size_slope * item.seconds * (factor - 1.0)),
                float(round(item.candidates * factor)),
                max(0.1 * item.worker_s, item.worker_s + slope * item.seconds * (factor - 1.0)),
            )
            for item in self.recordings
        )
        return replace(self, recordings=longer)


def line(x: list[float], y: list[float]) -> tuple[float, float]:
    """Return offset and slope of the least squares line."""
    slope = _slope(x, y)
    return fmean(y) - slope * fmean(x), slope


def _slope(x: list[float], y: list[float]) -> float:
    mean_x, mean_y = fmean(x), fmean(y)
    spread = sum((item - mean_x) ** 2 for item in x)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread if spread else 0.0
