"""W3C trace context (https://www.w3.org/TR/trace-context/, version 00): which request of which system something is done
for.

A caller's trace goes on through us into Triton, which exports its own spans where it is told to; we log the ids and
export nothing.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from dataclasses import dataclass

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
SPAN_ID_BYTES = 8
_KNOWN_FLAGS = 0x01  # sampled; of version 00 the others must be sent as zero
_TRACESTATE_CHARACTERS = 512  # what a receiver has to pass on at least (section 3.3.1.5)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """trace_id: 32 hexadecimal digits; span_id: 16, of the step that calls; flags: two; state: other systems' own, as
    it came.
    """

    trace_id: str
    span_id: str
    flags: str
    state: str = ""


CURRENT: ContextVar[TraceContext | None] = ContextVar("trace_context", default=None)
"""Of the request that the running task works for; tasks inherit it from those that start them."""


def begin(traceparent: str | None, tracestate: str | None) -> TraceContext:
    """A step of ours in the caller's trace, or in a new one where the caller has none or one that can't be read."""
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found:
        version, trace_id, parent_id, flags, rest = found.groups()
        known = version != "ff" and (version != "00" or not rest)
        if known and trace_id.strip("0") and parent_id.strip("0"):
            state = tracestate or ""
            state = state if len(state) <= _TRACESTATE_CHARACTERS and state.isascii() and state.isprintable() else ""
            return TraceContext(
                trace_id, secrets.token_hex(SPAN_ID_BYTES), f"{int(flags, 16) & _KNOWN_FLAGS:02x}", state
            )
    return TraceContext(secrets.token_hex(16), secrets.token_hex(SPAN_ID_BYTES), "00")


def outgoing_headers() -> dict[str, str] | None:
    """HTTP or gRPC headers of a call that the running task makes: the same trace, and a step of its own."""
    context = CURRENT.get()
    if context is None:
        return None
    parent = {"traceparent": f"00-{context.trace_id}-{secrets.token_hex(SPAN_ID_BYTES)}-{context.flags}"}
    return {**parent, "tracestate": context.state} if context.state else parent
