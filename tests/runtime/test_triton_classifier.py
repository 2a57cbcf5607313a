"""What the Triton classifiers do when there is no Triton; with one they are tested in tests/integration."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from local_triton.ports import free_ports
from runtime.errors import InferenceError, InferenceTimeout
from runtime.triton_classifier import AsyncTritonClassifier, TritonClassifier, shared_classifier
from tests.runtime.parts import contract

SPECTROGRAMS = np.zeros((3, 64, 96), dtype=np.uint8)


@contextmanager
def bound() -> Iterator[socket.socket]:
    """A socket on a port that this process has not had before.

    gRPC keeps a failed connection, its error and its pause before the next try, beyond the channel that it belonged to:
    a new client of the same address is told "connection refused" although somebody listens there now
    (findings/grpc_backoff.sh).
    """
    (port,) = free_ports(1)
    with socket.socket() as held:
        held.bind(("127.0.0.1", port))
        yield held


@pytest.fixture
def closed_port():
    """An address on loopback that refuses: bound, so that nobody else gets it, but not listening."""
    with bound() as held:
        yield f"127.0.0.1:{held.getsockname()[1]}"


@pytest.fixture
def silent_port():
    """An address that takes connections and never says a word."""
    with bound() as held:
        held.listen()
        yield f"127.0.0.1:{held.getsockname()[1]}"


def check(error, address):
    """No host and no port: the sentence travels to whoever called."""
    assert "try again" in str(error)
    assert "127.0.0.1" not in str(error)
    assert address.rpartition(":")[2] not in str(error)


def test_nobody_there(closed_port):
    with TritonClassifier(closed_port, timeout_s=2.0) as classifier:
        for ask in (classifier.contract, lambda: classifier.classify(SPECTROGRAMS)):
            with pytest.raises(InferenceError) as caught:
                ask()
            check(caught.value, closed_port)


def test_a_server_that_is_silent(silent_port):
    with TritonClassifier(silent_port, timeout_s=0.3) as classifier:
        with pytest.raises(InferenceTimeout) as caught:
            classifier.contract()
        check(caught.value, silent_port)


def test_nobody_there_for_the_event_loop(closed_port):
    async def ask():
        classifier = AsyncTritonClassifier(closed_port)
        try:
            assert await classifier.is_ready(timeout_s=0.5) is False
            for call in (classifier.contract(timeout_s=2.0), classifier.classify(SPECTROGRAMS, contract(), 2.0)):
                with pytest.raises(InferenceError) as caught:
                    await call
                check(caught.value, closed_port)
        finally:
            await classifier.close()

    asyncio.run(ask())


def test_a_silent_server_does_not_hold_the_event_loop(silent_port):
    async def ask():
        classifier = AsyncTritonClassifier(silent_port)
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0.02)
                ticks += 1

        ticking = asyncio.create_task(tick())
        try:
            with pytest.raises(InferenceTimeout) as caught:
                await classifier.classify(SPECTROGRAMS, contract(), 0.5)
            check(caught.value, silent_port)
        finally:
            ticking.cancel()
            await classifier.close()
        assert ticks >= 3  # of 25; a loop that is held has none

    asyncio.run(ask())


def test_nothing_to_score_asks_nobody(closed_port):
    async def ask():
        classifier = AsyncTritonClassifier(closed_port)
        try:
            return await classifier.classify(SPECTROGRAMS[:0], contract(), 1.0)
        finally:
            await classifier.close()

    assert asyncio.run(ask()).classes.shape == (0, 2)


def test_one_client_for_each_address(closed_port):
    with shared_classifier(closed_port) as first:
        assert shared_classifier(closed_port) is first
    shared_classifier.cache_clear()
