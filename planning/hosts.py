"""The cores that tasks share."""

from __future__ import annotations

import heapq
from typing import Any


class Host:
    """Cores whose running tasks all progress equally fast, as under Linux' fair scheduler (processor sharing).

    cores: tasks that run at once before each gets less than a core
    alone_speed: how much faster a single task runs than one beside which all cores are busy; in between it is linear
    """

    __slots__ = ("_alone_speed", "_cores", "_number", "_progress", "_since", "_tasks", "version")

    def __init__(self, cores: float, alone_speed: float = 1.0) -> None:
        self._cores = cores
        self._alone_speed = alone_speed
        self._tasks: list[tuple[float, int, Any]] = []  # by the progress at which each ends
        self._progress = 0.0  # seconds of CPU that a task which always ran has got
        self._since = 0.0
        self._number = 0
        self.version = 0  # changes with the tasks: an end that was expected before is out of date

    def start(self, now: float, cpu_s: float, task: Any) -> None:
        """Begin a task that needs so many seconds of CPU while all cores are busy."""
        self._advance(now)
        self._number += 1
        heapq.heappush(self._tasks, (self._progress + cpu_s, self._number, task))
        self.version += 1

    def next_end(self, now: float) -> float | None:
        """Return when the next task ends if no other begins; None without tasks."""
        if not self._tasks:
            return None
        return now + max(0.0, self._tasks[0][0] - self._progress) / self._speed()

    def end(self, now: float) -> Any:
        """Take out the task that ends now and return it."""
        self._advance(now)
        at, _, task = heapq.heappop(self._tasks)
        self._progress = max(self._progress, at)  # rounding leaves nothing of a task that has ended
        self.version += 1
        return task

    def _advance(self, now: float) -> None:
        if self._tasks:
            self._progress += (now - self._since) * self._speed()
        self._since = now

    def _speed(self) -> float:
        n = len(self._tasks)
        if n >= self._cores:
            return self._cores / n
        beside = (n - 1) / (self._cores - 1)
        return self._alone_speed + (1.0 - self._alone_speed) * beside
