"""`python -m frontend intake`: diagnose what lands in the storage account, until SIGTERM.

Liveness and metrics are on the metrics port; there is no API.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal

import prometheus_client
import uvloop

from frontend.adapters.intake import poison
from frontend.adapters.intake.consumer import Consumer
from frontend.adapters.intake.queue import IntakeQueues, opened
from frontend.configuration.settings import IntakeSettings, Settings, SettingsError
from frontend.domain.errors import StoreUnavailable
from frontend.observability.metrics import Metrics
from frontend.services import Foundation, Services, open_foundation

AT_ONCE_PER_WORKER = 8  # one is decoded while others are read, scored and written
WATCH_S = 5.0  # between two looks at the queues' depth, and at whether work goes on

_log = logging.getLogger("tosia.intake")


def intake(options: argparse.Namespace, settings: Settings) -> int:
    """Run the command and return its exit code. Raises: SettingsError, ConfigError, StoreUnavailable."""
    _intake_of(settings)
    if options.list_poison or options.retry:
        return asyncio.run(_look(options, settings))
    foundation = open_foundation(settings)
    try:
        prometheus_client.start_http_server(options.metrics_port, options.host, foundation.metrics.registry)
    except OSError as error:
        raise SettingsError(
            f"{options.host}:{options.metrics_port} can't be listened on ({error.strerror}): choose another "
            "--metrics-port"
        ) from error
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_consume(foundation))


def _intake_of(settings: Settings) -> IntakeSettings:
    if settings.intake is None:
        raise SettingsError("INTAKE_QUEUE is missing: set it to the queue that gets the storage events")
    return settings.intake


async def _look(options: argparse.Namespace, settings: Settings) -> int:
    async with opened(_intake_of(settings), None) as queues:
        if options.list_poison:
            lines = await poison.listed(queues)
            print("\n".join([*lines, f"{len(lines)} messages in the poison queue."]))
            return 0
        found = await poison.retried(queues, options.blob)
        print(f"{found.sent} messages sent again, {found.left} left.")
        return 0


async def _consume(foundation: Foundation) -> int:
    settings, tuning = foundation.settings, foundation.settings.tuning
    worker_count = tuning.worker_count
    services = Services(foundation, worker_count=worker_count, expected=foundation.expected_contract())
    services.show_in_metrics()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with opened(_intake_of(settings), services.stores.credential) as queues:
        consumer = Consumer(
            queues,
            services.calls,
            tuning.intake,
            services.metrics,
            container=settings.azure.blob_container if settings.azure else "",
            key_name=_intake_of(settings).key_name,
            available=lambda: services.model.available,
            at_once=AT_ONCE_PER_WORKER * worker_count,
            call_s=tuning.limits.worker_timeout_s + tuning.limits.request_deadline_s,
        )
        background: list[asyncio.Task[None]] = []
        try:
            await services.start()
            background = services.run_in_background()
            background.append(asyncio.create_task(_watch(queues, services.metrics)))
            _log.info("intake: taking messages")
            working = asyncio.create_task(consumer.run(stop))
            while not working.done():
                await asyncio.wait({working}, timeout=WATCH_S)
                if services.stuck and not working.done():
                    _log.error("intake: work waits and none has ended for too long; this process ends")
                    working.cancel()
                    await asyncio.gather(working, return_exceptions=True)
                    return 1
            working.result()
            return 0
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await services.close()


async def _watch(queues: IntakeQueues, metrics: Metrics) -> None:
    """Show the queues' depth in the metrics, and say why where they can't be used, until cancelled."""
    trouble = ""
    while True:
        try:
            depth = await queues.depth()
        except StoreUnavailable as error:
            if error.key != trouble:
                _log.error("intake: %s", error)
            trouble = error.key
        else:
            trouble = ""
            metrics.intake_messages.labels("queue").set(depth.messages)
            metrics.intake_messages.labels("poison").set(depth.poison)
            metrics.intake_oldest.set(depth.oldest_s)
        await asyncio.sleep(WATCH_S)
