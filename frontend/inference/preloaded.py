"""What every worker needs, imported and computed once, in the process that workers are forked from.

That process has no threads of gRPC's or the event loop's, so a fork of it can't hang; a worker that died is replaced
within milliseconds instead of the seconds that librosa's imports take, and the workers share the memory.
"""

from __future__ import annotations

import contextlib
import gc
import io
import wave

from runtime.config import load_config, load_limits
from runtime.errors import ConfigError
from runtime.prepare import prepare


def exercise() -> None:
    """One recording through every stage: half a second of silence around a burst."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(bytes(16_000) + bytes(range(256)) * 50 + bytes(16_000))
    prepare(buffer.getvalue(), *load_config(), load_limits()[1].decode)


with contextlib.suppress(ConfigError):  # the front end itself says what is wrong with config.yml
    exercise()
# Collections in the workers would look at all of it again and again, and write to pages that they share.
gc.collect()
gc.freeze()
