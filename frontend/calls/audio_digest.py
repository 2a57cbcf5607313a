"""SHA-256 of recordings; of large ones off the event loop, since they may have 20 MiB."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor

# Threads of their own: those of the event loop may all wait for a disk or a name server.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="sha256")


# Up to here hashing takes less time than handing it to a thread and waking up again (some 0.2 ms).
_INLINE_BYTES = 128 * 1024


async def sha256_of(data: bytes) -> str:
    """In hexadecimal."""
    if len(data) <= _INLINE_BYTES:
        return hashlib.sha256(data).hexdigest()
    return await asyncio.get_running_loop().run_in_executor(_THREADS, lambda: hashlib.sha256(data).hexdigest())
