"""A rollout: a candidate release beside the serving one, and the events that say how far it has come.

The events are the audit trail. They are stored beside the records, are never changed, and the last one is the state, so
that all front ends and all their starts see the same (docs/decisions/0030-rollout.md).
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

_DRAWN_BITS = 53  # of a digest: what a float holds exactly


class Stage(StrEnum):
    """How far a rollout has come.

    SHADOW: a share of the calls is scored by both, after the caller was answered
    CANARY: a share of the calls is answered by the candidate
    PROMOTED: all new calls are answered by the candidate, until the serving Triton has it
    STOPPED: none is
    """

    SHADOW = "shadow"
    CANARY = "canary"
    PROMOTED = "promoted"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Release:
    """What makes a diagnosis: two that are equal judge every recording alike.

    version: of the release; sha256: of its network; thresholds_sha256: of what its scores are compared with
    """

    version: str
    sha256: str
    preprocess_sha256: str
    thresholds_sha256: str

    def made(self, diagnosis: dict[str, Any]) -> bool:
        """Whether a stored diagnosis may be of this release; it does not hold all thresholds."""
        model = diagnosis["model"]
        ours = (self.version, self.sha256, self.preprocess_sha256)
        return (model["version"], model["sha256"], diagnosis["preprocess_sha256"]) == ours


@dataclass(frozen=True, slots=True)
class RolloutEvent:
    """One step.

    at: RFC 3339; by: who took it, a person's name or `front end`; share: of the calls, 0.0 to 1.0
    why: in words; figures: counts that it was decided by
    bounds: settings of `rollout.*` that this candidate needs otherwise, as `max_flip_share`
    """

    at: str
    by: str
    stage: Stage
    candidate: Release
    share: float
    why: str = ""
    figures: dict[str, float] = dataclasses.field(default_factory=dict)
    bounds: dict[str, float] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the event as stored: only JSON's own types."""
        return {**dataclasses.asdict(self), "stage": self.stage.value}


def event_from_dict(document: Any) -> RolloutEvent:
    """Invert `RolloutEvent.to_dict`. Raises: KeyError, TypeError, ValueError where the document is no event."""
    share, figures, bounds = document["share"], document["figures"], document["bounds"]
    event = RolloutEvent(
        at=document["at"],
        by=document["by"],
        stage=Stage(document["stage"]),
        candidate=Release(**document["candidate"]),
        share=float(share),
        why=document["why"],
        figures={str(name): float(value) for name, value in figures.items()},
        bounds={str(name): float(value) for name, value in bounds.items()},
    )
    texts = (event.at, event.by, event.why, *dataclasses.astuple(event.candidate))
    if not all(isinstance(text, str) for text in texts) or not 0.0 <= event.share <= 1.0:
        raise TypeError("a stored step of a rollout has another form")
    datetime.fromisoformat(event.at)
    return event


def drawn(call_id: str) -> float:
    """Return a call's number in [0, 1), the same everywhere and for ever: a share takes the calls below it.

    So a share that grows keeps the calls that it had, and the draw can be repeated from the ids alone.
    """
    digest = hashlib.sha256(b"rollout|" + call_id.encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> (64 - _DRAWN_BITS)) / 2.0**_DRAWN_BITS
