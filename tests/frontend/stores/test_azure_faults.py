"""What Azure's services do on a bad day, scripted before the real servers: throttling, outages, cut and slow
connections.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest

from frontend.domain.deadline import Deadline
from frontend.domain.errors import BodyTooLarge, CallErased, StoreUnavailable
from frontend.domain.records import State
from frontend.stores.azure_records import WRITE_TRIES
from frontend.stores.opening import Stores, open_stores
from frontend.stores.protocols import CallExists, RecordTooLarge, StaleRecord
from frontend.stores.troubles import NOT_READY, Trouble
from tests.frontend.settings import azure_settings
from tests.frontend.stores.test_stores import record
from tests.services.azure import Account, Azure
from tests.services.http_proxy import Answer, Cut, HttpProxy, Lose, Misreport, Refuse, Seen, Slow, first

THROTTLED = Answer(429, {"x-ms-retry-after-ms": "40", "x-ms-substatus": "3200"})
THROTTLED_LONG = Answer(429, {"x-ms-retry-after-ms": "7000", "x-ms-substatus": "3200"})
BUSY = Answer(503, {"x-ms-error-code": "ServerBusy", "Retry-After": "9"})


class Proxied:
    """Stores that reach Azurite and Cosmos through proxies."""

    def __init__(self, azure: Azure) -> None:
        self.account = azure.new_containers()
        self.azure = azure
        self.blob = HttpProxy(azure.azurite.port)
        self.cosmos = HttpProxy(azure.cosmos.port)

    @contextmanager
    def running(self) -> Iterator[Account]:
        with self.blob, self.cosmos:
            yield self.account.behind(self.azure.azurite, self.blob.port, self.cosmos.port)


@pytest.fixture
def proxied(azure: Azure) -> Proxied:
    return Proxied(azure)


def on_stores(proxied: Proxied, check: Callable[[Stores], Awaitable[None]]) -> None:
    async def run(account: Account) -> None:
        stores = open_stores(azure_settings(account), 30)
        try:
            await stores.records.ping(soon())  # connected before anything goes wrong
            await check(stores)
        finally:
            await stores.close()

    with proxied.running() as account:
        asyncio.run(run(account))


def soon(seconds: float = 10.0) -> Deadline:
    return Deadline.after(seconds)


def is_write(seen: Seen) -> bool:
    """Of an item, not a query."""
    return seen.method in ("POST", "PUT") and "x-ms-documentdb-isquery" not in seen.headers


def test_a_throttled_write_is_sent_again_after_the_time_that_cosmos_names(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        proxied.cosmos.rule = first(3, THROTTLED, is_write)
        started = time.monotonic()
        await stores.records.create(record("a"), soon())
        assert time.monotonic() - started >= 3 * 0.04
        assert proxied.cosmos.faults == 3
        known = await stores.records.read("a", soon())
        assert known is not None

    on_stores(proxied, check)


def test_throttling_without_end_is_given_up_at_the_deadline(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        proxied.cosmos.rule = lambda _: THROTTLED_LONG
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await stores.records.create(record("a"), soon(1.0))
        assert time.monotonic() - started < 5.0  # the deadline ends the waiting

    on_stores(proxied, check)


@pytest.mark.parametrize("answer", [BUSY, Answer(500), Answer(408), Answer(401), Answer(403), Answer(400)])
def test_an_error_of_cosmos_is_unavailable_and_nothing_else(proxied: Proxied, answer: Answer) -> None:
    async def check(stores: Stores) -> None:
        known = await stores.records.create(record("a"), soon())
        proxied.cosmos.rule = lambda _: answer
        operations: list[Callable[[], Awaitable[Any]]] = [
            lambda: stores.records.create(record("b"), soon()),
            lambda: stores.records.read("a", soon()),
            lambda: stores.records.replace(known.record, known.etag, soon()),
            lambda: stores.records.page(9, None, None, None, soon()),
            lambda: stores.records.due("9", 9, soon()),
            lambda: stores.records.erase("a", without_record=False, deadline=soon()),
            lambda: stores.records.ping(soon()),
        ]
        for operation in operations:
            with pytest.raises(StoreUnavailable) as caught:
                await operation()
            assert caught.value.retry_after_s == (9 if answer is BUSY else 2)
        proxied.cosmos.rule = lambda _: None
        assert await stores.records.read("a", soon()) == known

    on_stores(proxied, check)


def test_a_missing_container_is_an_error_and_no_missing_call(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        proxied.cosmos.rule = lambda _: Answer(404, {"x-ms-substatus": "1003"})
        with pytest.raises(StoreUnavailable):
            await stores.records.read("a", soon())

    on_stores(proxied, check)


def test_a_record_that_is_too_large_is_told_apart(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        known = await stores.records.create(record("a"), soon())
        proxied.cosmos.rule = lambda seen: Answer(413) if seen.method == "PUT" else None
        with pytest.raises(RecordTooLarge):
            await stores.records.replace(known.record, known.etag, soon())

    on_stores(proxied, check)


def test_a_write_whose_answer_was_lost_counts_once(proxied: Proxied) -> None:
    """Cosmos has done it; whether the SDK asks again or not, the call is there once and is found to be ours."""

    async def check(stores: Stores) -> None:
        proxied.cosmos.rule = first(1, Lose(), is_write)
        mine = replace(record("a"), owner="me")
        with suppress(CallExists, StoreUnavailable):
            await stores.records.create(mine, soon())
        known = await stores.records.read("a", soon())
        assert known is not None
        assert known.record == mine
        proxied.cosmos.rule = first(1, Lose(), is_write)
        done = replace(known.record, state=State.DIAGNOSED, attempts=1)
        try:
            written = await stores.records.replace(done, known.etag, soon())
        except StoreUnavailable:
            pass
        else:
            assert written.record == done
        after = await stores.records.read("a", soon())
        assert after is not None
        assert after.record == done
        with pytest.raises(StaleRecord):
            await stores.records.replace(replace(done, attempts=2), known.etag, soon())

    on_stores(proxied, check)


@pytest.mark.parametrize("fault", [Refuse(), Slow(1.5), Cut()])
def test_a_cosmos_that_can_not_be_reached_in_time_is_unavailable(proxied: Proxied, fault: Refuse | Slow | Cut) -> None:
    async def check(stores: Stores) -> None:
        await stores.records.create(record("a"), soon())
        proxied.cosmos.rule = lambda _: fault
        started = time.monotonic()
        with pytest.raises(StoreUnavailable):
            await stores.records.read("a", soon(1.0))
        assert time.monotonic() - started < 5.0
        proxied.cosmos.rule = lambda _: None
        assert await stores.records.read("a", soon()) is not None

    on_stores(proxied, check)


def test_audio_is_uploaded_only_where_nothing_is(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        await stores.audio.write("calls/a/ff", b"abc", soon())
        (upload,) = [seen for seen in proxied.blob.seen if seen.method == "PUT"]
        assert upload.headers["if-none-match"] == "*"

    on_stores(proxied, check)


def test_an_upload_whose_answer_was_lost_is_whole(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        proxied.blob.rule = first(1, Lose(), lambda seen: seen.method == "PUT")
        await stores.audio.write("calls/a/ff", b"abc" * 9999, soon())
        assert await stores.audio.read("calls/a/ff", soon()) == b"abc" * 9999

    on_stores(proxied, check)


def test_a_busy_blob_service_is_asked_again(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        proxied.blob.rule = first(1, BUSY)
        await stores.audio.write("calls/a/ff", b"abc", soon())
        assert proxied.blob.faults == 1
        assert await stores.audio.read("calls/a/ff", soon()) == b"abc"
        proxied.blob.rule = first(1, Answer(429, {"Retry-After": "7"}))  # which the SDK does not try again
        with pytest.raises(StoreUnavailable) as caught:
            await stores.audio.read("calls/a/ff", soon())
        assert caught.value.retry_after_s == 7

    on_stores(proxied, check)


def test_a_download_that_is_cut_half_way_is_made_again_and_never_half(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        data = bytes(range(256)) * 4000  # 1 MB
        await stores.audio.write("calls/a/ff", data, soon())
        proxied.blob.rule = first(1, Cut(), lambda seen: seen.method == "GET")
        assert await stores.audio.read("calls/a/ff", soon()) == data
        assert proxied.blob.faults == 1
        proxied.blob.rule = lambda seen: Cut() if seen.method == "GET" else None
        with pytest.raises(StoreUnavailable):
            await stores.audio.read("calls/a/ff", soon())

    on_stores(proxied, check)


@pytest.mark.parametrize("fault", [BUSY, Answer(500), Answer(403), Refuse(), Slow(1.5)])
def test_an_error_of_the_blob_service_is_unavailable_and_nothing_else(proxied: Proxied, fault: Any) -> None:
    async def check(stores: Stores) -> None:
        await stores.audio.write("calls/a/ff", b"abc", soon())
        blobs = [blob async for blob in stores.audio.blobs(30.0)]
        proxied.blob.rule = lambda _: fault
        operations: list[Callable[[], Awaitable[Any]]] = [
            lambda: stores.audio.write("calls/b/ff", b"abc", soon(1.0)),
            lambda: stores.audio.read("calls/a/ff", soon(1.0)),
            lambda: stores.audio.size("calls/a/ff", soon(1.0)),
            lambda: stores.audio.find("a", soon(1.0)),
            lambda: stores.audio.ping(soon(1.0)),
        ]
        if not isinstance(fault, Slow):  # which is done all the same, too late
            operations += [
                lambda: stores.audio.erase("a", soon(1.0)),
                lambda: stores.audio.remove(blobs[0], soon(1.0)),
            ]
        # All at once: each is tried again until its own deadline.
        started = time.monotonic()
        outcomes = await asyncio.gather(*(operation() for operation in operations), return_exceptions=True)
        assert [outcome for outcome in outcomes if not isinstance(outcome, StoreUnavailable)] == []
        assert time.monotonic() - started < 20.0
        proxied.blob.rule = lambda _: None
        assert await stores.audio.read("calls/a/ff", soon()) == b"abc"

    on_stores(proxied, check)


def test_a_recording_that_the_blob_service_refuses_for_its_size(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        proxied.blob.rule = lambda _: Answer(413, {"x-ms-error-code": "RequestBodyTooLarge"})
        with pytest.raises(BodyTooLarge):
            await stores.audio.write("calls/a/ff", b"abc", soon())

    on_stores(proxied, check)


def test_a_front_end_may_start_while_cosmos_is_away(proxied: Proxied) -> None:
    async def run(account: Account) -> None:
        proxied.cosmos.rule = lambda _: Refuse()
        stores = open_stores(azure_settings(account), 30)
        results = await asyncio.gather(
            *(stores.records.read("a", soon(3.0)) for _ in range(20)), return_exceptions=True
        )
        assert {type(result) for result in results} == {StoreUnavailable}
        proxied.cosmos.rule = lambda _: None
        assert await stores.records.read("a", soon()) is None
        await stores.close()

    with proxied.running() as account:
        asyncio.run(run(account))


def test_the_log_has_the_status_and_no_address(proxied: Proxied, caplog: pytest.LogCaptureFixture) -> None:
    async def check(stores: Stores) -> None:
        proxied.cosmos.rule = proxied.blob.rule = lambda _: BUSY
        for operation in (
            stores.records.read("secret-call", soon()),
            stores.audio.read("calls/secret-call/ff", soon()),
        ):
            with pytest.raises(StoreUnavailable):
                await operation

    with caplog.at_level(logging.INFO, "tosia"):
        on_stores(proxied, check)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("tosia")]
    assert ours == ["record_store answered 503", "audio_store answered 503"]


def test_a_call_that_was_erased_while_it_was_created_does_not_come_back(proxied: Proxied) -> None:
    """Its creator saw no tombstone before, and is cut off before it looks again; whoever reads or takes up the call
    does.
    """

    async def check(stores: Stores) -> None:
        for taken_up in (False, True):
            await stores.records.erase("a", without_record=True, deadline=soon())
            created = asyncio.Event()

            def rule(seen: Seen, created: asyncio.Event = created) -> Refuse | None:
                if is_write(seen):
                    created.set()
                    return None
                return Refuse() if created.is_set() else None

            proxied.cosmos.rule = rule
            with pytest.raises(StoreUnavailable):
                await stores.records.create(replace(record("a"), due_at="2026-01-01"), soon(1.0))
            proxied.cosmos.rule = lambda _: None
            assert any(item["id"] == "a" for item in proxied.azure.items(proxied.account))
            if taken_up:
                assert await stores.records.due("9", 9, soon()) == []
            with pytest.raises(CallErased):
                await stores.records.read("a", soon())
            assert not any(item["id"] == "a" for item in proxied.azure.items(proxied.account))

    on_stores(proxied, check)


def test_one_client_is_opened_however_long_it_takes(proxied: Proxied) -> None:
    """Whoever waits for it gives up at his deadline; the client that comes later is used, and closed at the end."""

    async def run(account: Account) -> None:
        proxied.cosmos.rule = first(1, Slow(1.0))
        stores = open_stores(azure_settings(account), 30)
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await stores.records.read("a", soon(0.1))
        await asyncio.sleep(1.5)
        assert await stores.records.read("a", soon()) is None
        assert [seen.path for seen in proxied.cosmos.seen].count(
            "/"
        ) <= 2  # what one client asks for; three ask for more
        await stores.close()

    with proxied.running() as account:
        asyncio.run(run(account))


TRANSIENT = [408, 410, 449]


@pytest.mark.parametrize("status", TRANSIENT)
def test_a_write_that_cosmos_could_not_do_just_then_is_sent_again(proxied: Proxied, status: int) -> None:
    """The SDK (4.17.1) sends it once, whatever `retry_status` says."""

    async def check(stores: Stores) -> None:
        def again(which: Callable[[Seen], bool] = is_write) -> None:
            proxied.cosmos.rule = first(2, Answer(status), which)

        again()
        known = await stores.records.create(record("a"), soon())
        again()
        changed = replace(known.record, attempts=1)
        assert (await stores.records.replace(changed, known.etag, soon())).record == changed
        again()
        assert await stores.records.erase("a", without_record=False, deadline=soon())
        await stores.records.create(record("b"), soon())
        again(lambda seen: seen.method == "DELETE")
        assert await stores.records.erase("b", without_record=False, deadline=soon())
        assert proxied.cosmos.faults == 2 * 4
        assert [item["id"] for item in proxied.azure.items(proxied.account) if item["kind"] == "call"] == []

    on_stores(proxied, check)


@pytest.mark.parametrize("status", TRANSIENT)
def test_a_write_that_was_done_although_cosmos_says_otherwise_is_ours(proxied: Proxied, status: int) -> None:
    async def check(stores: Stores) -> None:
        proxied.cosmos.rule = first(1, Misreport(Answer(status)), is_write)
        mine = replace(record("a"), owner="me")
        known = await stores.records.create(mine, soon())
        assert known == await stores.records.read("a", soon())
        proxied.cosmos.rule = first(1, Misreport(Answer(status)), is_write)
        done = replace(mine, state=State.DIAGNOSED, attempts=1)
        written = await stores.records.replace(done, known.etag, soon())
        assert written == await stores.records.read("a", soon())
        proxied.cosmos.rule = first(1, Misreport(Answer(status)), lambda seen: seen.method == "DELETE")
        assert await stores.records.erase("a", without_record=False, deadline=soon())
        assert proxied.cosmos.faults == 3
        # But another's call under the same id stays another's.
        await stores.records.create(replace(record("b"), owner="another"), soon())
        proxied.cosmos.rule = first(1, Answer(status), is_write)
        with pytest.raises(CallExists):
            await stores.records.create(replace(record("b"), owner="me"), soon())

    on_stores(proxied, check)


def test_a_write_is_sent_again_after_the_time_that_cosmos_names_and_until_the_deadline(proxied: Proxied) -> None:
    async def check(stores: Stores) -> None:
        proxied.cosmos.rule = first(1, Answer(449, {"x-ms-retry-after-ms": "300"}), is_write)
        started = time.monotonic()
        await stores.records.create(record("a"), soon())
        assert time.monotonic() - started >= 0.3
        proxied.cosmos.rule = lambda seen: Answer(449, {"x-ms-retry-after-ms": "30000"}) if is_write(seen) else None
        with pytest.raises(StoreUnavailable) as caught:
            await stores.records.create(record("b"), soon(0.5))
        assert caught.value.key == "store_too_slow"
        proxied.cosmos.rule = lambda seen: Answer(449) if is_write(seen) else None
        before = proxied.cosmos.faults
        with pytest.raises(StoreUnavailable):
            await stores.records.create(record("b"), soon())
        assert proxied.cosmos.faults == before + WRITE_TRIES

    on_stores(proxied, check)


@pytest.mark.parametrize("status", [401, 403])
def test_a_store_that_refuses_us_is_told_apart_from_one_that_is_away(proxied: Proxied, status: int) -> None:
    async def check(stores: Stores) -> None:
        assert await stores.look(soon()) == ()
        proxied.cosmos.rule = proxied.blob.rule = lambda _: Answer(status)
        refused = (Trouble.RECORD_STORE_REFUSES_US, Trouble.AUDIO_STORE_REFUSES_US)
        assert await stores.look(soon()) == refused
        assert NOT_READY.issuperset(refused)
        proxied.cosmos.rule = proxied.blob.rule = lambda _: BUSY
        away = (Trouble.RECORD_STORE_AWAY, Trouble.AUDIO_STORE_AWAY)
        assert await stores.look(soon()) == away
        assert NOT_READY.isdisjoint(away)
        # 403 with this sub-status: Cosmos moves the account's writes to another region.
        proxied.cosmos.rule, proxied.blob.rule = (lambda _: Answer(403, {"x-ms-substatus": "3"})), lambda _: None
        assert await stores.look(soon(1.0)) == (Trouble.RECORD_STORE_AWAY,)
        proxied.cosmos.rule = lambda _: None
        assert await stores.look(soon()) == ()

    on_stores(proxied, check)
