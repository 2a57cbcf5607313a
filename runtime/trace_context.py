"""W3C trace context (https://www.w3.org/TR/trace-context/, version 00): the request that caused a piece of work.

A caller's trace continues through us into Triton. Triton exports its own spans if it is configured to; we log the ids
and export nothing.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from dataclasses import dataclass

from runtime.random_bytes import random_bytes

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
SPAN_ID_BYTES = 8
_KNOWN_FLAGS = 0x01  # sampled; version 00 requires zero for all other flags
_TRACESTATE_CHARACTERS = 512  # the least that a receiver must pass on (section 3.3.1.5)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace.

    trace_id: 32 hexadecimal digits; span_id: 16, of the calling step; flags: two; state: of other systems, unchanged
    """

    trace_id: str
    span_id: str
    flags: str
    state: str = ""


CURRENT: ContextVar[TraceContext | None] = ContextVar("trace_context", default=None)
"""The trace context of the running task's request; a new task inherits it from its creator."""


def begin(traceparent: str | None, tracestate: str | None) -> TraceContext:
    """Begin a step in the caller's trace, or in a new trace where the caller's is missing or can't be read."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found:
        version, trace_id, parent_id, flags, rest = found.groups()
        known = version != "ff" and (version != "00" or not rest)
        if known and trace_id.strip("0") and parent_id.strip("0"):
            state = tracestate or ""
            state = state if len(state) <= _TRACESTATE_CHARACTERS and state.isascii() and state.isprintable() else ""
            return TraceContext(
                trace_id, random_bytes(SPAN_ID_BYTES).hex(), f"{int(flags, 16) & _KNOWN_FLAGS:02x}", state
            )
    return TraceContext(random_bytes(16).hex(), random_bytes(SPAN_ID_BYTES).hex(), "00")


def outgoing_headers() -> dict[str, str] | None:
    """Return HTTP or gRPC headers for a call of the running task: the same trace, with a new step."""
    context = CURRENT.get()
    if context is None:
        return None
    parent = {"traceparent": f"00-{context.trace_id}-{random_bytes(SPAN_ID_BYTES).hex()}-{context.flags}"}
    return {**parent, "tracestate": context.state} if context.state else parent
