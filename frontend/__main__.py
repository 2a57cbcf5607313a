"""`python -m frontend`: serve until SIGTERM or Ctrl-C.

`--check`: what is set, what can be reached, and as whom. `backfill`: score stored calls again with the release that
serves now. `rollout`: a candidate beside the serving release. `drift`: stored calls held to what the serving release
was trained on. `intake`: diagnose what lands in the storage account, until SIGTERM. `callbacks`: messages to receivers
that were given up. `clock`: whether calls expire by this machine's clock. `recover`: copy what can be read of a damaged
SQLite file.

Exits 0; 1 when some of the work failed; 2 with one line that names all that is missing or wrong in the environment,
config.yml or the operator's file.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import textwrap
from collections.abc import Callable
from shutil import get_terminal_size
from typing import TYPE_CHECKING

from frontend.configuration.deadlines_limits_intervals import SETTINGS, variable_of
from frontend.configuration.variables import SECRETS, described, in_columns
from frontend.inference.fork_server import start_preloading

if TYPE_CHECKING:
    from fastapi import FastAPI


_IDENTITY = (
    "The command line goes before the environment, the environment before the file, and the file before config.yml. "
    "With the identity of the process, Azure's SDK reads variables of its own (AZURE_CLIENT_ID and others)."
)


def main(arguments: list[str] | None = None, create: Callable[..., FastAPI] | None = None) -> int:
    """Run the command line. create: replaces `frontend.app.create_app`, for other stores or another classifier."""
    options = parse_arguments(arguments)
    if not options.check and options.command in (None, "intake"):
        # Python as process 1 of a container ignores SIGTERM until the server sets its own handler, seconds from now.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    os.umask(0o077)  # only this user may read recordings and records
    # Worker processes use the cores; BLAS threads in each of them would only compete with them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    environment = dict(os.environ)
    # FastAPI imports what it names, and ends by a trace where that is not installed. Only tracecontext is used here.
    os.environ.pop("OTEL_PROPAGATORS", None)
    if not options.check and options.command not in ("clock", "drift", "recover"):
        for name in SECRETS:
            os.environ.pop(name, None)  # for good: the process that workers are forked from may be started again
        start_preloading()
    from frontend.cli.commands import run  # noqa: PLC0415 - takes seconds, while the fork server imports

    return run(options, environment, create)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Parse the command line. Invalid arguments end the process with code 2 and one line, as in argparse."""
    parser = _Parser(
        prog="python -m frontend",
        description="Serve the Tos.IA REST API until SIGTERM or Ctrl-C.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=8080, help="TCP port of the API (default: %(default)s)")
    parser.add_argument("--metrics-port", type=_port, default=9090, help="TCP port of /metrics (default: %(default)s)")
    parser.add_argument(
        "--workers",
        type=_count,
        default=None,
        help="processes for decoding (default: service.workers)",
    )
    parser.add_argument(
        "--drain-seconds",
        type=_seconds,
        default=None,
        help="seconds to go on answering after SIGTERM, with /readyz at 503 (default: service.drain_seconds)",
    )
    parser.add_argument(
        "--check", action="store_true", help="say what is set and what can be reached, and as whom, and end"
    )
    commands = parser.add_subparsers(
        dest="command",
        metavar="[backfill | rollout | drift | intake | callbacks | clock | recover]",
        parser_class=argparse.ArgumentParser,
    )
    again = commands.add_parser(
        "backfill", help="score stored calls again with the release that serves now", allow_abbrev=False
    )
    again.add_argument(
        "--since",
        required=True,
        help="RFC 3339 date or time (UTC unless it says otherwise): calls received from then on",
    )
    again.add_argument("--limit", type=_count, default=None, help="how many calls at most (default: all)")
    _add_rollout(commands)
    _add_drift(commands)
    clock = commands.add_parser(
        "clock", help="whether calls expire by this machine's clock (embedded stores)", allow_abbrev=False
    )
    clock.add_argument("--accept", action="store_true", help="the clock is right: calls may expire by it again")
    commands.add_parser(
        "recover", help="copy what can be read of a damaged calls.sqlite (embedded stores)", allow_abbrev=False
    )
    intake = commands.add_parser(
        "intake", help="diagnose what lands in the storage account, until SIGTERM (docs/intake.md)", allow_abbrev=False
    )
    look = intake.add_mutually_exclusive_group()
    look.add_argument("--list-poison", action="store_true", help="list what was given up, and end")
    look.add_argument("--retry", action="store_true", help="send what was given up to the queue again, and end")
    intake.add_argument("--blob", metavar="NAME", help="with --retry: only this blob's message")
    messages = commands.add_parser(
        "callbacks", help="messages to receivers that wait or were given up (docs/callbacks.md)", allow_abbrev=False
    )
    what = messages.add_mutually_exclusive_group(required=True)
    what.add_argument("--list-dead", action="store_true", help="list what was given up")
    what.add_argument("--list-owed", action="store_true", help="list what waits, also for a key without a receiver")
    what.add_argument("--send-again", action="store_true", help="send again what was given up")
    messages.add_argument("--key", metavar="NAME", help="only those of this key")
    messages.add_argument("--call", metavar="ID", help="only this call's")
    return parser.parse_args(arguments)


def _add_rollout(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    steps = commands.add_parser("rollout", help="a candidate beside the serving release", allow_abbrev=False)
    step = steps.add_mutually_exclusive_group(required=True)
    step.add_argument("--status", action="store_true", help="the steps that were taken")
    step.add_argument("--replay", action="store_true", help="score stored calls with the candidate, and report")
    step.add_argument("--shadow", type=_share, metavar="SHARE", help="score a share of the calls by both (0 to 1)")
    step.add_argument("--canary", type=_share, metavar="SHARE", help="let the candidate answer a share (0 to 1)")
    step.add_argument("--promote", action="store_true", help="let the candidate answer all new calls")
    step.add_argument("--stop", action="store_true", help="let the serving release answer all calls")
    steps.add_argument("--since", default="1970-01-01", help="with --replay: calls received from then on (as backfill)")
    steps.add_argument("--limit", type=_count, default=None, help="with --replay: how many calls at most")
    steps.add_argument("--json", metavar="FILE", help="with --replay: the report as JSON")
    steps.add_argument("--picture", metavar="FILE", help="with --replay: the report as a PNG")
    steps.add_argument("--by", help="who takes the step, for the audit trail (default: this user's name)")
    for name in ("flips", "shifts"):
        steps.add_argument(
            f"--max-{name}", type=_share, metavar="SHARE", help=f"{name} that this candidate may have (the report says)"
        )
    steps.add_argument("--why", help="why, for the audit trail")


def _add_drift(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    drift = commands.add_parser(
        "drift", help="stored calls held to what the serving release was trained on", allow_abbrev=False
    )
    drift.add_argument("--since", required=True, help="calls received from then on (as backfill)")
    drift.add_argument("--until", default=None, help="calls received before then (default: until now)")
    drift.add_argument("--key", default=None, help="only calls that this key has brought, by its name")
    drift.add_argument("--farthest", type=_count, default=10, help="how many calls to name (default: %(default)s)")
    drift.add_argument("--json", action="store_true", help="JSON instead of a table")


class _Parser(argparse.ArgumentParser):
    """Adds the settings to `--help`; only then are their defaults read from config.yml."""

    def format_help(self) -> str:
        from frontend.configuration.defaults import defaults  # noqa: PLC0415 - imports YAML; only `--help` needs it

        width = min(get_terminal_size().columns, 120) - 2  # argparse's own width, but with lines short enough to read
        values = defaults()
        settings = {
            name: f"{setting.meaning}{f' [{setting.unit}]' if setting.unit else ''} (default: {values[name]})"
            for name, setting in SETTINGS.items()
        }
        self.epilog = (
            f"environment variables:\n{described(width)}\n\n"
            f"settings, by a file that TOSIA_CONFIG names or by a variable each "
            f"({variable_of('limits.max_wait_s')} for limits.max_wait_s):\n{in_columns(settings, width)}\n\n"
            f"{textwrap.fill(_IDENTITY, width)}"
        )
        return super().format_help()


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise argparse.ArgumentTypeError(f"{text} is not a port: give a number from 1 to 65535")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0.0 <= seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a time: give seconds, 0 or more")
    return seconds


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = math.nan
    if not 0.0 < share <= 1.0:
        raise argparse.ArgumentTypeError(f"{text} is not a share: give a number above 0, up to 1")
    return share


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
