"""Imports and tables of every worker, loaded once in the process that workers are forked from.

That process has no threads of gRPC or the event loop, so a fork of it can't hang. A dead worker is replaced within
milliseconds, instead of the second that these imports take. The workers share the memory. What a recording may
need must be imported here: a caged worker can't.
"""

from __future__ import annotations

import contextlib
import gc
import io
import os
import wave

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy is imported: a caged worker starts no threads

# PyAV imports these when it meets such a stream, and a caged worker opens no files.
import av.audio.stream
import av.subtitles.stream
import av.video.stream  # noqa: F401

from frontend.inference import worker  # noqa: F401
from runtime.config import load_config, load_limits
from runtime.errors import ConfigError
from runtime.prepare import prepare


def exercise() -> None:
    """Run one recording through every stage: half a second of silence around a burst."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(16_000) + bytes(range(256)) * 50 + bytes(16_000))
    prepare(buffer.getvalue(), *load_config(), load_limits()[1].decode)


with contextlib.suppress(ConfigError):  # the front end itself reports errors in config.yml
    exercise()
# Otherwise garbage collections in the workers would visit all these objects repeatedly, and write to shared pages.
gc.collect()
gc.freeze()
