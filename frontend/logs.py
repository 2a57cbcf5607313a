"""Logs of the process: one format, and nothing in them that a caller or a service has said.

Ids of calls, addresses and signatures travel in the messages of exceptions and in the Azure SDK's own log. So a trace shows
where something was raised and its type, not its message, and the libraries' logs are kept out.
"""

from __future__ import annotations

import logging
import traceback
from types import TracebackType

_FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
_QUIET = ("azure", "aiohttp", "asyncio", "grpc", "urllib3", "msal")


class FramesOnly(logging.Formatter):
    """A trace without messages."""

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None],
    ) -> str:
        lines: list[str] = []
        error = ei[1]
        while error is not None:
            frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
            lines.append(f"{frames}\n{type(error).__module__}.{type(error).__qualname__}")
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\nbecause of\n".join(lines)


def set_up_logs(level: int = logging.INFO) -> None:
    """Of this process."""
    handler = logging.StreamHandler()
    handler.setFormatter(FramesOnly(_FORMAT))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
