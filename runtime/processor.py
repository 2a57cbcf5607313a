"""The class of this processor, for the record: the instructions that the process may use, by x86-64 ABI level.

The source is glibc (`__x86_get_cpuid_feature_leaf`, since 2.33), which considers the processor, the operating system
and GLIBC_TUNABLES; /proc/cpuinfo shows the host's processor under an emulator.
"""

from __future__ import annotations

import ctypes
import platform
from functools import lru_cache

UNKNOWN = "unknown"

# Bits of CPUID as glibc orders its leaves: (leaf, register, bits); register 0 is EAX, 1 EBX, 2 ECX. From the x86-64
# psABI: v2: SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT; v3: FMA, MOVBE, AVX, F16C, BMI1, AVX2, BMI2; v4: AVX-512 F, DQ,
# CD, BW, VL.
_LEVELS = (
    ("x86-64-v2", ((0, 2, (9, 13, 19, 20, 23)),)),
    ("x86-64-v3", ((0, 2, (12, 22, 28, 29)), (1, 1, (3, 5, 8)))),
    ("x86-64-v4", ((1, 1, (16, 17, 28, 30, 31)),)),
)


class _Leaf(ctypes.Structure):
    _fields_ = (("present", ctypes.c_uint * 4), ("usable", ctypes.c_uint * 4))


@lru_cache(maxsize=1)
def processor_class() -> str:
    """`x86-64-v2`, `x86-64-v3` (AVX2, FMA), `x86-64-v4` (AVX-512), `x86-64` below; elsewhere the machine's name."""
    machine = platform.machine()
    if machine != "x86_64":
        return machine or UNKNOWN
    try:
        leaf = ctypes.CDLL(None)["__x86_get_cpuid_feature_leaf"]
    except (OSError, AttributeError):
        return UNKNOWN  # not glibc
    leaf.argtypes, leaf.restype = (ctypes.c_uint,), ctypes.POINTER(_Leaf)
    return highest_level([list(leaf(number).contents.usable) for number in (0, 1)])


def highest_level(leaves: list[list[int]]) -> str:
    """Return the level. leaves: EAX, EBX, ECX and EDX of CPUID's leaves 1 and 7, bits that the process may use."""
    level = "x86-64"
    for name, needs in _LEVELS:
        if not all(leaves[leaf][register] >> bit & 1 for leaf, register, bits in needs for bit in bits):
            break
        level = name
    return level
