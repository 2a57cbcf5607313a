"""What an operator does with the poison queue: look, and send again."""

from __future__ import annotations

import json
from dataclasses import dataclass

from frontend.adapters.intake.events import Landed, Poisoned, message_of, read_poison
from frontend.adapters.intake.queue import IntakeQueues

_MOST_SHOWN_CHARACTERS = 200  # of a message that could not be read


@dataclass(frozen=True, slots=True)
class Retried:
    """sent: messages in the intake queue again; left: those that could not be read, and stay"""

    sent: int
    left: int


async def listed(queues: IntakeQueues) -> list[str]:
    """Return a line for each message, and leave all of them there. Raises: StoreUnavailable."""
    async with queues.poison() as messages:
        return [_line(read_poison(message.text)) for message in messages]


async def retried(queues: IntakeQueues, blob: str | None) -> Retried:
    """Send messages to the intake queue again, as if they had never failed. blob: only that blob's

    Between the two requests for a message it is in both queues, never in none. Raises: StoreUnavailable.
    """
    sent = left = 0
    async with queues.poison() as messages:
        for message in messages:
            found = read_poison(message.text)
            if found.blob and blob in (None, found.blob):
                await queues.send(message_of(Landed(found.blob, "")))
                await message.remove()
                sent += 1
            else:
                left += 1
    return Retried(sent, left)


def _line(found: Poisoned) -> str:
    what = found.blob or f"not readable: {json.dumps(found.unreadable[:_MOST_SHOWN_CHARACTERS])}"
    return f"{found.reason} after {found.failures}: {what}"
