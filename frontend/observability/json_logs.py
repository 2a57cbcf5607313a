"""Logs of the process as JSON lines; they never contain text from callers or services.

Messages of exceptions and the Azure SDK's own log may contain ids of calls, addresses and signatures. So a trace shows
an exception's place and type, but not its message, and the libraries' logs are left out.
"""

from __future__ import annotations

import json
import logging
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from frontend.domain.records import id_sha256
from frontend.observability.tracing import current_trace_id

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""As the log may have it, of the request that the running task works for; tasks inherit it from those that start them.
"""

CALL_ID: ContextVar[str | None] = ContextVar("call_id", default=None)
"""The id of the running task's call; log lines contain its digest, as in tombstones and audit lines."""

_QUIET = ("azure", "aiohttp", "asyncio", "grpc", "urllib3", "msal", "opentelemetry")


class JsonLines(logging.Formatter):
    """Formats a record as JSON with `time`, `level`, `logger`, `message`.

    Inside a request it adds `request_id`, inside a trace `trace_id`, inside an attempt `call` (a digest), for an
    exception `trace`, without messages. A record's attribute `fields`, a dict, is added:
    `_log.info(..., extra={"fields": {...}})`.
    """

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = REQUEST_ID.get()
        if request_id is not None:
            line["request_id"] = request_id
        trace_id = current_trace_id()
        if trace_id is not None:
            line["trace_id"] = trace_id
        call_id = CALL_ID.get()
        if call_id is not None:
            line["call"] = id_sha256(call_id)
        line |= getattr(record, "fields", {})
        if record.exc_info and record.exc_info[1]:
            line["trace"] = _frames_only(record.exc_info[1])
        return json.dumps(line)


def _frames_only(raised: BaseException) -> str:
    lines: list[str] = []
    error: BaseException | None = raised
    while error is not None:
        frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
        lines.append(f"{frames}\n{type(error).__module__}.{type(error).__qualname__}")
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nbecause of\n".join(lines)


def set_up_logs(level: int = logging.INFO) -> None:
    """Set up the logs of this process."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
