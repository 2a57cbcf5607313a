"""SHA-256 of recordings. Large recordings (up to 20 MiB) are hashed off the event loop."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor

# Separate threads, because all threads of the event loop may be waiting for a disk or a name server.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="sha256")


# Up to this size hashing is faster than the switch to a thread and back (some 0.2 ms).
_INLINE_BYTES = 128 * 1024


async def sha256_of(data: bytes) -> str:
    """Return the SHA-256 digest in hexadecimal."""
    if len(data) <= _INLINE_BYTES:
        return hashlib.sha256(data).hexdigest()
    return await asyncio.get_running_loop().run_in_executor(_THREADS, lambda: hashlib.sha256(data).hexdigest())


async def updated(digest: hashlib._Hash, data: bytes) -> None:
    """Add the next bytes to a digest."""
    await asyncio.get_running_loop().run_in_executor(_THREADS, digest.update, data)
