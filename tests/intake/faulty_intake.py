"""`python -m tests.intake.faulty_intake`: the intake, ended by a signal at one point of a message's life.

The real queue, stores and classifier, with a signal just before or after one of their operations; TOSIA_TEST_AT is
`operation:before` or `operation:after`, with `:n` for the nth time (tests/reliability/front_end.py).
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    from frontend.inference.fork_server import start_preloading

    start_preloading()

from functools import partial
from typing import Any

from frontend.__main__ import main
from frontend.adapters.intake import queue
from frontend.cli import intake
from frontend.configuration.settings import Settings
from frontend.services import Foundation, Services, open_foundation
from frontend.stores.opening import Stores, open_stores
from tests.reliability.front_end import Point, Watched, WatchedClassifier, _Lazy, _passing

# In the order in which a message goes through them.
POINTS = (
    "queue.receive:after",
    "records.read:after",
    "audio.read_piece:before",
    "audio.read_piece:after",
    "records.create:before",
    "records.create:after",
    "classify:before",
    "classify:after",
    "result:before",
    "result:after",
    "message.remove:before",
    "message.remove:after",
    "message.give_back:before",
    "message.give_back:after",
    "queue.add_poison:before",
    "queue.add_poison:after",
    "message.remove:after:5",
    "result:after:5",
)


def watch() -> None:
    """Put the point into the intake of this process."""
    point = Point(os.environ["TOSIA_TEST_AT"], os.environ.get("TOSIA_TEST_SIGNAL", "KILL"))
    for kind, name, methods in (
        (queue.IntakeQueues, "queue", ("receive", "add_poison")),
        (queue.Message, "message", ("remove", "give_back")),
    ):
        for method in methods:
            setattr(kind, method, _passing(getattr(kind, method), f"{name}.{method}", point))

    def watched_foundation(settings: Settings) -> Foundation:
        real = open_stores(settings, settings.tuning.limits.retention_days)
        watched = Stores(Watched(real.audio, "audio", point), Watched(real.records, "records", point), real.credential)
        return open_foundation(settings, watched)

    def watched_services(foundation: Foundation, **more: Any) -> Services:
        classifier = WatchedClassifier(_Lazy(foundation.settings.triton_url), point)
        return Services(foundation, classifier=classifier, **more)

    intake.open_foundation = partial(watched_foundation)  # type: ignore[assignment]
    intake.Services = watched_services  # type: ignore[assignment,misc]


if __name__ == "__main__":
    watch()
    sys.exit(main())
