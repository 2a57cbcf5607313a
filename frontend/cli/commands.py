"""What the command line asks for: serve, check, or score again; and the exit code."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable

from fastapi import FastAPI

from frontend.app import create_app
from frontend.cli.serve import serve
from frontend.configuration.deadlines_limits_intervals import SETTINGS
from frontend.configuration.settings import SettingsError, read_settings
from frontend.configuration.tuning import Number
from frontend.domain.errors import ServiceError
from frontend.observability.json_logs import set_up_logs
from runtime.errors import RuntimeFailure


def run(options: argparse.Namespace, create: Callable[..., FastAPI] | None) -> int:
    """create: instead of `create_app`."""
    set_up_logs()
    try:
        if options.check:
            from frontend.cli.check import check  # noqa: PLC0415 - the Azure SDK, which a server need not have

            return asyncio.run(check(os.environ, given(options)))
        settings = read_settings(os.environ, given(options))
        if options.command == "backfill":
            from frontend.cli.backfill import backfill  # noqa: PLC0415

            return asyncio.run(backfill(settings, options.since, options.limit))
        return serve(options, settings, create or create_app)
    except (SettingsError, RuntimeFailure, ServiceError) as error:
        print(f"frontend: {error}", file=sys.stderr)
        # What a server can't open when it starts is a wrong setting; what a command can't reach may be back in a
        # moment.
        return 1 if isinstance(error, ServiceError) and options.command else 2
    except BrokenPipeError:
        # Whoever read what is printed has gone; what is left of it would be written again at the end, and fail with a
        # trace.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("frontend: stopped; the same command goes on from here.", file=sys.stderr)
        return 1


def given(options: argparse.Namespace) -> dict[str, Number]:
    """Setting -> value, of those that the command line gives."""
    values = {
        name: getattr(options, setting.option.removeprefix("--").replace("-", "_"))
        for name, setting in SETTINGS.items()
        if setting.option
    }
    return {name: value for name, value in values.items() if value is not None}
