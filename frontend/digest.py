"""SHA-256 of recordings, off the event loop: they may have 20 MiB."""

from __future__ import annotations

import asyncio
import hashlib
from concurrent.futures import ThreadPoolExecutor

# Threads of their own: those of the event loop may all wait for a disk or a name server.
_THREADS = ThreadPoolExecutor(2, thread_name_prefix="sha256")


async def sha256_of(data: bytes) -> str:
    """In hexadecimal."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, lambda: hashlib.sha256(data).hexdigest())
