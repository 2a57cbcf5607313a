"""Who sends when, in process: the real embedded stores, and receivers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from frontend.adapters.callbacks import sender
from frontend.adapters.callbacks.sender import Callbacks
from frontend.configuration.receivers import Receiver as Address
from frontend.configuration.tuning import image_tuning
from frontend.domain.deadline import Deadline
from frontend.domain.records import CallRecord, Failure, Notice, NoticeState, State, StoredAudio, from_now, now
from frontend.observability.metrics import Metrics
from frontend.stores.opening import Stores
from runtime.messages.languages import Language
from tests.callbacks.rig import SECRET, Receiver, wait_until
from tests.frontend.settings import on_stores

LIMITS = replace(image_tuning().callbacks, poll_s=0.1, at_once=2)


def sender_to(stores: Stores, receiver: Receiver) -> Callbacks:
    """One replica's."""
    address = Address("a", SecretStr(receiver.url()), (SecretStr(SECRET),), Language("en"))
    return Callbacks({"a": address}, stores.records, LIMITS, Metrics(), allow_inside=True)


async def owing(stores: Stores, call_id: str, due_at: str) -> CallRecord:
    """A call whose message was not tried yet."""
    record = CallRecord(
        call_id,
        State.FAILED,
        now(),
        now(),
        1,
        Failure("undecodable_audio", retryable=False),
        StoredAudio(f"calls/{call_id}/{'0' * 64}", "0" * 64, 1, "audio/ogg"),
        None,
        notice=Notice("a", NoticeState.OWED, f"msg_{call_id}", now(), due_at),
    )
    return (await stores.records.create(record, Deadline.after(10.0))).record


def sending(folder: Path, receiver: Receiver, replicas: int, check: Callable[..., Awaitable[None]]) -> None:
    """Replicas that send while the check runs, on the same stores."""

    async def run(stores: Stores) -> None:
        senders = [sender_to(stores, receiver) for _ in range(replicas)]
        running = [asyncio.create_task(one.run()) for one in senders]
        try:
            await check(stores, senders[0])
        finally:
            receiver.hold.set()
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            for one in senders:
                await one.close()

    on_stores(folder, run)


async def until(condition: Callable[[], bool], what: str) -> None:
    await asyncio.to_thread(wait_until, condition, what)


async def all_sent(stores: Stores, *call_ids: str) -> None:
    for call_id in call_ids:
        while True:
            known = await stores.records.read(call_id, Deadline.after(10.0))
            if known is not None and known.record.notice and known.record.notice.state is NoticeState.SENT:
                break
            await asyncio.sleep(0.05)


@pytest.mark.timeout(120)
def test_a_first_try_whose_claim_has_run_out_is_left_to_the_store(tmp_path: Path) -> None:
    """Behind a slow receiver a message waits for longer than it is ours. Another replica may have it on its way."""
    with Receiver(lambda _: 0) as receiver:

        async def check(stores: Stores, one: Callbacks) -> None:
            one.offer(await owing(stores, "late", from_now(-1.0)))
            await until(lambda: receiver.got != [], "it is on its way")
            await asyncio.sleep(1.0)  # ten looks
            receiver.hold.set()
            await all_sent(stores, "late")

        sending(tmp_path, receiver, 2, check)
    assert receiver.ids() == ["late"]


@pytest.mark.timeout(120)
def test_two_replicas_send_each_message_once(tmp_path: Path) -> None:
    names = [f"call-{n}" for n in range(30)]
    with Receiver() as receiver:

        async def check(stores: Stores, _: Callbacks) -> None:
            for name in names:
                await owing(stores, name, from_now(-1.0))
            await all_sent(stores, *names)

        sending(tmp_path, receiver, 2, check)
    assert sorted(receiver.ids()) == sorted(names)


@pytest.mark.timeout(120)
def test_what_piled_up_goes_out_without_pauses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    real = sender.random.uniform

    def noted(low: float, high: float) -> float:
        pauses.append(low)
        return real(low, high)

    monkeypatch.setattr(sender.random, "uniform", noted)
    names = [f"call-{n}" for n in range(30)]
    with Receiver() as receiver:

        async def check(stores: Stores, _: Callbacks) -> None:
            await asyncio.gather(*(owing(stores, name, from_now(-1.0)) for name in names))
            looked = len(pauses)
            await all_sent(stores, *names)
            assert len(pauses) - looked < 10  # fifteen and more where each pair of messages waits for a look

        sending(tmp_path, receiver, 1, check)


@pytest.mark.timeout(120)
def test_first_and_further_tries_share_what_goes_at_once(tmp_path: Path) -> None:
    with Receiver(lambda _: 0) as receiver:

        async def check(stores: Stores, one: Callbacks) -> None:
            for n in range(4):
                await owing(stores, f"stored-{n}", from_now(-1.0))
            await until(lambda: len(receiver.got) == LIMITS.at_once, "as many as go at once are on their way")
            for n in range(4):
                one.offer(await owing(stores, f"offered-{n}", from_now(30.0)))
            await asyncio.sleep(1.0)
            assert len(receiver.got) == LIMITS.at_once
            receiver.hold.set()
            names = [f"{kind}-{n}" for kind in ("stored", "offered") for n in range(4)]
            await all_sent(stores, *names)

        sending(tmp_path, receiver, 1, check)
    assert len(receiver.ids()) == 8
