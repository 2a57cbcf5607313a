"""Takes messages, has their audio diagnosed, and removes each when its record has a result.

    receive --> read --> submit --> remove      the record has its result, or there is nothing to do
                  |         \\-----> give back   tried again after a pause; a failure counts, an outage does not
                  \\---------------> poison      can't be read, or has failed too often

Whatever ends this process, a message that was not removed becomes visible again, and the record, which is created once,
says what is left to do. A message stays until the record has its result: if an attempt comes to nothing, the message
stands for the caller who would send the call again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from frontend.adapters.intake.events import (
    Landed,
    NoCall,
    Passed,
    UnreadableMessage,
    message_of,
    message_of_unreadable,
    read_message,
)
from frontend.adapters.intake.queue import Gone, IntakeQueues, Message
from frontend.calls.call_service import Calls, NotLanded, Outcome
from frontend.configuration.tuning import IntakeLimits
from frontend.domain.deadline import Deadline
from frontend.domain.errors import (
    BodyTooLarge,
    CallConflict,
    CallErased,
    FrontendError,
    StoreUnavailable,
)
from frontend.domain.records import State
from frontend.observability.json_logs import CALL_ID
from frontend.observability.metrics import Metrics
from frontend.stores.protocols import UNREADABLE
from runtime.errors import AudioError

MAX_PAUSE_S = 60.0  # between two tries of a message, and between two looks for a store that is away
OUTAGE_PAUSE_S = 5.0  # a message that met an outage is tried again after it
UNFINISHED_PAUSE_S = 2.0  # after the first look at a call that is not finished; longer after each further one
# A message that ends the process counts no failure, so receives are limited too, in a row without giving it back;
# rolling restarts stay far below.
MAX_RECEIVES = 100

_log = logging.getLogger("tosia.intake")


class Consumer:
    """Works on the messages of the intake queue.

    container: that of the calls' audio; key_name: of the key to which the calls belong
    available: whether the model and the stores can be used now
    at_once: messages in work; call_s: seconds that one of them may take
    """

    def __init__(
        self,
        queues: IntakeQueues,
        calls: Calls,
        limits: IntakeLimits,
        metrics: Metrics,
        *,
        container: str,
        key_name: str | None,
        available: Callable[[], bool],
        at_once: int,
        call_s: float,
    ) -> None:
        self._queues = queues
        self._calls = calls
        self._limits = limits
        self._metrics = metrics
        self._container = container
        self._key_name = key_name
        self._available = available
        self._at_once = at_once
        self._call_s = call_s
        self._working: set[asyncio.Task[None]] = set()
        self._told = False  # of events that are of another container
        self._outage_s = 0.0  # the pause for a store that is away; 0.0: none is
        self._outage_until = 0.0  # its end, on the loop's clock

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set; then finish what is in work, and return."""
        try:
            while not stop.is_set():
                if not self._available():
                    await _either(stop, self._limits.poll_s)
                    continue
                pause_s = self._outage_until - asyncio.get_running_loop().time()
                if pause_s > 0.0:
                    await _either(stop, pause_s)
                    continue
                # Several are taken in one request; during an outage, one finds out whether it is over.
                most, enough = (1, 1) if self._outage_s else (self._at_once, max(1, self._at_once // 2))
                free = most - len(self._working)
                if free < enough:
                    await asyncio.wait({*self._working}, return_when=asyncio.FIRST_COMPLETED, timeout=1.0)
                    continue
                await self._take(free, stop)
        finally:
            if self._working:
                await asyncio.wait(self._working)

    async def _take(self, free: int, stop: asyncio.Event) -> None:
        pause_s = 0.0
        try:
            messages = await self._queues.receive(free, self._limits.visibility_s)
            if not messages:
                self._outage_s = 0.0
            pause_s = 0.0 if messages else self._limits.poll_s
            for message in messages:
                task = asyncio.create_task(self._work(message))
                self._working.add(task)
                task.add_done_callback(self._working.discard)
        except StoreUnavailable:
            self._meet_outage("the intake queue is away")
        await _either(stop, pause_s)

    def _meet_outage(self, what: str) -> None:
        """Pause, longer each time. All messages in work meet the same outage: they make one pause."""
        present = asyncio.get_running_loop().time()
        if present < self._outage_until:
            return
        if not self._outage_s:
            _log.warning("%s; looking again later", what)
        self._outage_s = min(MAX_PAUSE_S, max(1.0, 2.0 * self._outage_s))
        self._outage_until = present + self._outage_s

    async def _work(self, message: Message) -> None:
        """Work on one message; the outcome is counted, and nothing is raised."""
        keeping = asyncio.create_task(self._keep(message))
        try:
            outcome = await self._handle(message)
        except Gone:
            outcome = "gone"
        except StoreUnavailable:
            self._meet_outage("the intake queue or its poison queue is away")
            outcome = "again"
            with contextlib.suppress(Gone, StoreUnavailable):
                await message.give_back(OUTAGE_PAUSE_S)
        except Exception:  # noqa: BLE001 - a defect of ours must not end the consumer; the message comes back by itself
            _log.exception("a message of the intake queue failed")
            outcome = "again"
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
        self._metrics.intake.labels(outcome).inc()

    async def _keep(self, message: Message) -> None:
        """Keep the message invisible while it is in work."""
        while True:
            await asyncio.sleep(self._limits.visibility_s / 2.0)
            with contextlib.suppress(StoreUnavailable):
                await message.keep(self._limits.visibility_s)

    async def _handle(self, message: Message) -> str:
        """Return the outcome. Raises: Gone, StoreUnavailable."""
        try:
            found = read_message(message.text, self._container)
        except UnreadableMessage:
            _log.error("a message is no storage event; it is in the poison queue")
            await self._give_up(message, message_of_unreadable(message.text))
            return "poisoned"
        except NoCall as error:
            return await self._poison(message, Landed(error.blob, "").failed("name_is_no_call"))
        if isinstance(found, Passed):
            if found.why == "other_container" and not self._told:
                self._told = True
                _log.warning("events of another container are passed over: is BLOB_CONTAINER where recordings land?")
            await message.remove()
            return "passed"
        token = CALL_ID.set(found.call_id)
        try:
            return await self._diagnose(message, found)
        finally:
            CALL_ID.reset(token)

    async def _diagnose(self, message: Message, landed: Landed) -> str:
        if message.receives - landed.receives > MAX_RECEIVES:
            return await self._poison(message, landed.failed("received_too_often"))
        try:
            outcome, failure = await _outcome_of(lambda: self._submit(landed, again=message.receives > 1))
        except StoreUnavailable:
            self._meet_outage("a store is away")
            await message.give_back(OUTAGE_PAUSE_S, message_of(landed, message.receives))
            return "again"
        self._outage_s = 0.0
        if outcome == "unfinished":  # no fault of the recording: it is in work elsewhere, or the model went away
            pause_s = min(MAX_PAUSE_S, UNFINISHED_PAUSE_S * message.receives)
            await message.give_back(pause_s, message_of(landed, message.receives))
            return outcome
        if outcome is not None:
            await message.remove()
            return outcome
        failed = landed.failed(failure)
        if failed.failures >= self._limits.max_failures or failure in _FOR_GOOD:
            return await self._poison(message, failed)
        pause_s = min(MAX_PAUSE_S, self._limits.retry_pause_s * 2.0**landed.failures)
        await message.give_back(pause_s, message_of(failed, message.receives))
        return "again"

    async def _submit(self, landed: Landed, *, again: bool) -> Outcome:
        deadline = Deadline.after(self._call_s)
        return await self._calls.diagnose_landed(landed.call_id, landed.blob, deadline, self._key_name, again=again)

    async def _poison(self, message: Message, landed: Landed) -> str:
        _log.error("a recording is given up (%s); it is in the poison queue", landed.reason)
        await self._give_up(message, message_of(landed))
        return "poisoned"

    async def _give_up(self, message: Message, text: str) -> None:
        """Into the poison queue first: between the two requests the message is in both, never in none."""
        await self._queues.add_poison(text)
        await message.remove()


_FOR_GOOD = frozenset({CallConflict.code, BodyTooLarge.code})  # another try would find the same


async def _outcome_of(submit: Callable[[], Awaitable[Outcome]]) -> tuple[str | None, str]:
    """Return the outcome of a call whose record stands; or None, and why it doesn't, in one word.

    Raises: StoreUnavailable where a store is away.
    """
    outcome: str | None = None
    failure = ""
    try:
        found = await submit()
        finished = "diagnosed" if found.created else "known"
        outcome = "unfinished" if found.record.state is State.RECEIVED else finished
    except CallErased:
        outcome = "erased"
    except AudioError:
        outcome = "failed"  # the record says so, for good
    except NotLanded:
        failure = "audio_missing"
    except StoreUnavailable as error:
        if error.key != UNREADABLE:
            raise
        failure = error.key
    except FrontendError as error:
        failure = str(error.values.get("code", error.code))  # NotReady names the code of the failure in the record
    return outcome, failure


async def _either(stop: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until `stop` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
