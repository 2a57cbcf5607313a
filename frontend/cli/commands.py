"""Run the command of the command line, and return the exit code."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Mapping

from fastapi import FastAPI

from frontend.app import create_app
from frontend.cli.serve import serve
from frontend.configuration.deadlines_limits_intervals import SETTINGS
from frontend.configuration.settings import Settings, SettingsError, read_settings
from frontend.configuration.tuning import Number
from frontend.domain.errors import ServiceError
from frontend.observability.json_logs import set_up_logs
from runtime.errors import RuntimeFailure


def run(options: argparse.Namespace, environment: Mapping[str, str], create: Callable[..., FastAPI] | None) -> int:
    """Run the command and return its exit code.

    environment: of the process when it was started; create: used instead of `create_app`
    """
    set_up_logs()
    try:
        if options.check:
            from frontend.cli.check import check  # noqa: PLC0415 - imports the Azure SDK; a server need not have it

            return asyncio.run(check(environment, given(options), serves=options.command != "intake"))
        serves = options.command != "intake"
        return _with_settings(options, read_settings(environment, given(options), serves=serves), create)
    except (SettingsError, RuntimeFailure, ServiceError) as error:
        print(f"frontend: {error}", file=sys.stderr)
        # If a server can't open a store at its start, a setting is wrong; if a command can't reach a service, a
        # retry may help.
        return 1 if isinstance(error, ServiceError) and options.command else 2
    except BrokenPipeError:
        # The reader of our output has gone. Python would write the rest at its exit again, and fail with a trace.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("frontend: stopped; the same command goes on from here.", file=sys.stderr)
        return 1


def _with_settings(options: argparse.Namespace, settings: Settings, create: Callable[..., FastAPI] | None) -> int:
    command = _COMMANDS.get(options.command)
    return command(options, settings) if command else serve(options, settings, create or create_app)


def _backfill(options: argparse.Namespace, settings: Settings) -> int:
    from frontend.cli.backfill import backfill  # noqa: PLC0415

    return asyncio.run(backfill(settings, options.since, options.limit))


def _drift(options: argparse.Namespace, settings: Settings) -> int:
    from frontend.cli.drift import drift  # noqa: PLC0415

    return asyncio.run(drift(settings, options))


def _rollout(options: argparse.Namespace, settings: Settings) -> int:
    if options.replay:
        from frontend.cli.replay import replay  # noqa: PLC0415

        return replay(settings, options)
    from frontend.cli.rollout import rollout  # noqa: PLC0415

    return asyncio.run(rollout(settings, options))


def _clock(options: argparse.Namespace, settings: Settings) -> int:
    from frontend.cli.clock import clock  # noqa: PLC0415

    return asyncio.run(clock(settings, accept=options.accept))


def _callbacks(options: argparse.Namespace, settings: Settings) -> int:
    from frontend.cli.callbacks import callbacks  # noqa: PLC0415

    return asyncio.run(callbacks(options, settings))


def _intake(options: argparse.Namespace, settings: Settings) -> int:
    from frontend.cli.intake import intake  # noqa: PLC0415

    return intake(options, settings)


def _recover(options: argparse.Namespace, settings: Settings) -> int:
    from frontend.cli.recover import recover  # noqa: PLC0415

    return recover(settings)


_COMMANDS: dict[str, Callable[[argparse.Namespace, Settings], int]] = {
    "backfill": _backfill,
    "callbacks": _callbacks,
    "rollout": _rollout,
    "clock": _clock,
    "drift": _drift,
    "intake": _intake,
    "recover": _recover,
}


def given(options: argparse.Namespace) -> dict[str, Number]:
    """Return setting -> value for the settings on the command line."""
    values = {
        name: getattr(options, setting.option.removeprefix("--").replace("-", "_"))
        for name, setting in SETTINGS.items()
        if setting.option
    }
    return {name: value for name, value in values.items() if value is not None}
