"""`python -m tests.processors.digests FOLDER`: what the CPU half makes of every file, as JSON of digests.

Run in a process of its own, so that the libraries choose their code anew for the processor that they are shown.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_info

from preprocess.decode import decode
from preprocess.resample import resample
from runtime.config import load_config, load_limits
from runtime.prepare import prepare
from runtime.processor import processor_class


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def stages(data: bytes) -> dict[str, Any]:
    """Of one recording, stage by stage; `exact` is what `preprocess/decode.py` says of its decoder."""
    params, (_, limits) = load_config(), load_limits()
    recording = decode(data, limits.decode)
    prepared = prepare(data, *params, limits.decode)
    return {
        "codec": recording.codec,
        "exact": recording.exact,
        "samples": digest(recording.samples),
        "resampled": digest(resample(recording.samples, recording.sample_rate_hz, params[1].sample_rate_hz)),
        "channels": [channel.channel for channel in prepared.channels],
        "segments": [channel.segments_s for channel in prepared.channels],
        "levels": [(channel.segment_levels, channel.segment_rms) for channel in prepared.channels],
        "quality": [repr((channel.quality, channel.tones, channel.hum)) for channel in prepared.channels],
        "spectrograms": digest(prepared.spectrograms),
    }


def main(folder: Path) -> None:
    from numpy._core._multiarray_umath import __cpu_features__  # there is no public name

    found = {path.name: stages(path.read_bytes()) for path in sorted(folder.iterdir())}
    numpy_uses = sorted(name for name, used in __cpu_features__.items() if used)
    openblas = sorted({item["architecture"] for item in threadpool_info() if item["internal_api"] == "openblas"})
    used = {"processor": processor_class(), "numpy_uses": numpy_uses, "openblas": openblas}
    json.dump({**used, "files": found}, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
