"""`python -m frontend --check`: print the settings, the reachable services, and the identity used for each.

It shows no secret and changes no call; missing embedded stores are created.
"""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Awaitable, Mapping
from shutil import get_terminal_size
from urllib.parse import urlsplit

from frontend.adapters.intake.queue import opened
from frontend.configuration.deadlines_limits_intervals import SETTINGS
from frontend.configuration.settings import (
    AzureSettings,
    IntakeSettings,
    Settings,
    SettingsError,
    read_settings,
    url_of_connection,
)
from frontend.configuration.tuning import Number
from frontend.domain.deadline import Deadline
from frontend.domain.errors import StoreUnavailable
from frontend.services import Foundation, open_foundation
from frontend.stores.azure_records import CosmosRecordStore
from frontend.stores.opening import Stores
from runtime.config import CONFIG_FILE, Limits, load_config
from runtime.errors import ConfigError, RuntimeFailure
from runtime.triton_classifier import AsyncTritonClassifier

PATIENCE_S = 10.0


async def check(
    environ: Mapping[str, str], command_line: Mapping[str, Number] | None = None, *, serves: bool = True
) -> int:
    """Print a row for each part; return 0 where all parts can be used, 1 where a part can't be reached.

    command_line: setting -> value; serves: False for the intake, which has no keys
    Raises: SettingsError naming every missing or wrong setting, before any service is asked; StoreUnavailable where an
    embedded store can't be opened.
    """
    _row("part", "result", "what")
    wrong: list[str] = []
    try:
        settings = read_settings(environ, command_line, serves=serves)
        _show_settings(settings)
    except SettingsError as error:
        wrong += error.wrong
        for problem in error.wrong:
            _row("settings", "wrong", f"{problem}.")
    try:
        load_config()
    except ConfigError as error:
        wrong.append(str(error).removesuffix("."))
        _row(CONFIG_FILE.name, "wrong", str(error))
    if wrong:
        raise SettingsError(*dict.fromkeys(wrong))
    foundation = open_foundation(settings)
    try:
        # The cluster's webhook sets this variable in a pod whose service account has an identity.
        parts = _parts(foundation, environ.get("AZURE_CLIENT_ID", ""))
        results = await asyncio.gather(*(_result(probe) for *_, probe in parts))
    finally:
        await foundation.stores.close()
    for (part, where, _), (good, text) in zip(parts, results, strict=True):
        _row(part, "reached" if good else "failed", f"{where}: {text}" if text else where)
    return 0 if all(good for good, _ in results) else 1


def _show_settings(settings: Settings) -> None:
    _row("keys", "ok", ", ".join(key.name for key in settings.api_keys) or "none: this process answers no requests")
    if settings.receivers:
        inside = ", also at addresses inside" if settings.callbacks_allow_private else ""
        _row("callbacks", "ok", f"of the keys {', '.join(settings.receivers)}{inside}; not tried here")
    if settings.azure is None:
        _row("stores", "ok", "embedded; models that are not validated are served, too")
    else:
        allowed = (
            "models that are not validated are served, too" if settings.allow_unvalidated else "validated models only"
        )
        _row("stores", "ok", f"azure; {allowed}")
    if settings.traces is not None:
        _row("traces", "ok", f"posted to {settings.traces.endpoint}, {settings.traces.sampler}; not tried here")
    tuning = settings.tuning
    _row("workers", "ok", f"{tuning.worker_count} process{'' if tuning.worker_count == 1 else 'es'}")
    _row("limits", "ok", _limits(tuning.limits))
    for change in tuning.changes:
        unit = SETTINGS[change.setting].unit
        value = f"{change.value}{f' {unit}' if unit else ''}"
        _row("setting", "changed", f"{change.setting} is {value} by {change.source}; {change.default} by default")


def _limits(limits: Limits) -> str:
    return (
        f"up to {limits.max_body_bytes / 2**20:g} MiB and {limits.max_duration_s:g} s a recording, "
        f"{limits.max_in_flight} in work, "
        f"answered within {limits.request_deadline_s:g} s, kept for {limits.retention_days} days"
    )


def _parts(foundation: Foundation, client: str) -> list[tuple[str, str, Awaitable[str]]]:
    """Return for each part its name, its address with the identity used, and the check to await."""
    settings, stores = foundation.settings, foundation.stores
    azure = settings.azure
    sleeps = ", which may sleep" if settings.triton_may_sleep else ""
    inference = ("inference", f"{settings.triton_url}{sleeps}", _triton(foundation))
    if azure is None:
        audio, records = settings.var / "audio", settings.var / "calls.sqlite"
        return [inference, ("audio", str(audio), _audio(stores)), ("records", str(records), _records(stores))]
    identity = f"workload identity of this process{f' (client {client})' if client else ''}"
    container = f"{_blob_host(azure)} container {azure.blob_container}"
    container += f" with the {'connection string' if azure.blob_connection else identity}"
    database = f"{urlsplit(azure.cosmos_endpoint).netloc} {azure.cosmos_database}/{azure.cosmos_container}"
    database += f" with the {'key' if azure.cosmos_key else identity}"
    parts: list[tuple[str, str, Awaitable[str]]] = [
        inference,
        ("audio", container, _audio(stores)),
        ("records", database, _records(stores)),
    ]
    if settings.intake is not None:
        queue = (
            f"queue {settings.intake.queue} with the {'connection string' if settings.intake.connection else identity}"
        )
        parts.append(("intake", queue, _intake(settings.intake, stores)))
    return parts


async def _result(probe: Awaitable[str]) -> tuple[bool, str]:
    try:
        return True, await probe
    except (RuntimeFailure, StoreUnavailable) as error:
        return False, str(error)


async def _triton(foundation: Foundation) -> str:
    classifier = AsyncTritonClassifier(foundation.settings.triton_url)
    try:
        contract = await classifier.contract(PATIENCE_S)
    finally:
        await classifier.close()
    foundation.check_contract(contract)
    model = contract.model
    return f"{model.name} {model.version}, {'validated' if model.validated else 'not validated'}"


async def _audio(stores: Stores) -> str:
    await stores.audio.ping(Deadline.after(PATIENCE_S))
    return ""


async def _records(stores: Stores) -> str:
    """Check the records' container. Raises: StoreUnavailable, also where it is not set up as in docs/azure.md."""
    await stores.records.ping(Deadline.after(PATIENCE_S))
    if isinstance(stores.records, CosmosRecordStore):
        properties = await stores.records.properties(Deadline.after(PATIENCE_S))
        if properties.get("partitionKey", {}).get("paths") != ["/id"]:
            raise StoreUnavailable("partition_key_wrong")
        if "defaultTtl" not in properties:
            raise StoreUnavailable("no_time_to_live")
    return ""


async def _intake(settings: IntakeSettings, stores: Stores) -> str:
    """Check both queues. Raises: StoreUnavailable."""
    async with opened(settings, stores.credential) as queues:
        depth = await queues.depth()
    return f"{depth.messages} messages, {depth.poison} given up"


def _blob_host(azure: AzureSettings) -> str:
    if azure.blob_connection is None:
        return urlsplit(azure.blob_endpoint).netloc
    url = url_of_connection(azure.blob_connection.get_secret_value())
    return urlsplit(url or "").netloc  # the settings' check has parsed it before


def _row(part: str, result: str, what: str) -> None:
    """Print a row at once: an unreachable service takes long to report."""
    lines = textwrap.wrap(
        what,
        min(get_terminal_size((100, 24)).columns, 120),
        initial_indent=f"{part:10}  {result:7}  ",
        subsequent_indent=" " * 21,
        break_long_words=False,
        break_on_hyphens=False,
    )
    print("\n".join(lines), flush=True)
