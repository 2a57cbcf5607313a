"""Encodes AMR-WB with Debian's libvo-amrwbenc0: PyAV has no encoder for it."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray

FRAME = 320  # 20 ms at 16 kHz
_MAGIC = b"#!AMR-WB\n"
_LIBRARY = "libvo-amrwbenc.so.0"


def amr_wb(samples: NDArray[np.float32], rate_hz: int, mode: int = 2, *, dtx: bool = False) -> bytes:
    """Encode one channel as an .awb file. mode: 0 (6.6 kbit/s) to 8 (23.85); samples: float32 [shape=(n,)]"""
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        pytest.skip("libvo-amrwbenc is missing: install Debian's libvo-amrwbenc0.")
    library.E_IF_init.restype = ctypes.c_void_p
    library.E_IF_encode.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)
    library.E_IF_exit.argtypes = (ctypes.c_void_p,)
    at_16_khz = soxr.resample(samples, rate_hz, 16_000)
    speech = np.ascontiguousarray(np.clip(at_16_khz * 32767, -32768, 32767).astype(np.int16))
    encoder, out, frames = library.E_IF_init(), ctypes.create_string_buffer(500), [_MAGIC]
    for start in range(0, len(speech) - FRAME + 1, FRAME):
        size = library.E_IF_encode(encoder, mode, speech[start:].ctypes.data, out, int(dtx))
        frames.append(out.raw[:size])
    library.E_IF_exit(encoder)
    return b"".join(frames)
